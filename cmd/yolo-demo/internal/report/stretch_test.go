package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// fallen is a run of the policy toggle, every 10 frames, whose host was away at times.
func fallen() *Run {
	r := &Run{Toggle: 10, Fallbacks: 7}
	for n := range 60 {
		f := Frame{Number: n, Where: UE}
		if n/10%2 == 1 {
			f.Where = Edge
		}
		switch {
		case n >= 12 && n < 16, n == 18:
			f.Where, f.Fallback = UE, "edge-1: no answer within "+string(rune('1'+n%9))+"00ms"
		case n == 33, n == 35:
			f.Where, f.Fallback = UE, "edge-1 is not ready"
		}
		r.Frames = append(r.Frames, f)
	}
	return r
}

// A frame that fell back was not moved: it stayed where the one before it could not.
func TestFallbacksAreNoMoves(t *testing.T) {
	s := Summarize(fallen())
	if s.Moves != 5 {
		t.Errorf("%d moves; want 5, one every 10 of 60 frames", s.Moves)
	}
	want := []Reason{{"edge-1: no answer within 400ms", 5}, {"edge-1 is not ready", 2}}
	if !reflect.DeepEqual(s.Reasons, want) {
		t.Errorf("reasons %+v; want %+v", s.Reasons, want)
	}
	notes := strings.Join(s.Notes(), "\n")
	if strings.Count(notes, "no answer") != 1 || !strings.Contains(notes, "5 fell back: edge-1: no answer within 400ms") {
		t.Errorf("notes:\n%s\nwant each reason once, with its frames", notes)
	}
}

// Fallbacks are marked in each panel, however few they are, and the legend says so. A run without has no legend of them.
func TestFigureMarksFallbacks(t *testing.T) {
	draw := func(r *Run) string {
		var b bytes.Buffer
		if err := WriteFigure(&b, r, SVG); err != nil {
			t.Fatal(err)
		}
		return strings.ToLower(b.String())
	}
	const colour = "#be123c"
	r := fallen()
	with := draw(r)
	if n := strings.Count(with, colour); n < 4*4+1 {
		t.Errorf("%d marks; want one for each of 4 rows of fallbacks in 4 panels, and the legend's", n)
	}
	if !strings.Contains(with, "fallen back to the ue") {
		t.Error("the legend does not say what the marks are")
	}
	for i := range r.Frames {
		r.Frames[i].Fallback = ""
	}
	if without := draw(r); strings.Contains(without, colour) || strings.Contains(without, "fallen back") {
		t.Error("a figure without fallbacks has marks of them")
	}
}
