package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/examples/internal/edgetest"
	"github.com/bungee-xr/bungee/handler/ue"
)

func TestTracker(t *testing.T) {
	cat := func(x float32) Detection { return Detection{Box{x, 0, x + 10, 10}, "cat", 1} }
	dog := func(x float32) Detection { return Detection{Box{x, 0, x + 10, 10}, "dog", 1} }
	hidden := make([][]Detection, maxLost)
	tests := []struct {
		why    string
		frames [][]Detection
		want   []int // identities in the last frame, in the order in which they were given
	}{
		{"a thing that moves a little keeps its identity", [][]Detection{{cat(0)}, {cat(3)}, {cat(6)}}, []int{1}},
		{"one that jumps is another", [][]Detection{{cat(0)}, {cat(30)}}, []int{2}},
		{"so is one of another kind", [][]Detection{{cat(0)}, {dog(0)}}, []int{2}},
		{"the order of detections says nothing", [][]Detection{{cat(0), dog(0)}, {dog(0), cat(0)}}, []int{1, 2}},
		{"the pair that overlaps most comes first", [][]Detection{{cat(0), cat(5)}, {cat(4)}}, []int{2}},
		{"a thing that is hidden comes back", slices.Concat([][]Detection{{cat(0)}}, hidden, [][]Detection{{cat(0)}}), []int{1}},
		{"but not after too long", slices.Concat([][]Detection{{cat(0)}, {}}, hidden, [][]Detection{{cat(0)}}), []int{2}},
		{"nothing is emitted for an empty frame", [][]Detection{{cat(0)}, {}}, nil},
	}
	for _, tt := range tests {
		var v tracker
		var got []int
		for _, f := range tt.frames {
			got = nil
			if err := v.Handle(t.Context(), f, func(x Track) error { got = append(got, x.ID); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: identities %v in the last of frames %v; want %v", tt.why, got, tt.frames, tt.want)
		}
	}
}

func TestIdentitiesHere(t *testing.T) {
	var said bytes.Buffer
	if err := run(t.Context(), &said, elastic.Config{}, stay, 200); err != nil || !strings.Contains(said.String(), "no identity has changed") {
		t.Errorf("on the UE: %v, said:\n%s", err, &said)
	}
}

// TestIdentitiesOnTheMove moves the tracker to an edge host with the module and
// back, over a real network.
func TestIdentitiesOnTheMove(t *testing.T) {
	ctx, cfg := t.Context(), edgetest.Start(t)
	edge := cfg.Edge
	cfg.Edge = "" // the target names it
	h, err := ue.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var said bytes.Buffer
	// No deadline, and moves may fail: on a slow machine a host can be silent for long.
	err = run(ctx, &said, elastic.Config{Deadline: -1}, toAndFro(h.Target(edge)), 10*moveEvery)
	if err != nil || !strings.Contains(said.String(), "is on "+edgetest.Name) || !strings.Contains(said.String(), "no identity has changed") {
		t.Errorf("to and fro: %v; want stays on edge-1 and stable identities. It said:\n%s", err, &said)
	}
}

// TestStateRoundTrip holds that a tracker with the state of another does what that
// one does, to the byte.
func TestStateRoundTrip(t *testing.T) {
	ctx, stays := t.Context(), trackerEndpoint.Serve()
	for f := range 60 {
		moved := trackerEndpoint.Serve()
		if reply := moved.Restore(ctx, stays.Save(ctx, nil, nil)[1:], nil); !bytes.Equal(reply, []byte{0}) {
			t.Fatalf("restore of the state before frame %d: %q", f, reply)
		}
		in := trackerEndpoint.AppendIn(nil, detect(f))
		want := stays.Handle(ctx, in, nil)
		if got := moved.Handle(ctx, in, nil); !bytes.Equal(got, want) {
			t.Errorf("frame %d came to % x after a move; want % x, as without", f, got, want)
		}
		if got, want := moved.Save(ctx, nil, nil), stays.Save(ctx, nil, nil); !bytes.Equal(got, want) {
			t.Errorf("frame %d left % x after a move; want % x, as without", f, got, want)
		}
	}
}
