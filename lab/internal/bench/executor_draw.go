package bench

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// drawTargets draws a bar for each figure that has a target into file: how many times
// better than its target it is, on a logarithmic axis. Bars that end below 1 missed it.
func drawTargets(dir, file string, figures []Figure) error {
	aimed := slices.DeleteFunc(slices.Clone(figures), func(f Figure) bool { return margin(f) == 0 })
	if len(aimed) == 0 {
		return nil
	}
	p := plot.New()
	p.Title.Text = "Times better than the target"
	var names []string
	for i, f := range slices.Backward(aimed) {
		b, err := plotter.NewBarChart(plotter.Values{math.Log10(margin(f))}, vg.Points(10))
		if err != nil {
			return err
		}
		b.Horizontal, b.LineStyle.Width, b.XMin = true, 0, float64(len(aimed)-1-i)
		if b.Color = colours[1]; !f.OK {
			b.Color = colours[0]
		}
		p.Add(b)
		names = append(names, fmt.Sprintf("%s: %s %.3g %s", f.Case, f.Metric, f.Value, f.Unit))
	}
	p.NominalY(names...)
	p.X.Tick.Marker = plot.TickerFunc(decades)
	p.Add(plotter.NewGrid())
	img := vgimg.New(28*vg.Centimeter, vg.Length(len(aimed)+4)*0.8*vg.Centimeter)
	p.Draw(draw.Crop(draw.New(img), vg.Centimeter/2, -vg.Centimeter, vg.Centimeter/2, -vg.Centimeter/2))
	return writePNG(dir, file, img)
}

// margin is how many times better than its target f is, 0 where nobody can tell.
func margin(f Figure) float64 {
	const most = 1e3 // 0 allocations are infinitely better than one
	switch {
	case f.Target == nil:
		return 0
	case f.Op == "<=" && f.Value <= 0:
		return most
	case f.Op == "<=":
		return min(most, over(*f.Target, f.Value))
	}
	return min(most, over(f.Value, *f.Target))
}

// decades marks 1, 2 and 5 of each power of ten on an axis of logarithms.
func decades(from, to float64) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Floor(from); e <= to; e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := e + math.Log10(m); v >= from && v <= to {
				ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%gx", m*math.Pow(10, e))})
			}
		}
	}
	return ticks
}
