package report

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A Format is a file format of a figure.
type Format int

// The formats.
const (
	SVG Format = iota
	PNG
)

// The figure's look: a light page, one colour a panel, offloaded stretches in a
// pale blue that prints as light grey.
var (
	ink     = color.NRGBA{R: 0x1f, G: 0x29, B: 0x37, A: 0xff}
	faint   = color.NRGBA{R: 0xd1, G: 0xd5, B: 0xdb, A: 0xff}
	shade   = color.NRGBA{R: 0xdb, G: 0xea, B: 0xfe, A: 0xff}
	fpsInk  = color.NRGBA{R: 0x1d, G: 0x4e, B: 0xd8, A: 0xff}
	cpuInk  = color.NRGBA{R: 0xc2, G: 0x41, B: 0x0c, A: 0xff}
	tempInk = color.NRGBA{R: 0xb9, G: 0x1c, B: 0x1c, A: 0xff}
	netInk  = color.NRGBA{R: 0x04, G: 0x78, B: 0x57, A: 0xff}
	backInk = color.NRGBA{R: 0xbe, G: 0x12, B: 0x3c, A: 0xff} // of frames that fell back
)

const (
	figureWidth  = 24 * vg.Centimeter
	figureHeight = 26 * vg.Centimeter
	headHeight   = 1.9 * vg.Centimeter
	pngDPI       = 110
	bold         = 3 // as golang.org/x/image/font counts weights
)

// A panel is one of the figure's four.
type panel struct {
	title string
	ink   color.NRGBA
	value func(*Frame) float64
	// fromZero says that the axis begins at zero.
	fromZero bool
	empty    string // what to say when no frame has a value
}

func panels(r *Run) []panel {
	cpuOf, whole := "of a core", 1.0
	if r.UECPU > 0 {
		cpuOf, whole = fmt.Sprintf("of its share, %g of a core", r.UECPU), r.UECPU
	}
	return []panel{
		{"FPS", fpsInk, func(f *Frame) float64 { return f.FPS }, true, "no frames"},
		{"UE CPU, % " + cpuOf, cpuInk, func(f *Frame) float64 { return f.CPU / whole * 100 }, true, "no frames"},
		{tempTitle(r.TempSource), tempInk, func(f *Frame) float64 { return f.Temp }, false, "unknown: this UE does not tell its temperature"},
		{"Network, KB a frame", netInk, func(f *Frame) float64 { return float64(f.BytesUp+f.BytesDown) / 1000 }, true, "no frames"},
	}
}

// tempTitle never lets a modelled temperature pass for a measured one.
func tempTitle(source string) string {
	switch source {
	case "", "unknown":
		return "UE temperature: unknown"
	case "modelled":
		return "UE temperature, °C (modelled from the CPU load, not measured)"
	}
	return "UE temperature, °C (" + source + ")"
}

// WriteFigure draws the run like Figure 3 of paper 001: frame rate, UE
// processor, UE temperature and network data against the frame's number, with
// the offloaded stretches shaded.
func WriteFigure(w io.Writer, r *Run, format Format) error {
	var canvas vg.CanvasWriterTo
	if format == PNG {
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(
			vgimg.UseWH(figureWidth, figureHeight), vgimg.UseDPI(pngDPI))}
	} else {
		canvas = vgsvg.New(figureWidth, figureHeight)
	}
	if err := drawFigure(draw.New(canvas), r); err != nil {
		return fmt.Errorf("draw figure 3: %w", err)
	}
	if format == PNG {
		_, err := canvas.WriteTo(w)
		return err
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	_, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte(drawnFont), []byte(drawnFont+likeIt)))
	return err
}

// drawnFont is what gonum draws with, as SVG names it. Where a viewer lacks it another one of the same widths is there, or else one
// without serifs.
const (
	drawnFont = "font-family:Liberation Sans"
	likeIt    = ",Arial,Helvetica,sans-serif"
)

