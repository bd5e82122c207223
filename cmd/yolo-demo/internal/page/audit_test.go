package page

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/browse"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

// everything returns a page that shows all it can: hosts with buttons, decisions, fallbacks, a second fidelity.
func everything(t *testing.T) (p *Page, run *report.Run) {
	t.Helper()
	edge := &fakeEdge{}
	p = listen(t, Info{Model: "yolo-fastest-1.1-xl", Video: "street.mp4", TempSource: "modelled", Frames: 300, UECPU: 0.5, FPSOffered: 10,
		Policy: "adaptive", Requirements: "latency=100ms rate=10", Deadline: 100, Act: edge.act,
		Fidelities: []string{"quality 75, full size", "quality 60, 75 % of the size"}})
	p.Facts([]Fact{{"UE temperature", "51.5 °C, modelled"}, {"battery", "none"}, {"round trip", "6.1ms"}, {"edge host", "edge-1, ready"}})
	run = &report.Run{Model: "yolo-fastest-1.1-xl", TempSource: "modelled", UECPU: 0.5, Agreement: 1}
	for n := range 300 {
		f := decided(n)
		if n > 200 && n%20 == 0 {
			f.Fallback = fmt.Sprintf("edge-1:7443: no answer within %dms", 490+n/20)
		}
		if f.Fallback != "" {
			run.Fallbacks++
		}
		run.Frames = append(run.Frames, f)
		p.Frame(f)
	}
	for _, e := range happened() {
		p.Event(e)
	}
	p.Board(board())
	p.Picture(picture(t, 10))
	return p, run
}

// Nobody is kept out: by the rules of axe-core, in both colours and on a phone, while frames come and at the end.
func TestNobodyIsKeptOut(t *testing.T) {
	for _, look := range []struct {
		name          string
		width, height int64
		colours       browse.Scheme
	}{{"light", 1366, 900, browse.Light}, {"dark", 1366, 900, browse.Dark}, {"phone", 390, 844, browse.Light}, {"phone-dark", 390, 844, browse.Dark}} {
		t.Run(look.name, func(t *testing.T) {
			p, run := everything(t)
			ctx := browse.Open(t, p.URL(), look.width, look.height, look.colours)
			browse.Until(t, ctx, "history", `state.frames.length === 300 && document.querySelectorAll("#hosts tr").length === 2`)
			browse.Until(t, ctx, "a picture", `document.getElementById("picture").naturalWidth > 0`)
			noSerious(t, ctx, "live")
			checkFirstScreen(t, ctx, look.width, look.height)
			browse.Shoot(t, ctx, "audit-live-"+look.name+".png")
			p.Done(report.Summarize(run))
			browse.Until(t, ctx, "the summary", `state.done`)
			noSerious(t, ctx, "at the end")
			browse.Shoot(t, ctx, "audit-done-"+look.name+".png")
		})
	}
}

// noSerious wants nothing that axe-core calls serious or critical, and tells the rest.
func noSerious(t *testing.T, ctx context.Context, when string) {
	t.Helper()
	for _, v := range browse.Audit(t, ctx) {
		text := fmt.Sprintf("%s: %s, %s: %s, %d places:\n%s", when, v.Impact, v.ID, v.Help, len(v.Nodes), strings.Join(v.Nodes, "\n"))
		if v.Impact == "serious" || v.Impact == "critical" {
			t.Error(text)
		} else {
			t.Log(text)
		}
	}
}

// checkFirstScreen wants the picture and the figures of the newest frame where nobody has to scroll, and no text that is cut.
func checkFirstScreen(t *testing.T, ctx context.Context, width, height int64) {
	t.Helper()
	if wide := browse.Eval[int64](t, ctx, `document.documentElement.scrollWidth`); wide > width {
		t.Errorf("the page is %d pixels wide on a screen of %d", wide, width)
	}
	if width < 900 {
		return // a phone's has the picture and where it was computed
	}
	if bottom := browse.Eval[float64](t, ctx, `document.getElementById("fallbacktile").getBoundingClientRect().bottom`); bottom > float64(height) {
		t.Errorf("the last tile ends at %.0f on a screen of %d", bottom, height)
	}
}

