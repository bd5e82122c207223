package bench

import (
	"encoding/json"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// A siegeCurve is what a host had in a case.
type siegeCurve struct {
	Case   string        `json:"case"`
	Points []memoryPoint `json:"points"`
}

// drawSiege draws the hosts' memory, a panel a case, into siege.png, and writes it to siege.jsonl.
func drawSiege(dir string, total int64, curves []siegeCurve) error {
	if err := writeCurves(filepath.Join(dir, "siege.jsonl"), curves); err != nil || len(curves) == 0 {
		return err
	}
	columns := min(4, len(curves))
	rows := (len(curves) + columns - 1) / columns
	img := vgimg.New(vg.Length(columns)*9*vg.Centimeter, vg.Length(rows)*6*vg.Centimeter)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 5 * vg.Millimeter, PadY: 5 * vg.Millimeter, PadTop: vg.Millimeter, PadRight: 5 * vg.Millimeter, PadLeft: vg.Millimeter}
	canvas := draw.New(img)
	for i, c := range curves {
		p, err := c.panel(total)
		if err != nil {
			return err
		}
		p.Draw(tiles.At(canvas, i%columns, i/columns))
	}
	return writePNG(dir, "siege.png", img)
}

func writeCurves(path string, curves []siegeCurve) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	e := json.NewEncoder(f)
	for _, c := range curves {
		if err := e.Encode(c); err != nil {
			f.Close()
			return err
		}
	}
	return f.Close()
}

// panel draws a case: the memory in peace and under siege, and the total.
func (c siegeCurve) panel(total int64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = c.Case
	p.X.Label.Text, p.Y.Label.Text = "s", "MB"
	p.Y.Min, p.X.Min = 0, 0
	var long float64
	for _, run := range phases(c.Points) {
		ink := colours[0]
		if run[len(run)-1].Phase != "" {
			ink = colours[1]
		}
		xys := make(plotter.XYs, len(run))
		for i, point := range run {
			xys[i] = plotter.XY{X: point.At.Seconds(), Y: float64(point.Bytes) / 1e6}
			long = max(long, xys[i].X)
		}
		if err := addLine(p, xys, ink, 1); err != nil {
			return nil, err
		}
	}
	bound := float64(total) / 1e6
	p.Y.Max = max(p.Y.Max, 1.1*bound)
	return p, addLine(p, plotter.XYs{{X: 0, Y: bound}, {X: max(long, 1), Y: bound}}, color.Gray{128}, 0.5)
}

func addLine(p *plot.Plot, xys plotter.XYs, ink color.Color, width float64) error {
	line, err := plotter.NewLine(xys)
	if err != nil {
		return err
	}
	line.Color, line.Width = ink, vg.Points(width)
	p.Add(line)
	return nil
}

// phases cuts points where peace or siege begins. Each part begins with the point before, so that the
// line has no gap.
func phases(points []memoryPoint) (all [][]memoryPoint) {
	begin := 0
	for i := range points {
		if i == len(points)-1 || points[i+1].Phase != points[i].Phase {
			all = append(all, points[max(0, begin-1):i+1])
			begin = i + 1
		}
	}
	return all
}
