package report

import (
	"math"

	"gonum.org/v1/plot/plotter"
)

// maxPoints bounds the points of a panel: a long run would make a drawing of
// many megabytes in which no single frame can be seen.
const maxPoints = 6000

// smoothing is the number of frames in the running mean. A frame's processor
// time depends on where in a 100 ms period of its quota it began; 9 frames
// span a few periods at either place.
const smoothing = 9

// series returns the values of a panel, a run of points for each stretch.
// Frames whose value is unknown are left out.
func (p panel) series(frames []Frame) (runs []plotter.XYs) {
	step := (len(frames) + maxPoints - 1) / maxPoints
	where := ""
	for i := range frames {
		f := &frames[i]
		y := p.value(f)
		if !Number(y).Known() || i%step != 0 && f.Where == where {
			continue
		}
		if runs == nil || f.Where != where {
			runs = append(runs, nil)
			where = f.Where
		}
		last := len(runs) - 1
		runs[last] = append(runs[last], plotter.XY{X: float64(f.Number) + 0.5, Y: y})
	}
	return runs
}

// scale returns the axis for the values in runs. It begins at zero unless the
// panel's values have no zero of their own, as degrees Celsius.
func (p panel) scale(runs []plotter.XYs) (lo, hi float64) {
	if len(runs) == 0 {
		return 0, 1
	}
	least, most := math.Inf(1), math.Inf(-1)
	for _, run := range runs {
		for _, q := range run {
			least, most = min(least, q.Y), max(most, q.Y)
		}
	}
	if p.fromZero {
		least = 0
	}
	margin := max((most-least)*0.12, most*0.02, 0.01)
	if p.fromZero {
		return 0, most + margin
	}
	return least - margin, most + margin
}

// smooth returns the running mean of points. At both ends the window is cut
// off, so that a stretch does not colour the next.
func smooth(points plotter.XYs) plotter.XYs {
	out := make(plotter.XYs, len(points))
	for i := range points {
		window := points[max(0, i-smoothing/2):min(len(points), i+smoothing/2+1)]
		sum := 0.0
		for _, q := range window {
			sum += q.Y
		}
		out[i] = plotter.XY{X: points[i].X, Y: sum / float64(len(window))}
	}
	return out
}