// Who has no pointer reads the charts by the arrow keys, or as a table; fallbacks of one reason are one line.
func TestChartsWithoutAPointer(t *testing.T) {
	p, _ := everything(t)
	ctx := browse.Open(t, p.URL(), 1366, 900, browse.Light)
	browse.Until(t, ctx, "history", `state.frames.length === 300 && document.getElementById("chart-fps").getAttribute("aria-valuenow") === "299"`)
	press := func(chart, key string) {
		browse.Eval[bool](t, ctx, fmt.Sprintf(`(() => { const c = document.getElementById("chart-%s"); c.focus();
			return document.activeElement === c && !c.dispatchEvent(new KeyboardEvent("keydown", {key: "%s", cancelable: true})); })()`, chart, key))
	}
	press("fps", "Home")
	for range 4 {
		press("latency", "PageUp")
	}
	for chart, want := range map[string]string{
		"latency": "frame 200: 140.0 ms", "fps": "frame 200: 7.1", "level": "frame 200: quality 75, full size",
		"decisions": "frame 200: UE, because it fell back: edge-1:7443: no answer", "control": "frame 200: nothing happened",
	} {
		browse.Until(t, ctx, chart, fmt.Sprintf(`document.getElementById("chart-%s").getAttribute("aria-valuetext").startsWith(%q)`, chart, want))
	}
	press("fps", "Escape")
	browse.Until(t, ctx, "the newest frame", `document.getElementById("chart-fps").getAttribute("aria-valuetext").startsWith("frame 299: ")`)

	browse.Eval[bool](t, ctx, `(document.querySelector("#intable summary").click(), true)`)
	browse.Until(t, ctx, "the table", `document.querySelectorAll("#means tr").length === 5`)
	got := browse.Eval[string](t, ctx, `[...document.querySelectorAll("#means tr")].map((r) => [...r.children].map((c) => c.textContent).join(" ")).join("; ")`)
	for _, want := range []string{"0 to 99 UE 7.1 36.0 48 50.0 0.0 0;", "100 to 179 edge-1 7.1", "180 UE", "200 to 299 UE 7.1 37.0 48 50.0 0.0 5"} {
		if !strings.Contains(got, want) {
			t.Errorf("the table says %q; want %q in it", got, want)
		}
	}
	got = browse.Eval[string](t, ctx, `[...document.getElementById("reasonlist").children].map((c) => c.textContent).join("; ")`)
	if want := "onceedge-1:7443: no answerframe 200; 4 timesedge-1:7443: no answer within 501msframes 220 to 280"; got != want {
		t.Errorf("the fallbacks are %q; want %q", got, want)
	}
}

// Reasons that a host makes up do not fill the page.
func TestFallbacksOfManyReasons(t *testing.T) {
	p := listen(t, Info{})
	for n := range 100 {
		f := frame(n)
		f.Fallback = "why" + strings.Repeat("x", n)
		p.Frame(f)
	}
	ctx := browse.Open(t, p.URL(), 1366, 900, browse.Light)
	browse.Until(t, ctx, "history", `state.frames.length === 100`)
	checkTexts(t, ctx, map[string]string{"reasonlist": "80 timesfor other reasonsframes 20 to 99"})
	if n := browse.Eval[int](t, ctx, `document.getElementById("reasonlist").children.length`); n != 21 {
		t.Errorf("%d lines of fallbacks; want 20, and one for the others", n)
	}
}

// Where decisions are as many as pixels, the strip still tells where frames were computed.
func TestManyDecisionsAreSeen(t *testing.T) {
	p := listen(t, Info{Frames: 100_000})
	for n := range 3000 {
		f := frame(n)
		f.Where, f.Why = report.UE, fmt.Sprintf("why%c", 'a'+n%2)
		p.Frame(f)
	}
	ctx := browse.Open(t, p.URL(), 1366, 900, browse.Dark)
	browse.Until(t, ctx, "the decisions", `document.getElementById("chart-decisions").dataset.decisions === "3000"`)
	if got := browse.Eval[int](t, ctx, `+document.getElementById("chart-decisions").dataset.ticks`); got > 20 {
		t.Errorf("%d ticks within 40 pixels", got)
	}
	if got := browse.Eval[int](t, ctx, inked+`("chart-decisions", 245, 158, 11)`); got < 400 {
		t.Errorf("%d pixels have the colour of the UE", got)
	}
	// Long numbers stand apart from what is told beside them.
	if !browse.Eval[bool](t, ctx, `(() => { const [b, s] = document.querySelector("#decisionlist li").children;
		return b.getBoundingClientRect().right < s.getBoundingClientRect().left; })()`) {
		t.Error("a frame's number touches its place")
	}
}

// At the end nothing is asked for, also when the server goes, and nothing can be pressed.
func TestNothingIsAskedForAfterTheEnd(t *testing.T) {
	p, run := everything(t)
	ctx := browse.Open(t, p.URL(), 1366, 900, browse.Light)
	browse.Until(t, ctx, "history", `state.frames.length === 300 && document.querySelectorAll("#hosts tr").length === 2`)
	p.Done(report.Summarize(run))
	browse.Until(t, ctx, "the last picture", `state.done && picture.src.endsWith("still") && picture.complete && picture.naturalWidth > 0`)
	if !browse.Eval[bool](t, ctx, `events.readyState === EventSource.CLOSED && [...document.querySelectorAll(".actions button")].every((b) => b.offsetParent === null)`) {
		t.Error("events are asked for, or a button is shown, after the end")
	}
	before := browse.Eval[int](t, ctx, `performance.getEntriesByType("resource").length`)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	browse.Eval[bool](t, ctx, `(document.dispatchEvent(new Event("visibilitychange")), picture.onerror(), redraw(), true)`)
	browse.Until(t, ctx, "the page drawn again", `!asked`)
	if after := browse.Eval[int](t, ctx, `performance.getEntriesByType("resource").length`); after != before {
		t.Errorf("%d requests after the end", after-before)
	}
	checkTexts(t, ctx, map[string]string{"state": "finished"})
}
