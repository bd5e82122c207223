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

// slack is by how much a score may be beyond 0 or 1: a product of rounded numbers,
// and a sigmoid in half precision, can be beyond by less.
const slack = 1e-3

// candidates collects the boxes above a score, in pixels of the image.
type candidates struct {
	fit   nn.Fit
	score float32
	boxes []Box

	shape    *Shape         // of the box that is added next
	anchor   map[*Shape]int // whose mask it will have
	met, odd int            // boxes met, and those of a size that is none
	strange  string         // why the outputs are of another kind; empty: they are not

	shapes [maxOutputs][]int // of the outputs, while the layout is looked for
}

// refuse notes the first reason why the outputs are of another kind.
func (c *candidates) refuse(why string) {
	if c.strange == "" {
		c.strange = why
	}
}

// likely says whether a score, which is at least the least, is one: of 0 to 1.
func (c *candidates) likely(score float32) bool {
	if score > 1+slack {
		c.refuse("a score is " + number(score) + ", not 0 to 1")
		return false
	}
	return true
}

// addCentred adds a box given by its centre and size in input pixels.
func (c *candidates) addCentred(cx, cy, w, h, score float32, class int) {
	hw, hh := float32(w/2), float32(h/2)
	c.add(cx-hw, cy-hh, cx+hw, cy+hh, score, class)
}

// add adds a box given by its corners in input pixels.
func (c *candidates) add(x0, y0, x1, y1, score float32, class int) {
	f := &c.fit
	if c.met++; !sized(x1-x0, f.InputW) || !sized(y1-y0, f.InputH) {
		c.odd++
	}
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
	c.boxes = append(c.boxes, Box{X: x0, Y: y0, W: x1 - x0, H: y1 - y0, Score: min(score, 1), Class: class, Shape: c.shape})
	if len(c.boxes) == 2*maxCandidates {
		c.boxes = c.best()
	}
}

// sized says whether a side of a box, in pixels of an input of that size, can be one.
// Networks give boxes that reach over the image, but not far.
func sized(side float32, input int) bool { return side >= 1 && side <= 4*float32(input) }

// best returns the most confident boxes in order. Of equals the first stays.
func (c *candidates) best() []Box {
	slices.SortStableFunc(c.boxes, func(a, b Box) int { return cmp.Compare(b.Score, a.Score) })
	return c.boxes[:min(len(c.boxes), maxCandidates)]
}
