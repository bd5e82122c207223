package main

import (
	"cmp"
	"context"
	"slices"
)

// A Box is a rectangle, in pixels.
type Box struct{ X0, Y0, X1, Y1 float32 }

// A Detection is what a detector found in a frame.
type Detection struct {
	Box
	Label string
	Score float32
}

// A Track is a thing that keeps its identity from frame to frame.
type Track struct {
	ID int
	Detection
	Lost int // frames since it was seen
}

const (
	minIoU  = 0.3 // less overlap is another thing
	maxLost = 30  // frames after which a thing that is not seen is forgotten
)

// A tracker gives identities to the detections of a frame, which is its message: each
// detection continues the track that it overlaps most, or begins one. The tracker emits the
// tracks seen in the frame.
//
//offload:endpoint deadline=100ms idempotent
type tracker struct {
	Tracks []Track
	Last   int // the last identity given
}

// Handle takes in a frame.
func (t *tracker) Handle(_ context.Context, seen []Detection, emit func(Track) error) error {
	of := t.match(seen)
	for i := range t.Tracks {
		t.Tracks[i].Lost++
	}
	for i, d := range seen {
		if of[i] < 0 {
			t.Last++
			of[i] = len(t.Tracks)
			t.Tracks = append(t.Tracks, Track{ID: t.Last})
		}
		t.Tracks[of[i]].Detection, t.Tracks[of[i]].Lost = d, 0
	}
	t.Tracks = slices.DeleteFunc(t.Tracks, func(x Track) bool { return x.Lost > maxLost })
	for _, x := range t.Tracks {
		if x.Lost > 0 {
			continue
		}
		if err := emit(x); err != nil {
			return err
		}
	}
	return nil
}

// match returns the index of each detection's track, -1 for none. The pair that
// overlaps most comes first, and of equal ones the older track.
func (t *tracker) match(seen []Detection) []int {
	type pair struct {
		track, seen int
		overlap     float32
	}
	var pairs []pair
	for k, x := range t.Tracks {
		for i, d := range seen {
			if o := iou(x.Box, d.Box); x.Label == d.Label && o >= minIoU {
				pairs = append(pairs, pair{k, i, o})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.overlap, a.overlap) })
	of, taken := slices.Repeat([]int{-1}, len(seen)), make([]bool, len(t.Tracks))
	for _, p := range pairs {
		if of[p.seen] < 0 && !taken[p.track] {
			of[p.seen], taken[p.track] = p.track, true
		}
	}
	return of
}

// iou returns the part of two boxes' union that both have.
func iou(a, b Box) float32 {
	both := area(Box{max(a.X0, b.X0), max(a.Y0, b.Y0), min(a.X1, b.X1), min(a.Y1, b.Y1)})
	if both == 0 {
		return 0
	}
	return both / (area(a) + area(b) - both)
}

// area returns the area of b. The conversion rounds the product on each machine
// alike: some would fuse it with a sum.
func area(b Box) float32 { return float32(max(0, b.X1-b.X0) * max(0, b.Y1-b.Y0)) }
