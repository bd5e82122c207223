package page

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/browse"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

// inked counts the pixels of a chart that have the colour of its line.
const inked = `((id, r, g, b) => {
	const c = document.getElementById(id);
	const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
	let n = 0;
	for (let i = 0; i < d.length; i += 4)
		if (d[i+3] > 200 && Math.abs(d[i]-r) < 12 && Math.abs(d[i+1]-g) < 12 && Math.abs(d[i+2]-b) < 12) n++;
	return n;
})`

var lineColours = map[string]string{
	"chart-fps": "96, 165, 250", "chart-cpu": "251, 146, 60",
	"chart-temp": "248, 113, 113", "chart-bytes": "52, 211, 153",
}

func TestPageInABrowser(t *testing.T) {
	p := listen(t, Info{Model: "yolo-fastest-1.1-xl", Video: "street.mp4", TempSource: "modelled",
		Toggle: 50, Frames: 600, UECPU: 0.25})
	run := &report.Run{Toggle: 50, Model: "yolo-fastest-1.1-xl", TempSource: "modelled", UECPU: 0.25, Agreement: 1}
	show := func(f report.Frame) {
		run.Frames = append(run.Frames, f)
		p.Frame(f)
	}
	for n := range 270 { // some came before the viewer did
		show(frame(n))
	}
	ctx := browse.Open(t, p.URL(), 1360, 900, browse.Dark)
	browse.Until(t, ctx, "history", `state.frames.length === 270`)
	browse.Until(t, ctx, "the place", `document.getElementById("where").textContent === "Edge host" || document.getElementById("where").textContent === "UE"`)

	p.Picture(picture(t, 40))
	browse.Until(t, ctx, "a picture", `document.getElementById("picture").naturalWidth === 640`)
	if !p.Watching() {
		t.Error("not watching while the page is open; want true")
	}
	f := frame(270)
	f.Fallback = "edge-1:7443: no answer within 500ms"
	show(f)
	for n := 271; n < 380; n++ {
		show(frame(n))
	}
	browse.Until(t, ctx, "the place at frame 379", `state.frames.length === 380 && document.getElementById("where").textContent === "Edge host"`)
	checkCharts(t, ctx, 4, lineColours)
	checkTexts(t, ctx, map[string]string{
		"frame": "frame 380 of 600", "fallbacks": "1", "moves": "7", "host": "edge-1",
		"reasonlist": "no answer within 500ms", "tempchart": "modelled", "temptitle": "modelled",
		"info": "yolo-fastest-1.1-xl", "state": "live",
	})
	browse.Shoot(t, ctx, "page-live.png")

	for n := 380; n < 600; n++ {
		show(frame(n))
	}
	run.Fallbacks = 1
	p.Picture(picture(t, 90))
	p.Done(report.Summarize(run))
	browse.Until(t, ctx, "the summary", `!document.getElementById("summary").hidden && state.frames.length === 600`)
	checkTexts(t, ctx, map[string]string{"rows": "latency p50", "notes": "600 frames, 11 moves", "state": "finished"})
	checkCharts(t, ctx, 6, lineColours)
	browse.Until(t, ctx, "the last picture", `picture.src.endsWith("still") && picture.complete && picture.naturalWidth === 640`)
	browse.Shoot(t, ctx, "page-done.png")
}

// checkCharts wants points, a line that can be seen, and shaded stretches.
func checkCharts(t *testing.T, ctx context.Context, stretches int, colours map[string]string) {
	t.Helper()
	for id, colour := range colours {
		browse.Until(t, ctx, id+" has its stretches",
			fmt.Sprintf(`document.getElementById(%q).dataset.stretches === "%d"`, id, stretches))
		if got := browse.Eval[int](t, ctx, fmt.Sprintf("%s(%q, %s)", inked, id, colour)); got < 200 {
			t.Errorf("%s has %d pixels of its line's colour; want 200 or more", id, got)
		}
		// Within the second stretch, near the top of the chart, over the page.
		shaded := fmt.Sprintf(`(() => {
			const c = document.getElementById(%q), r = devicePixelRatio, w = c.clientWidth;
			const x = 44 + 160 / 600 * (w - 52);
			return c.getContext("2d").getImageData(Math.round(x * r), Math.round(10 * r), 1, 1).data[3];
		})()`, id)
		if got := browse.Eval[int](t, ctx, shaded); got == 0 {
			t.Errorf("%s is not shaded at frame 160, which ran at the edge", id)
		}
	}
}

func checkTexts(t *testing.T, ctx context.Context, want map[string]string) {
	t.Helper()
	for id, text := range want {
		got := browse.Eval[string](t, ctx, fmt.Sprintf(`document.getElementById(%q).textContent`, id))
		if !strings.Contains(got, text) {
			t.Errorf("#%s says %q; want %q in it", id, got, text)
		}
	}
}

func TestPageOnAPhone(t *testing.T) {
	p := listen(t, Info{Model: "yolo-fastest-1.1-xl", TempSource: "unknown", Toggle: 50})
	for n := range 120 {
		f := frame(n)
		f.Temp = math.NaN()
		p.Frame(f)
	}
	p.Picture(picture(t, 10))
	ctx := browse.Open(t, p.URL(), 390, 844, browse.Light)
	browse.Until(t, ctx, "history", `state.frames.length === 120`)
	browse.Until(t, ctx, "a picture", `document.getElementById("picture").naturalWidth > 0`)
	if wide := browse.Eval[int](t, ctx, `document.documentElement.scrollWidth`); wide > 390 {
		t.Errorf("the page is %d pixels wide on a phone of 390; want no sideways scrolling", wide)
	}
	checkTexts(t, ctx, map[string]string{"temp": "unknown", "tempchart": "unknown"})
	browse.Shoot(t, ctx, "page-phone.png")
}

// A page that is not looked at asks for no pictures, and asks again later.
func TestAHiddenPageAsksForNoPictures(t *testing.T) {
	p := listen(t, Info{})
	p.Picture(picture(t, 0))
	ctx := browse.Open(t, p.URL(), 800, 600, browse.Dark)
	browse.Until(t, ctx, "a picture", `document.getElementById("picture").naturalWidth > 0`)
	set := func(hidden bool) {
		browse.Eval[bool](t, ctx, fmt.Sprintf(`Object.defineProperty(document, "hidden", {value: %v, configurable: true});
			document.dispatchEvent(new Event("visibilitychange"))`, hidden))
	}
	set(true)
	for p.Watching() {
		p.Picture(picture(t, 1)) // a write tells the server that the viewer left
	}
	set(false)
	browse.Until(t, ctx, "a picture again", `document.getElementById("picture").naturalWidth > 0`)
	if !p.Watching() {
		t.Error("not watching after the page came back; want true")
	}
}
