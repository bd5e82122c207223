package bench

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"sort"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// colours of the arms, in their order: a set that colour-blind people can tell
// apart.
var colours = []color.RGBA{{230, 126, 34, 255}, {52, 101, 164, 255}, {39, 174, 96, 255}, {204, 121, 167, 255}}

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
	return writePNG(dir, "paper001.png", img)
}

// bars draws a group of bars for each UE.
func bars(title string, arms []arm, value func(arm) float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = title
	p.Y.Min = 0
	p.Legend.Top = true
	width := vg.Points(13)
	var groups []string
	for i := range armsOfUE {
		var values plotter.Values
		for j := i; j < len(arms); j += armsOfUE {
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

// drawnEvents is how many events of a case are drawn: more are a blot.
const drawnEvents = 40

// drawGaps draws a panel for each case into handover.png: the time between two
// deliveries around each event.
func drawGaps(dir string, cases []*outcome) error {
	if len(cases) == 0 {
		return nil
	}
	const columns = 4
	rows := (len(cases) + columns - 1) / columns
	img := vgimg.New(columns*8*vg.Centimeter, vg.Length(rows)*7*vg.Centimeter)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 5 * vg.Millimeter, PadY: 5 * vg.Millimeter, PadTop: vg.Millimeter, PadRight: 5 * vg.Millimeter, PadLeft: vg.Millimeter}
	canvas := draw.New(img)
	for i, c := range cases {
		p, err := gapPlot(c)
		if err != nil {
			return err
		}
		p.Draw(tiles.At(canvas, i%columns, i/columns))
	}
	return writePNG(dir, "handover.png", img)
}

// gapPlot draws the deliveries' intervals around each event of a case, which
// begins at 0.
func gapPlot(c *outcome) (*plot.Plot, error) {
	const before, after = 60 * time.Millisecond, 140 * time.Millisecond
	p := plot.New()
	p.Title.Text = c.name
	p.X.Label.Text, p.Y.Label.Text = "ms since the event", "ms between two results"
	p.X.Min, p.X.Max, p.Y.Min = -ms(before), ms(after), 0
	for _, m := range c.marks[:min(len(c.marks), drawnEvents)] {
		line, err := plotter.NewLine(around(c.delivered, m.from-before, m.from+after, m.from))
		if err != nil {
			return nil, err
		}
		line.Color = colours[1]
		line.Width = vg.Points(0.4)
		p.Add(line)
	}
	return p, nil
}

// around returns the intervals of the deliveries between begin and end, with the
// time counted from zero.
func around(delivered []delivery, begin, end, zero time.Duration) plotter.XYs {
	var xys plotter.XYs
	for i := sort.Search(len(delivered), func(i int) bool { return delivered[i].at >= begin }); i < len(delivered); i++ {
		if i == 0 {
			continue
		}
		if delivered[i].at > end {
			break
		}
		xys = append(xys, plotter.XY{X: ms(delivered[i].at - zero), Y: ms(delivered[i].at - delivered[i-1].at)})
	}
	if len(xys) == 0 {
		xys = plotter.XYs{{}}
	}
	return xys
}

func writePNG(dir, name string, img *vgimg.Canvas) error {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
