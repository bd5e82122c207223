package bench

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// A curve is a value of each second.
type curve struct {
	name  string
	value func(second) float64
}

// soakPanels are the panels of soak.png, each of curves that have a unit in common.
var soakPanels = []struct {
	title  string
	curves []curve
}{
	{"Messages in a second", []curve{{"results", func(s second) float64 { return float64(s.Messages) }}}},
	{"Longest gap and lateness in a second, ms", []curve{
		{"lateness", func(s second) float64 { return s.Lateness }}, {"gap", func(s second) float64 { return s.Gap }},
	}},
	{"Messages kept for a replay; checkpoints a second", []curve{
		{"kept", func(s second) float64 { return float64(s.Buffered) }}, {"checkpoints", func(s second) float64 { return float64(s.Checkpoints) }},
	}},
	{"Memory of the UE, MB", []curve{
		{"resident", func(s second) float64 { return s.UE.RSS }}, {"heap", func(s second) float64 { return s.UE.Heap }},
	}},
	{"Goroutines and descriptors of the UE", []curve{
		{"goroutines", func(s second) float64 { return s.UE.Goroutines }}, {"descriptors", func(s second) float64 { return s.UE.Files }},
	}},
	{"Resident memory of the hosts, MB", ofHosts(func(u usage) float64 { return u.RSS })},
	{"Heap of the hosts, MB", ofHosts(func(u usage) float64 { return u.Heap })},
	{"Goroutines of the hosts", ofHosts(func(u usage) float64 { return u.Goroutines })},
	{"Descriptors of the hosts", ofHosts(func(u usage) float64 { return u.Files })},
}

// ofHosts makes a curve of each host. It is 0 while the host does not tell.
func ofHosts(value func(usage) float64) []curve {
	var all []curve
	for i := range soakHosts {
		all = append(all, curve{string(rune('a' + i)), func(s second) float64 { return value(s.Hosts[i]) }})
	}
	return all
}

// drawSoak draws the curves of the chapters, one after the other, into soak.png.
func drawSoak(dir string, chapters []*soaking) error {
	const columns = 3
	rows := (len(soakPanels) + columns - 1) / columns
	img := vgimg.New(columns*12*vg.Centimeter, vg.Length(rows)*7*vg.Centimeter)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 5 * vg.Millimeter, PadY: 5 * vg.Millimeter, PadTop: vg.Millimeter, PadRight: 5 * vg.Millimeter, PadLeft: vg.Millimeter}
	canvas := draw.New(img)
	for i, panel := range soakPanels {
		p := plot.New()
		p.Title.Text = panel.title
		p.X.Label.Text = "s"
		p.Y.Min = 0
		p.Legend.Top = true
		for j, c := range panel.curves {
			if err := drawCurve(p, c, chapters, colours[j]); err != nil {
				return err
			}
		}
		p.Y.Max *= 1.2 // room for the legend
		p.Draw(tiles.At(canvas, i%columns, i/columns))
	}
	return writePNG(dir, "soak.png", img)
}

// drawCurve draws a line for each chapter, where the one before ends.
func drawCurve(p *plot.Plot, c curve, chapters []*soaking, ink color.Color) error {
	begin := 0.0
	for i, k := range chapters {
		xys := make(plotter.XYs, len(k.gauge.seconds))
		for j, s := range k.gauge.seconds {
			xys[j] = plotter.XY{X: begin + s.At, Y: c.value(s)}
		}
		if len(xys) == 0 {
			continue
		}
		begin = xys[len(xys)-1].X
		line, err := plotter.NewLine(xys)
		if err != nil {
			return err
		}
		line.Color, line.Width = ink, vg.Points(0.7)
		p.Add(line)
		if i == 0 && c.name != "" {
			p.Legend.Add(c.name, line)
		}
	}
	return nil
}