func drawFigure(dc draw.Canvas, r *Run) error {
	all := panels(r)
	rows := make([][]*plot.Plot, len(all))
	for i, p := range all {
		one, err := p.plot(r, i == len(all)-1)
		if err != nil {
			return err
		}
		rows[i] = []*plot.Plot{one}
	}
	dc.SetColor(color.White) // a page that is dark would show through
	dc.Fill(dc.Rectangle.Path())
	drawHead(dc, r)
	body := draw.Crop(dc, 0.4*vg.Centimeter, -0.7*vg.Centimeter, 0.3*vg.Centimeter, -headHeight)
	tiles := draw.Tiles{Rows: len(all), Cols: 1, PadY: 0.45 * vg.Centimeter}
	for i, row := range plot.Align(rows, tiles, body) {
		rows[i][0].Draw(row[0])
	}
	return nil
}

// plot draws one panel; the lowest names the axis that all share.
func (p panel) plot(r *Run, lowest bool) (*plot.Plot, error) {
	one := plot.New()
	one.Title.Text = p.title
	one.Title.Padding = vg.Points(5)
	one.Title.TextStyle.Font.Size = vg.Points(11.5)
	one.Title.TextStyle.Font.Weight = bold
	one.Title.TextStyle.Color = ink
	one.Title.TextStyle.Font.Variant = "Sans"
	styleAxis(&one.X, 13)
	styleAxis(&one.Y, 6)
	if lowest {
		one.X.Label.Text = "frame"
	}
	one.X.Min, one.X.Max = frameRange(r.Frames)
	runs := p.series(r.Frames)
	if len(runs) == 0 {
		one.Y.Tick.Marker = plot.ConstantTicks(nil)
	}
	lo, hi := p.scale(runs)
	err := p.addSeries(one, r, runs, lo, hi)
	one.Y.Min, one.Y.Max = lo, hi
	return one, err
}

func styleAxis(a *plot.Axis, labels ticks) {
	a.Tick.Marker = labels
	a.Tick.Label.Font.Variant, a.Label.TextStyle.Font.Variant = "Sans", "Sans"
	a.Label.TextStyle.Color = ink
	a.Label.TextStyle.Font.Size = vg.Points(10)
	a.Color, a.Tick.Color = ink, ink
	a.LineStyle.Width, a.Tick.LineStyle.Width = vg.Points(0.6), vg.Points(0.6)
	a.Tick.Label.Color = ink
	a.Tick.Label.Font.Size = vg.Points(9)
	a.Padding = 0
}

func frameRange(frames []Frame) (lo, hi float64) {
	if len(frames) == 0 {
		return 0, 1
	}
	return float64(frames[0].Number), float64(frames[len(frames)-1].Number) + 1
}

// addSeries draws shades, grid, each frame's value and their running mean.
func (p panel) addSeries(one *plot.Plot, r *Run, runs []plotter.XYs, lo, hi float64) error {
	if err := addShades(one, r.Frames, lo, hi); err != nil {
		return err
	}
	grid := plotter.NewGrid()
	grid.Vertical.Width, grid.Horizontal.Color = 0, faint
	one.Add(grid)
	if len(runs) == 0 {
		return addNote(one, p.empty, (lo+hi)/2)
	}
	for _, run := range runs {
		if err := p.addRun(one, run); err != nil {
			return err
		}
	}
	return nil
}

// addRun draws the values of one stretch: each frame thin, the mean thick.
func (p panel) addRun(one *plot.Plot, points plotter.XYs) error {
	thin, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	thick, err := plotter.NewLine(smooth(points))
	if err != nil {
		return err
	}
	pale := p.ink
	pale.A = 0x59
	thin.Color, thin.Width = pale, vg.Points(0.7)
	thick.Color, thick.Width = p.ink, vg.Points(1.7)
	one.Add(thin, thick)
	return nil
}

// backMark is the height of the mark of a fallback, in heights of a panel.
const backMark = 0.12

