//go:build cgo && opencv

package main

import (
	"image"
	"image/color"

	"gocv.io/x/gocv"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

var boneColour = color.RGBA{R: 163, G: 230, B: 53, A: 255}

// limbs are the pairs of the 17 keypoints of COCO that are drawn as a line: face, arms, trunk, legs.
var limbs = [...][2]int{
	{0, 1}, {0, 2}, {1, 3}, {2, 4}, {5, 7}, {7, 9}, {6, 8}, {8, 10}, {5, 6}, {5, 11}, {6, 12}, {11, 12}, {11, 13}, {13, 15}, {12, 14}, {14, 16},
}

// leastKeypoint is the confidence from which on a keypoint is drawn, as Ultralytics draws them.
const leastKeypoint = 0.5

// outline draws an object: its mask, its box, turned where it is, and its pose.
func outline(m *gocv.Mat, b *head.Box, colour color.RGBA) {
	if b.Shape == nil {
		b = &head.Box{X: b.X, Y: b.Y, W: b.W, H: b.H, Shape: &head.Shape{}}
	}
	tint(m, b, colour)
	if corners := b.Shape.Corners; len(corners) > 0 {
		for i, from := range corners {
			gocv.Line(m, pixel(from), pixel(corners[(i+1)%len(corners)]), colour, 2)
		}
	} else {
		gocv.Rectangle(m, image.Rect(int(b.X), int(b.Y), int(b.X+b.W), int(b.Y+b.H)), colour, 2)
	}
	skeleton(m, b.Shape.Keypoints)
}

// pixel returns a place near or in the picture. One that is far off would overflow the library's sums.
func pixel(p head.Point) image.Point {
	const far = 1 << 14
	near := func(x float32) int {
		if !(x > -far) { // nor is it a number, perhaps
			return -far
		}
		return int(min(x, far))
	}
	return image.Pt(near(p.X), near(p.Y))
}

// skeleton draws the keypoints that can be seen and, of a person of COCO, the limbs between them.
func skeleton(m *gocv.Mat, all []head.Keypoint) {
	at := func(k head.Keypoint) image.Point { return pixel(head.Point{X: k.X, Y: k.Y}) }
	if len(all) == 17 {
		for _, l := range limbs {
			if a, b := all[l[0]], all[l[1]]; a.Score >= leastKeypoint && b.Score >= leastKeypoint {
				gocv.Line(m, at(a), at(b), boneColour, 2)
			}
		}
	}
	for _, k := range all {
		if k.Score >= leastKeypoint {
			gocv.Circle(m, at(k), 3, boneColour, -1)
		}
	}
}

// tint mixes half of the colour into the pixels of an object with a mask.
func tint(m *gocv.Mat, b *head.Box, colour color.RGBA) {
	mask := &b.Shape.Mask
	if mask.Cols == 0 || m.Type() != gocv.MatTypeCV8UC3 || !m.IsContinuous() {
		return
	}
	data, err := m.DataPtrUint8()
	if err != nil {
		return
	}
	inside := image.Rect(int(b.X), int(b.Y), int(b.X+b.W), int(b.Y+b.H)).Intersect(image.Rect(0, 0, m.Cols(), m.Rows()))
	mix := func(p *uint8, c uint8) { *p = uint8((int(*p) + int(c)) / 2) }
	for y := inside.Min.Y; y < inside.Max.Y; y++ {
		for x := inside.Min.X; x < inside.Max.X; x++ {
			if !mask.At(float32(x)+0.5, float32(y)+0.5) {
				continue
			}
			p := data[3*(y*m.Cols()+x):]
			mix(&p[0], colour.B)
			mix(&p[1], colour.G)
			mix(&p[2], colour.R)
		}
	}
}
