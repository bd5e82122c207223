package bench

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// colours of the arms, in their order: a set that colour-blind people can tell
// apart.
var colours = []color.RGBA{{230, 126, 34, 255}, {52, 101, 164, 255}, {39, 174, 96, 255}}

// drawArms draws two panels of bars, a group for each UE, into paper001.png.
func drawArms(dir string, arms []arm) error {
	panels := []struct {
		title string
		value func(arm) float64
	}{
		{"Frames per second", func(a arm) float64 { return a.FPS }},
		{"UE processor time, ms a frame", func(a arm) float64 { return a.CPUFrame }},
	}
	img := vgimg.New(24*vg.Centimeter, 10*vg.Centimeter)
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: vg.Centimeter, PadTop: vg.Millimeter, PadRight: 5 * vg.Millimeter, PadLeft: vg.Millimeter}
	canvas := draw.New(img)
	for i, panel := range panels {
		p, err := bars(panel.title, arms, panel.value)
		if err != nil {
			return err
		}
		p.Draw(tiles.At(canvas, i, 0))
	}
	f, err := os.Create(filepath.Join(dir, "paper001.png"))
	if err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// bars draws a group of three bars for each UE.
func bars(title string, arms []arm, value func(arm) float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = title
	p.Y.Min = 0
	p.Legend.Top = true
	width := vg.Points(16)
	var groups []string
	for i := range colours {
		var values plotter.Values
		for j := i; j < len(arms); j += len(colours) {
			values = append(values, value(arms[j]))
			if i == 0 {
				groups = append(groups, fmt.Sprintf("UE of %g core", arms[j].Share))
			}
		}
		b, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		b.Color, b.LineStyle.Width = colours[i], 0
		b.Offset = width * vg.Length(i-1)
		p.Add(b)
		p.Legend.Add(arms[i].Name, b)
	}
	p.NominalX(groups...)
	p.Y.Max *= 1.25 // room for the legend
	return p, nil
}
