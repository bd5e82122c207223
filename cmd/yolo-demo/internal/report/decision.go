package report

import (
	"math"
	"slices"
	"time"
)

// A Decision says why a frame ran where it did, how it was encoded, and what was expected.
type Decision struct {
	// Why is the policy's reason.
	Why string
	// Level is the fidelity, 0 the best; Quality and Size are those of the JPEG.
	Level, Quality int
	Size           float64
	// Deadline is the latency that was required, 0 if none was.
	Deadline time.Duration
	// Here and There are what the call was predicted to take on the UE and on the edge host. 0: not known.
	Here, There time.Duration
	// Hedged says that the call was begun on the UE, too; Wasted is what the other run was good for nothing.
	Hedged bool
	Wasted time.Duration
}

// Call returns the latency of the elastic call, which is what a requirement is about: without the making of the JPEG.
func (f *Frame) Call() time.Duration { return f.Latency - f.Encode }

// Late says that the call took longer than was required.
func (f *Frame) Late() bool { return f.Deadline > 0 && f.Call() > f.Deadline }

// A Level is a fidelity of frames, and what it costs in detections beside the best one.
type Level struct {
	Quality int    `json:"quality"` // of the JPEG
	Size    Number `json:"size"`    // of its sides, to the video's
	Bytes   Number `json:"bytes"`   // of a frame, the mean
	Frames  int    `json:"frames"`  // of the run
	// Kept is the share of the boxes of the best level that are found, Agreement that of the boxes of either which both have, and
	// MAP the mean average precision, with the best level's boxes for the truth.
	Kept      Number `json:"kept"`
	Agreement Number `json:"agreement"`
	MAP       Number `json:"map"`
}

// levels returns r's levels with the frames that each had.
func (r *Run) levels() []Level {
	all := slices.Clone(r.Levels)
	for i := range r.Frames {
		if l := r.Frames[i].Level; l < len(all) {
			all[l].Frames++
		}
	}
	return all
}

// lateness counts the frames that were late and those that were hedged.
func (s *Summary) lateness(frames []Frame) {
	for i := range frames {
		f := &frames[i]
		if f.Late() {
			s.Late++
		}
		if f.Hedged {
			s.Hedged++
		}
		s.Deadline = max(s.Deadline, millis(f.Deadline))
	}
}

// off returns by what share predictions missed what calls took, the median over the frames that had one. NaN: none had.
func off(frames []*Frame, predicted func(*Frame) time.Duration) Number {
	var all []float64
	for _, f := range frames {
		if p := predicted(f); p > 0 && f.Call() > 0 {
			all = append(all, math.Abs(float64(p-f.Call()))/float64(f.Call()))
		}
	}
	if len(all) == 0 {
		return Number(math.NaN())
	}
	slices.Sort(all)
	return Number(all[len(all)/2])
}
