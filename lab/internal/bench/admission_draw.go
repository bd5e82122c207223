package bench

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// A printed is a value of the paper, or the range of some; NaN where the paper's text has none.
type printed struct{ value, low, high float64 }

var unprinted = printed{math.NaN(), math.NaN(), math.NaN()}

// A panel is one of the paper's figures.
type panel struct {
	title, metric string
	scale         float64            // of what is measured to what is drawn
	paper         map[string]printed // by arm
}

// panels are the paper's Figures 5 to 9. What stands for the paper is what its text has: of Figure 5 that its prototype served 26 of 100, of Figure 6 its median, of
// Figures 7 and 8 the range of the default scheduler, of Figure 9 mean and standard deviation.
var panels = []panel{
	{"Fig. 5: UEs served of 10", "served", 1, map[string]printed{armLeast: unprinted, armPaper: {2.6, 2.6, 2.6}}},
	{"Fig. 6: request to first frame, s", "request_to_first_frame", 1e-3, map[string]printed{armLeast: unprinted, armPaper: {5.37, 5.37, 5.37}}},
	{"Fig. 7: frames a second", "fps", 1, map[string]printed{armLeast: {math.NaN(), 7, 17}, armPaper: unprinted}},
	{"Fig. 8: latency, ms", "latency_p50", 1, map[string]printed{armLeast: {math.NaN(), 52, 102}, armPaper: unprinted}},
	{"Fig. 9: frames lost of 188", "lost_of_188", 1, map[string]printed{armLeast: {80.8, 0, 80.8 + 93.1}, armPaper: {0.08, 0, 0.08 + 0.27}}},
}

// drawn are the arms in the figures, in the order of their colours.
var drawn = []string{armLeast, armPaper, armOurs}

// drawAdmission draws the paper's Figures 5 to 9 into paper000.png: the paper's own values at the left, and ours with the 95 % confidence intervals of their means.
func drawAdmission(dir string, r *results) error {
	if len(r.runs) == 0 {
		return nil
	}
	const columns = 3
	rows := (len(panels) + columns - 1) / columns
	img := vgimg.New(columns*11*vg.Centimeter, vg.Length(rows)*9*vg.Centimeter)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: vg.Centimeter, PadY: vg.Centimeter, PadTop: vg.Millimeter, PadBottom: vg.Millimeter, PadRight: 5 * vg.Millimeter, PadLeft: vg.Millimeter}
	canvas := draw.New(img)
	for i, p := range panels {
		drawing, err := p.draw(r, i == 0)
		if err != nil {
			return err
		}
		drawing.Draw(tiles.At(canvas, i%columns, i/columns))
	}
	return writePNG(dir, "paper000.png", img)
}

// draw draws a panel: for each arm a point with an interval at the paper and at each load.
func (p panel) draw(r *results, legend bool) (*plot.Plot, error) {
	d := plot.New()
	d.Title.Text, d.Y.Min = p.title, 0
	ticks := plot.ConstantTicks{{Value: 0, Label: "paper 000"}}
	for i, l := range loads {
		ticks = append(ticks, plot.Tick{Value: float64(i + 1), Label: l.name})
	}
	d.X.Tick.Marker, d.X.Min, d.X.Max = ticks, -0.5, float64(len(loads))+0.5
	for k, arm := range drawn {
		if err := p.points(r, k, arm).add(d, colours[k], arm, legend); err != nil {
			return nil, err
		}
	}
	d.Y.Max *= 1.05
	if legend {
		d.Legend.Top, d.Y.Max = true, 1.3*d.Y.Max
	}
	return d, nil
}

// An intervals is points and what is around them.
type intervals struct {
	points plotter.XYs
	ends   plotter.XYs // where the intervals are, with their middle
	errors plotter.YErrors
}

func (v *intervals) Len() int                        { return len(v.ends) }
func (v *intervals) XY(i int) (float64, float64)     { return v.ends[i].X, v.ends[i].Y }
func (v *intervals) YError(i int) (float64, float64) { return v.errors[i].Low, v.errors[i].High }

// points returns the values of the k-th arm.
func (p panel) points(r *results, k int, arm string) *intervals {
	v := &intervals{}
	aside := 0.2 * float64(k-1)
	if x, ok := p.paper[arm]; ok && !math.IsNaN(x.low) {
		v.put(aside, x.value, x.low, x.high)
	}
	for i, l := range loads {
		for _, m := range measures {
			if runs := r.of(l.name, modeOpen, arm); m.metric == p.metric && len(runs) > 0 {
				s := spreadOf(m.values(r.sweep, runs))
				if s.n > 0 {
					v.put(float64(i+1)+aside, p.scale*s.mean, p.scale*max(0, s.mean-s.half()), p.scale*(s.mean+s.half()))
				}
			}
		}
	}
	return v
}

// put adds a value, NaN for none, and its interval.
func (v *intervals) put(x, value, low, high float64) {
	if !math.IsNaN(value) {
		v.points = append(v.points, plotter.XY{X: x, Y: value})
	}
	half := (high - low) / 2
	v.ends = append(v.ends, plotter.XY{X: x, Y: low + half})
	v.errors = append(v.errors, struct{ Low, High float64 }{half, half})
}

// add draws v.
func (v *intervals) add(d *plot.Plot, c color.Color, name string, legend bool) error {
	if len(v.ends) == 0 {
		return nil
	}
	bars, err := plotter.NewYErrorBars(v)
	if err != nil {
		return err
	}
	bars.Color = c
	d.Add(bars)
	if len(v.points) == 0 {
		return nil
	}
	dots, err := plotter.NewScatter(v.points)
	if err != nil {
		return err
	}
	dots.Color, dots.Shape, dots.Radius = c, draw.CircleGlyph{}, vg.Points(3)
	d.Add(dots)
	if legend {
		d.Legend.Add(name, dots)
	}
	return nil
}
