//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/accuracy"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

// judged is how many frames of a run are computed again at each fidelity.
const judged = 60

// judge computes frames all over the run again, natively and at each fidelity, and says what a fidelity costs in detections, and how
// many of full quality's the run has. It does nothing where there is one fidelity, or where frames cannot be had again.
func (l *loop) judge(ctx context.Context) error {
	l.run.Kept = math.NaN()
	if len(l.fidelities) == 1 || len(l.run.Frames) == 0 || l.cam.src.live() {
		return nil
	}
	looks, err := l.lookAgain(ctx)
	if err != nil {
		return err
	}
	l.run.Levels = looks.levels(l.fidelities)
	l.run.Kept = accuracy.Judge(looks.boxes[0], looks.had).Kept
	return nil
}

// looks are what frames show at each fidelity, and what they had in the run.
type looks struct {
	boxes [][][]head.Box // by fidelity, by frame
	bytes []int          // by fidelity, of all frames
	had   [][]head.Box   // by frame
}

// lookAgain plays the video again, as the run did.
func (l *loop) lookAgain(ctx context.Context) (*looks, error) {
	again, err := openCamera(ctx, l.cam.path, l.opt.loop)
	if err != nil {
		return nil, err
	}
	defer again.Close()
	s := &looks{boxes: make([][][]head.Box, len(l.fidelities)), bytes: make([]int, len(l.fidelities))}
	every := max(1, len(l.run.Frames)/judged)
	bar := newBar(len(l.run.Frames), "what fidelities cost")
	defer bar.end()
	for n := range l.run.Frames {
		if err := again.next(ctx); err != nil {
			return nil, err
		}
		if n%every == 0 {
			if err := s.look(ctx, l, again, &l.run.Frames[n]); err != nil {
				return nil, err
			}
		}
		bar.set(n + 1)
	}
	return s, nil
}

// look computes the camera's frame at each fidelity. A late frame of the run had no boxes that anybody could use.
func (s *looks) look(ctx context.Context, l *loop, again *camera, was *report.Frame) error {
	for i, f := range l.fidelities {
		e, err := again.encode(f)
		if err != nil {
			return err
		}
		found, err := detectObjects(ctx, l.question(0, e.jpeg))
		if err != nil {
			return errors.Join(errors.New("a frame cannot be computed again"), err)
		}
		s.boxes[i] = append(s.boxes[i], e.enlarge(found.Boxes))
		s.bytes[i] += len(e.jpeg)
	}
	had := was.Boxes
	if was.Late() {
		had = nil
	}
	s.had = append(s.had, slices.Clone(had))
	return nil
}

// levels returns what each fidelity costs.
func (s *looks) levels(fidelities []fidelity) (all []report.Level) {
	for i, f := range fidelities {
		score := accuracy.Judge(s.boxes[0], s.boxes[i])
		all = append(all, report.Level{
			Quality: f.quality, Size: report.Number(f.size), Bytes: report.Number(float64(s.bytes[i]) / float64(len(s.had))),
			Kept: report.Number(score.Kept), Agreement: report.Number(score.Agreement), MAP: report.Number(score.MAP),
		})
	}
	return all
}
