//go:build cgo && opencv

package main

import (
	"image/color"
	"math"
	"os"
	"path/filepath"
	"testing"

	"gocv.io/x/gocv"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

// at returns the colour of a pixel.
func at(m *gocv.Mat, x, y int) color.RGBA {
	v := m.GetVecbAt(y, x)
	return color.RGBA{R: v[2], G: v[1], B: v[0], A: 255}
}

// What a network tells beyond a box is on the frame: turned boxes, poses, masks.
func TestShapesAreDrawn(t *testing.T) {
	m := gocv.NewMatWithSize(120, 360, gocv.MatTypeCV8UC3)
	defer m.Close()
	black, half := color.RGBA{A: 255}, color.RGBA{R: ueColour.R / 2, G: ueColour.G / 2, B: ueColour.B / 2, A: 255}
	nan, far := float32(math.NaN()), float32(1e30)
	person := make([]head.Keypoint, 17)
	person[5], person[7], person[9] = head.Keypoint{X: 150, Y: 30, Score: 0.9}, head.Keypoint{X: 150, Y: 70, Score: 0.9}, head.Keypoint{X: 190, Y: 70, Score: 0.4}
	ring := head.Mask{X: 240, Y: 20, W: 80, H: 80, Cols: 2, Rows: 2, Bits: []byte{0b0110}}
	picture{caption: "shapes", boxes: []head.Box{
		{X: 10, Y: 30, W: 80, H: 80, Shape: &head.Shape{Corners: []head.Point{{X: 50, Y: 30}, {X: 90, Y: 70}, {X: 50, Y: 110}, {X: 10, Y: 70}}}},
		{X: 130, Y: 25, W: 80, H: 80, Shape: &head.Shape{Keypoints: person}},
		{X: 240, Y: 20, W: 80, H: 80, Shape: &head.Shape{Mask: ring}},
		{X: 300, Y: 100, W: 1000, H: 1000, Shape: &head.Shape{Mask: head.Mask{X: 300, Y: 100, W: 1000, H: 1000, Cols: 9, Rows: 9}, Corners: []head.Point{{X: far, Y: nan}, {X: -far, Y: far}}, Keypoints: []head.Keypoint{{X: far, Y: nan, Score: 1}}}},
	}}.on(&m)
	for _, tt := range []struct {
		x, y int
		want color.RGBA
		why  string
	}{
		{70, 50, ueColour, "on a side of the turned box"},
		{12, 108, black, "at the corner of the upright one around it"},
		{150, 50, boneColour, "on an arm"},
		{170, 70, black, "on an arm whose hand cannot be seen"},
		{300, 45, half, "in the mask"},
		{260, 45, black, "in the box, beside the mask"},
		{260, 80, half, "in the mask, below"},
		{241, 80, ueColour, "on the box of what has a mask"},
	} {
		if got := at(&m, tt.x, tt.y); got != tt.want {
			t.Errorf("%s, at %d, %d: %v; want %v", tt.why, tt.x, tt.y, got, tt.want)
		}
	}
	if dir := os.Getenv("BUNGEE_SHOTS"); dir != "" && !gocv.IMWrite(filepath.Join(dir, "shapes.png"), m) {
		t.Error("the picture cannot be written")
	}
}

// A frame that was made smaller for its call has its shapes at its own size.
func TestShapesOfSmallerFrames(t *testing.T) {
	e := encoded{dx: 2, dy: 4}
	shape := &head.Shape{Corners: []head.Point{{X: 1, Y: 1}}}
	got := e.enlarge([]head.Box{{X: 1, Y: 1, W: 1, H: 1, Shape: shape}, {X: 1}})
	if got[0].Shape.Corners[0] != (head.Point{X: 2, Y: 4}) || got[1].Shape != nil || shape.Corners[0].X != 1 {
		t.Errorf("enlarged to %+v; want corners at 2, 4, and no shape where there was none", got)
	}
}