// addShades shades the stretches at the edge, and marks frames that fell back: at the foot of the panel, and as wide
// as can be seen.
func addShades(one *plot.Plot, frames []Frame, lo, hi float64) error {
	for _, s := range Stretches(frames) {
		if s.Where != Edge {
			continue
		}
		if err := addArea(one, float64(s.From), float64(s.To+1), lo, hi, shade); err != nil {
			return err
		}
	}
	seen := float64(len(frames)) / 400 // half a millimetre
	for _, s := range fellBack(frames) {
		if s.Where != fallback {
			continue
		}
		middle, half := float64(s.From+s.To+1)/2, max(float64(s.To+1-s.From), seen)/2
		if err := addArea(one, middle-half, middle+half, lo, lo+backMark*(hi-lo), backInk); err != nil {
			return err
		}
	}
	return nil
}

// addArea fills a rectangle.
func addArea(one *plot.Plot, x0, x1, y0, y1 float64, c color.Color) error {
	area, err := plotter.NewPolygon(plotter.XYs{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}})
	if err != nil {
		return err
	}
	area.Color, area.Width = c, 0
	one.Add(area)
	return nil
}

// addNote says in the middle of a panel why it is empty.
func addNote(one *plot.Plot, text string, y float64) error {
	at := plotter.XYLabels{XYs: plotter.XYs{{X: (one.X.Min + one.X.Max) / 2, Y: y}}, Labels: []string{text}}
	note, err := plotter.NewLabels(at)
	if err != nil {
		return err
	}
	note.TextStyle[0].Color, note.TextStyle[0].XAlign = ink, draw.XCenter
	note.TextStyle[0].Font.Size, note.TextStyle[0].Font.Variant = vg.Points(11), "Sans"
	one.Add(note)
	return nil
}

// drawHead writes the title, what was run, and the legend above the panels.
func drawHead(dc draw.Canvas, r *Run) {
	style := plot.New().Title.TextStyle
	style.Color, style.XAlign, style.YAlign = ink, draw.XLeft, draw.YTop
	style.Font.Variant, style.Font.Size, style.Font.Weight = "Sans", vg.Points(15), bold
	left, top := dc.Min.X+0.6*vg.Centimeter, dc.Max.Y-0.35*vg.Centimeter
	dc.FillText(style, vg.Point{X: left, Y: top}, "Object detection on the UE and on an edge host")
	style.Font.Size, style.Font.Weight = vg.Points(9.5), 0
	dc.FillText(style, vg.Point{X: left, Y: top - 0.75*vg.Centimeter}, subtitle(r))

	x, y := dc.Max.X-0.9*vg.Centimeter, top-0.05*vg.Centimeter
	style.XAlign = draw.XRight
	legend(dc, style, x, y, "offloaded to the edge host", shade)
	y -= 0.5 * vg.Centimeter
	if n := len(reasons(r.Frames)); n > 0 {
		legend(dc, style, x, y, "meant for it, and fallen back to the UE", backInk)
		y -= 0.5 * vg.Centimeter
	}
	dc.FillText(style, vg.Point{X: x, Y: y}, "thin: each frame; thick: mean of 9")
}

// legend writes what a colour means, to the left of x.
func legend(dc draw.Canvas, style draw.TextStyle, x, y vg.Length, text string, c color.Color) {
	dc.FillText(style, vg.Point{X: x, Y: y}, text)
	width := style.Width(text) + 0.25*vg.Centimeter
	box := vg.Rectangle{Min: vg.Point{X: x - width - 0.7*vg.Centimeter, Y: y - 0.36*vg.Centimeter},
		Max: vg.Point{X: x - width, Y: y}}
	dc.SetColor(c)
	dc.Fill(box.Path())
}

// subtitle says what the figures hold for.
func subtitle(r *Run) string {
	s := Summarize(r)
	parts := []string{fmt.Sprintf("%d frames, %s", s.Frames, s.moved()), s.offered()}
	if r.UECPU > 0 {
		parts = append(parts, fmt.Sprintf("UE limited to %g of a core", r.UECPU))
	}
	if r.Model != "" {
		parts = append(parts, r.Model)
	}
	return strings.Join(parts, ", ")
}
