// Package head reads the outputs of object detectors.
//
// A detector's last layers, its head, give numbers per cell or per anchor.
// [Decode] turns them into boxes in pixels of the image that was put in, and
// keeps the most confident box of each cluster of one class.
//
// # What is no proof
//
// Networks of several kinds have outputs of one shape, and what is read as another
// kind gives boxes, too: wrong ones. So the number of classes that a shape has is held
// against that of the labels, and what fits several kinds is refused ([Recognise]).
// Scores are held against 0 to 1, and boxes against the size of the input, in each
// frame ([ValueError]).
//
// # Bits
//
// It links into a guest, so it has no fmt and no reflection. The same tensors
// give the same bits on every platform: products are rounded before they are
// added, which forbids fused multiply-add, and exp, sine and cosine are our own.
package head

import (
	"errors"
	"math"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// Options say which boxes to keep. The zero Options are ready to use.
type Options struct {
	// Score is the least confidence of a box. Zero, less, or NaN means 0.25.
	Score float32
	// IoU is the most that two boxes of a class overlap, as intersection over
	// union. Zero, less, or NaN means 0.45.
	IoU float32
	// Classes is how many labels the network has. Zero means that it is not known,
	// and not held against anything.
	Classes int
}

func (o Options) filled() Options {
	if !(o.Score > 0) {
		o.Score = 0.25
	}
	if !(o.IoU > 0) {
		o.IoU = 0.45
	}
	return o
}

// Decode returns the objects that a detector found, the most confident first.
//
// out is what the network gave for an image placed as fit says. Boxes are in
// pixels of that image, clipped to it; those outside it or with a coordinate
// that is no number are left out. No two boxes of one class overlap by more
// than opt.IoU. Of equal scores the one earlier in the output comes first. At
// most 1000 boxes, the best, are looked at.
//
// Of turned boxes, poses and masks each box has a [Shape]; of the first 50 boxes, where it is a mask.
//
// Outputs that do not fit kind give an error of [Recognise], and numbers that it
// cannot have given a [*ValueError].
func Decode(kind Kind, out []nn.Tensor, fit nn.Fit, opt Options) ([]Box, error) {
	if err := checkFit(fit); err != nil {
		return nil, err
	}
	opt = opt.filled()
	c := candidates{fit: fit, score: opt.Score}
	l, classes, err := c.find(kind, out, opt.Classes)
	if err != nil {
		return nil, err
	}
	s := source{out: out, classes: classes}
	l.decode(&c, s)
	if c.strange == "" && c.odd > 0 && c.odd == c.met {
		c.strange = "none of the boxes that are likely is between a pixel and four inputs large"
	}
	if c.strange != "" {
		return nil, &ValueError{l.kind, c.strange}
	}
	kept := suppress(c.best(), opt.IoU)
	c.addMasks(kept, s)
	return kept, nil
}

// Recognise returns the kind of a network whose outputs have these shapes at an input
// of w x h pixels, and which has so many classes: as many as it has labels, 0 where
// that is not known. A kind that is given is checked.
//
// The error is a [*ShapeError] where the shapes fit no kind, a [*ClassesError] where
// they would with another number of classes, and an [*AmbiguousError] where they fit
// several kinds, or one that has to be named: darknet, yolox, yolov6, centernet,
// yolov8-pose and yolov8-obb.
func Recognise(kind Kind, out [][]int, w, h, classes int) (Kind, error) {
	l, _, err := recognise(kind, shapes{out, w, h}, classes)
	if err != nil {
		return "", err
	}
	return l.kind, nil
}

// recognise is Recognise, and returns how many classes the outputs have.
func recognise(kind Kind, s shapes, want int) (*layout, int, error) {
	var fits []*layout
	wrong := ClassesError{Kind: kind, Got: s.out, Labels: want}
	counts := 0
	for i := range layouts {
		l := &layouts[i]
		if kind != "" && kind != l.kind {
			continue
		}
		n := l.classes(s, want)
		switch {
		case n == noFit:
		case want > 0 && n != unknown && n != want:
			wrong.As, wrong.Classes = append(wrong.As, l.kind), append(wrong.Classes, n)
		default:
			fits, counts = append(fits, l), max(n, want)
		}
	}
	switch {
	case len(fits) == 1 && (kind != "" || !fits[0].byName):
		return fits[0], counts, nil
	case len(fits) > 0:
		return nil, 0, ambiguous(s.out, fits)
	case len(wrong.As) > 0:
		return nil, 0, &wrong
	}
	return nil, 0, &ShapeError{Kind: kind, Got: s.out, InputW: s.w, InputH: s.h, Classes: want}
}

func ambiguous(out [][]int, fits []*layout) error {
	e := &AmbiguousError{Got: out}
	for _, l := range fits {
		e.Fits = append(e.Fits, l.kind)
	}
	return e
}

// find returns the layout for out, and how many classes it has.
func (c *candidates) find(kind Kind, out []nn.Tensor, classes int) (*layout, int, error) {
	if l, n := c.sure(kind, out, classes); l != nil {
		return l, n, nil
	}
	s := shapes{w: c.fit.InputW, h: c.fit.InputH}
	good := true
	for _, t := range out {
		s.out = append(s.out, t.Shape)
		good = good && whole(t)
	}
	if !good {
		return nil, 0, &ShapeError{Kind: kind, Got: s.out, InputW: s.w, InputH: s.h, Classes: classes}
	}
	return recognise(kind, s, classes)
}

// maxOutputs is how many outputs sure looks at.
const maxOutputs = 16

// sure is find without an allocation, for a kind that is named and fits; else nil.
func (c *candidates) sure(kind Kind, out []nn.Tensor, classes int) (*layout, int) {
	l := named(kind)
	if l == nil || len(out) > maxOutputs {
		return nil, 0
	}
	for i, t := range out {
		if !whole(t) {
			return nil, 0
		}
		c.shapes[i] = t.Shape
	}
	n := l.classes(shapes{c.shapes[:len(out)], c.fit.InputW, c.fit.InputH}, classes)
	if n == noFit || classes > 0 && n != unknown && n != classes {
		return nil, 0
	}
	return l, max(n, classes)
}

// whole reports whether t has as many numbers as its shape says.
func whole(t nn.Tensor) bool {
	n := int64(1)
	for _, d := range t.Shape {
		if d < 0 || d > nn.MaxTensor || n > nn.MaxTensor {
			return false
		}
		n *= int64(d)
	}
	return n == int64(len(t.Data))
}

func checkFit(f nn.Fit) error {
	ok := f.ImageW > 0 && f.ImageH > 0 && f.InputW > 0 && f.InputH > 0 &&
		f.Scale > 0 && finite(f.Scale) && finite(f.PadX) && finite(f.PadY)
	if ok {
		return nil
	}
	return errors.New("the image's fit has a size or a scale that is not positive; pass what nn.Session.SetImage returned")
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }
