package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/browse"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

// decided returns frame n of a made-up run of the policy adaptive: it moves to the edge host at frame 100, chooses a lower fidelity at
// 150 and looks how the UE is at 180; the host is lost at 200.
func decided(n int) report.Frame {
	f := frame(0)
	f.Number, f.Where, f.Host = n, report.UE, ""
	f.Decision = report.Decision{Quality: 75, Size: 1, Deadline: 100 * time.Millisecond, Here: 41 * time.Millisecond,
		Why: fmt.Sprintf("it takes %d.5ms here, within 100ms", 30+n%7)}
	if n > 10 {
		f.There = time.Duration(28+n%3) * time.Millisecond
	}
	if n >= 100 && n < 200 && n != 180 {
		f.Where, f.Host = report.Edge, "edge-1"
		f.Why = fmt.Sprintf("it takes 0.0%d J here and 0.036 there", 4+n%3)
	}
	if n >= 150 && n < 200 {
		f.Level, f.Quality, f.Size = 1, 60, 0.75
	}
	if n == 180 {
		f.Why = "one in 50 calls looks how the other place is"
	}
	if n == 200 {
		f.Fallback, f.Latency = "edge-1:7443: no answer", 140*time.Millisecond
	}
	return f
}

// Each decision is on the frame axis with its reason, whatever numbers the reason has; a single look is on the strip alone.
func TestDecisionsOnThePage(t *testing.T) {
	for _, look := range []struct {
		name    string
		colours browse.Scheme
		call    string // the line of what calls took
		text    string // what is written in
	}{{"dark", browse.Dark, "230, 236, 245", "rgb(230, 236, 245)"}, {"light", browse.Light, "23, 32, 51", "rgb(23, 32, 51)"}} {
		t.Run(look.name, func(t *testing.T) {
			p := listen(t, Info{Model: "yolo-fastest-1.1-xl", TempSource: "modelled", Frames: 600, UECPU: 0.5, FPSOffered: 10,
				Policy: "adaptive", Requirements: "latency=100ms rate=10", Deadline: 100,
				Fidelities: []string{"quality 75, full size", "quality 60, 75 % of the size"}})
			p.Facts([]Fact{{"UE temperature", "51.5 °C, modelled"}, {"battery", "none"}, {"round trip", "6.1ms"}, {"edge host", "edge-1, ready"}})
			for n := range 240 {
				p.Frame(decided(n))
			}
			p.Picture(picture(t, 10))
			ctx := browse.Open(t, p.URL(), 1360, 900, look.colours)
			browse.Until(t, ctx, "the decisions", `state.frames.length === 240 && document.getElementById("chart-decisions").dataset.decisions === "7"`)
			browse.Until(t, ctx, "a picture", `document.getElementById("picture").naturalWidth > 0`)
			checkTexts(t, ctx, map[string]string{
				"info": "adaptive", "facts": "51.5 °C, modelled", "late": "1", "deadline": "100 ms",
				"why": "within 100ms", "decisionlist": "frame 100", "reasonlist": "no answer",
			})
			list := browse.Eval[string](t, ctx, `[...document.getElementById("decisionlist").children].map((li) => li.textContent).join("|")`)
			for _, want := range []string{
				"frame 0UEquality 75", "frame 100edge hostquality 75, full size, because it takes 0.05 J here and 0.036 there",
				"frame 150edge hostquality 60, 75 %", "frame 200UEquality 75, full size, because it fell back: edge-1:7443: no answer",
			} {
				if !strings.Contains(list, want) {
					t.Errorf("the decisions are %q; want %q in them", list, want)
				}
			}
			if strings.Contains(list, "looks how") {
				t.Errorf("a look is listed as a decision: %q", list)
			}
			// Pointing at a chart tells the decision of that frame.
			browse.Eval[bool](t, ctx, `(state.hover = 120, redraw(), true)`)
			browse.Until(t, ctx, "the reason of frame 120", `charts[0].output.value === "frame 120: edge host, because it takes 0.04 J here and 0.036 there"`)
			checkCharts(t, ctx, 2, map[string]string{"chart-latency": look.call, "chart-level": look.call})
			if got := browse.Eval[string](t, ctx, `getComputedStyle(document.body).color`); got != look.text {
				t.Errorf("text is %s; want %s", got, look.text)
			}
			browse.Shoot(t, ctx, "page-decisions-"+look.name+".png")
		})
	}
}

// A page of a run with one fidelity has no chart of it, and its toggle tells its turns.
func TestToggleOnThePage(t *testing.T) {
	p := listen(t, Info{Model: "m", TempSource: "unknown", Toggle: 50, Policy: "toggle", Requirements: "none"})
	for n := range 120 {
		p.Frame(frame(n))
	}
	ctx := browse.Open(t, p.URL(), 1000, 800, browse.Dark)
	browse.Until(t, ctx, "history", `state.frames.length === 120`)
	if !browse.Eval[bool](t, ctx, `document.getElementById("fidelity").hidden && document.getElementById("deadline").hidden`) {
		t.Error("a chart of the only fidelity, or a deadline that there is not")
	}
	checkTexts(t, ctx, map[string]string{"info": "50 frames", "decisionlist": "because it is turn 1"})
}
