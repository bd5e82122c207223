package head

import (
	"cmp"
	"slices"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// maxCandidates is how many boxes enter suppression. Its time grows with the
// square, and a scene in which more than a few hundred matter has not been
// seen: a network fed with noise has.
const maxCandidates = 1000

// candidates collects the boxes above a score, in pixels of the image.
type candidates struct {
	fit   nn.Fit
	score float32
	boxes []Box
}

// addCentred adds a box given by its centre and size in input pixels.
func (c *candidates) addCentred(cx, cy, w, h, score float32, class int) {
	hw, hh := float32(w/2), float32(h/2)
	c.add(cx-hw, cy-hh, cx+hw, cy+hh, score, class)
}

// add adds a box given by its corners in input pixels.
func (c *candidates) add(x0, y0, x1, y1, score float32, class int) {
	f := &c.fit
	x0, x1 = (x0-f.PadX)/f.Scale, (x1-f.PadX)/f.Scale
	y0, y1 = (y0-f.PadY)/f.Scale, (y1-f.PadY)/f.Scale
	if !finite(x0) || !finite(y0) || !finite(x1) || !finite(y1) || !finite(score) {
		return
	}
	x0, x1 = max(x0, 0), min(x1, float32(f.ImageW))
	y0, y1 = max(y0, 0), min(y1, float32(f.ImageH))
	if x1 <= x0 || y1 <= y0 {
		return
	}
	c.boxes = append(c.boxes, Box{X: x0, Y: y0, W: x1 - x0, H: y1 - y0, Score: min(score, 1), Class: class})
	if len(c.boxes) == 2*maxCandidates {
		c.boxes = c.best()
	}
}

// best returns the most confident boxes in order. Of equals the first stays.
func (c *candidates) best() []Box {
	slices.SortStableFunc(c.boxes, func(a, b Box) int { return cmp.Compare(b.Score, a.Score) })
	return c.boxes[:min(len(c.boxes), maxCandidates)]
}

// suppress keeps, of boxes in order, each that overlaps no kept box of its
// class by more than iou. It works in place.
func suppress(boxes []Box, iou float32) []Box {
	kept := boxes[:0]
	for _, b := range boxes {
		if !covered(b, kept, iou) {
			kept = append(kept, b)
		}
	}
	return kept
}

func covered(b Box, kept []Box, iou float32) bool {
	for i := range kept {
		if kept[i].Class == b.Class && overlap(&kept[i], &b) > iou {
			return true
		}
	}
	return false
}

// overlap returns the intersection of a and b over their union.
func overlap(a, b *Box) float32 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	both := float32(w * h)
	return both / (float32(a.W*a.H) + float32(b.W*b.H) - both)
}
