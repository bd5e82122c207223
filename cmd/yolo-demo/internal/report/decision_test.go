package report

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"
)

// decided is a run of a policy that moved once and chose a lower fidelity there; its second call on the edge was late.
func decided() *Run {
	ms := time.Millisecond
	frame := func(n int, where string, took, encode time.Duration, d Decision) Frame {
		d.Deadline = 100 * ms
		return Frame{Number: n, Where: where, Latency: took, Encode: encode, Period: 100 * ms, Decision: d}
	}
	return &Run{
		Policy: "adaptive", Requirements: "latency=100ms rate=10", Kept: 0.875,
		Levels: []Level{{Quality: 75, Size: 1, Bytes: 50e3, Kept: 1, Agreement: 1, MAP: 1}, {Quality: 50, Size: 0.5, Bytes: 9e3, Kept: 0.75, Agreement: 0.6, MAP: 0.7}},
		Frames: []Frame{
			frame(0, UE, 50*ms, 10*ms, Decision{Why: "nothing is settled yet", Quality: 75, Size: 1}),
			frame(1, UE, 50*ms, 10*ms, Decision{Here: 50 * ms, There: 30 * ms, Quality: 75, Size: 1}),
			frame(2, Edge, 100*ms, 5*ms, Decision{Here: 40 * ms, There: 76 * ms, Level: 1, Quality: 50, Size: 0.5}),
			frame(3, Edge, 110*ms, 5*ms, Decision{There: 95 * ms, Level: 1, Quality: 50, Size: 0.5, Hedged: true, Wasted: 20 * ms, Why: "it takes 30ms here, within 100ms"}),
		},
	}
}

// What is late is the call, not the making of the JPEG before it; and a prediction is off by a share of what the call took.
func TestSummarizeDecisions(t *testing.T) {
	s := Summarize(decided())
	if s.Late != 1 || s.Hedged != 1 || s.Deadline != 100 || s.Kept != 0.875 || s.Policy != "adaptive" {
		t.Errorf("%d late of %v ms, %d hedged, %v kept, policy %s; want 1 of 100, 1, 0.875, adaptive", s.Late, s.Deadline, s.Hedged, s.Kept, s.Policy)
	}
	if s.Levels[0].Frames != 2 || s.Levels[1].Frames != 2 {
		t.Errorf("levels %+v; want two frames each", s.Levels)
	}
	for _, tt := range []struct {
		where     string
		got, want Number
	}{{"UE", s.Local.PredictionOff, 0.25}, {"edge", s.Edge.PredictionOff, 0.2}} {
		if d := tt.got - tt.want; !(d < 1e-9 && d > -1e-9) {
			t.Errorf("predictions for the %s are off by %v; want %v", tt.where, tt.got, tt.want)
		}
	}
	table := Table(s)
	for _, want := range []string{
		"4 frames, 1 moves (adaptive)", "latency required: 100 ms; 1 late, 1 begun on the UE, too", "kept of full quality: 0.875",
		"fidelity 1, quality 50 at 0.50 of the size: 9.0 KB, 2 frames; kept 0.750, agreement 0.600, mAP 0.700",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in the table:\n%s", want, table)
		}
	}
}

// Each frame's decision is in its row; what was not predicted is an empty cell.
func TestDecisionsInCSV(t *testing.T) {
	var b bytes.Buffer
	if err := WriteCSV(&b, decided()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	cells := func(n int) map[string]string {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = rows[n+1][i]
		}
		return m
	}
	for name, want := range map[string]string{
		"why": "it takes 30ms here, within 100ms", "call_ms": "105.000", "deadline_ms": "100.000", "late": "1", "predicted_ue_ms": "",
		"predicted_edge_ms": "95.000", "level": "1", "quality": "50", "size": "0.500", "hedged": "1", "wasted_ms": "20.000",
	} {
		if got := cells(3)[name]; got != want {
			t.Errorf("%s of frame 3 is %q; want %q", name, got, want)
		}
	}
	if c := cells(0); c["predicted_ue_ms"] != "" || c["late"] != "0" || c["hedged"] != "0" {
		t.Errorf("frame 0: %v; want nothing predicted, not late, not hedged", c)
	}
}

// A run that had one fidelity compares nothing.
func TestOneFidelity(t *testing.T) {
	if s := Summarize(&Run{}); s.Kept.Known() || s.Levels != nil || s.Policy != Toggle {
		t.Errorf("kept %v, levels %v, policy %q; want unknown, none, toggle", s.Kept, s.Levels, s.Policy)
	}
}
