//go:build cgo && opencv

package main

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"os"
	"slices"

	"gocv.io/x/gocv"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

// A picture is what is drawn on a frame.
type picture struct {
	boxes   []head.Box
	labels  []string
	caption string
	edge    bool
}

var (
	ueColour   = color.RGBA{R: 230, G: 126, B: 34, A: 255}
	edgeColour = color.RGBA{R: 47, G: 111, B: 214, A: 255}
	ink        = color.RGBA{R: 255, G: 255, B: 255, A: 255}
)

// draw draws p on the current frame.
func (c *camera) draw(p picture) { p.on(&c.mat) }

func (p picture) on(m *gocv.Mat) {
	colour := ueColour
	if p.edge {
		colour = edgeColour
	}
	for i := range p.boxes {
		outline(m, &p.boxes[i], colour)
	}
	t := tags{m: m, colour: colour}
	t.add(p.caption, image.Pt(0, 20))
	for _, b := range p.boxes { // the most confident first, which has the best place
		t.add(fmt.Sprintf("%s %.0f%%", label(p.labels, b.Class), 100*b.Score), image.Pt(int(b.X), int(b.Y)))
	}
}

// tags are texts on filled boxes, none of which covers another's text.
type tags struct {
	m      *gocv.Mat
	colour color.RGBA
	placed []image.Rectangle
}

// add writes text above at.
func (t *tags) add(text string, at image.Point) {
	const scale, pad = 0.45, 3
	size := gocv.GetTextSize(text, gocv.FontHersheySimplex, scale, 1)
	r := image.Rect(at.X, at.Y-size.Y-2*pad, at.X+size.X+2*pad, at.Y)
	r = place(r, t.placed, image.Rect(0, 0, t.m.Cols(), t.m.Rows()))
	t.placed = append(t.placed, r)
	gocv.Rectangle(t.m, r, t.colour, -1)
	gocv.PutText(t.m, text, image.Pt(r.Min.X+pad, r.Max.Y-pad), gocv.FontHersheySimplex, scale, ink, 1)
}

// place moves r into the picture, and down until it covers none that is placed. Where there is no room it stays.
func place(r image.Rectangle, placed []image.Rectangle, picture image.Rectangle) image.Rectangle {
	r = r.Add(image.Pt(min(0, picture.Max.X-r.Max.X), max(0, picture.Min.Y-r.Min.Y)))
	r = r.Add(image.Pt(max(0, picture.Min.X-r.Min.X), 0))
	for moved := r; moved.Max.Y <= picture.Max.Y; {
		i := slices.IndexFunc(placed, moved.Overlaps)
		if i < 0 {
			return moved
		}
		moved = moved.Add(image.Pt(0, placed[i].Max.Y-moved.Min.Y))
	}
	return r
}

func label(labels []string, class int) string {
	if class >= 0 && class < len(labels) {
		return labels[class]
	}
	return fmt.Sprintf("class %d", class)
}

// A window shows pictures on the desktop.
type window struct{ w *gocv.Window }

// openWindow opens a window as large as the frames of c.
func openWindow(c *camera) (*window, error) {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return nil, errors.New("-display needs a desktop, and there is none here (DISPLAY is not set); look at the page instead")
	}
	w := gocv.NewWindow("yolo-demo")
	w.ResizeWindow(c.mat.Cols(), c.mat.Rows())
	return &window{w}, nil
}

func (w *window) show(c *camera) {
	w.w.IMShow(c.mat)
	w.w.WaitKey(1)
}

func (w *window) Close() { w.w.Close() }
