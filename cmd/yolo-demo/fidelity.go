//go:build cgo && opencv

package main

import (
	"fmt"
	"image"
	"math"

	"gocv.io/x/gocv"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// A fidelity is how frames are encoded.
type fidelity struct {
	quality int     // of the JPEG, 1 to 100
	size    float64 // of its sides, to the video's
}

func (f fidelity) String() string {
	if f.size == 1 {
		return fmt.Sprintf("quality %d, full size", f.quality)
	}
	return fmt.Sprintf("quality %d, %.3g %% of the size", f.quality, 100*f.size)
}

// steps are what the policy may choose from, their qualities in percent of the best one. They are chosen from a
// grid by how many detections of yolo-fastest-1.1-xl on pedestrians from above they keep for their bytes: below an eighth less size, less
// quality costs fewer of them than less size. A run with -policy adaptive tells what each costs.
var steps = []fidelity{{100, 1}, {60, 0.875}, {40, 0.875}, {27, 0.875}, {27, 0.75}, {27, 0.65}, {20, 0.5}}

// fidelities returns the first n steps below a quality, the best first.
func fidelities(quality, n int) []fidelity {
	all := make([]fidelity, n)
	for i, s := range steps[:n] {
		all[i] = fidelity{max(1, quality*s.quality/100), s.size}
	}
	return all
}

// An encoded frame is a JPEG and how many times smaller than the frame its sides are.
type encoded struct {
	jpeg   []byte
	dx, dy float32
}

// encode returns the current frame at a fidelity.
func (c *camera) encode(f fidelity) (encoded, error) {
	if f.size == 1 {
		b, err := c.jpeg(f.quality)
		return encoded{b, 1, 1}, err
	}
	w, h := c.mat.Cols(), c.mat.Rows()
	to := image.Pt(shrunk(w, f.size), shrunk(h, f.size))
	gocv.Resize(c.mat, &c.small, to, 0, 0, gocv.InterpolationArea)
	b, err := encode(c.small, f.quality)
	return encoded{b, float32(w) / float32(to.X), float32(h) / float32(to.Y)}, err
}

func shrunk(pixels int, size float64) int { return max(1, int(math.Round(float64(pixels)*size))) }

// enlarge turns boxes in the pixels of e into those of the frame.
func (e *encoded) enlarge(boxes []head.Box) []head.Box {
	for i := range boxes {
		b := &boxes[i]
		b.X, b.Y, b.W, b.H = b.X*e.dx, b.Y*e.dy, b.W*e.dx, b.H*e.dy
		b.Shape = b.Shape.Scaled(e.dx, e.dy)
	}
	return boxes
}

// names returns the fidelities in words.
func (d *demo) names() (all []string) {
	for _, f := range d.fidelities {
		all = append(all, f.String())
	}
	return all
}

// levels returns what the policy is told of the fidelities: the bytes are those of the first frame, until calls tell.
func (d *demo) levels() ([]policy.Level, error) {
	var all []policy.Level
	for _, f := range d.fidelities {
		e, err := d.cam.encode(f)
		if err != nil {
			return nil, err
		}
		all = append(all, policy.Level{Quality: f.quality, Size: f.size, Bytes: policy.Known(float64(len(e.jpeg)))})
	}
	return all, nil
}
