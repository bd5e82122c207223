// Package head reads the outputs of object detectors.
//
// A detector's last layers, its head, give numbers per cell or per anchor.
// [Decode] turns them into boxes in pixels of the image that was put in, and
// keeps the most confident box of each cluster of one class.
//
// It links into a guest, so it has no fmt and no reflection. The same tensors
// give the same bits on every platform: products are rounded before they are
// added, which forbids fused multiply-add, and exp is our own.
package head

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// A Kind names how a detector's outputs are laid out. The empty Kind means:
// recognise it by the outputs' shapes.
type Kind string

// The kinds known.
const (
	// Darknet is YOLO as OpenCV's Region layers give it: outputs
	// [N, 5+classes], rows of cx cy w h relative to the input, objectness,
	// and class scores that are multiplied with it.
	Darknet Kind = "darknet"
	// YOLOX is one output [1, N, 5+classes] of cells at strides 8, 16, 32: cx
	// cy relative to the cell, in strides, log w and h, objectness, classes.
	YOLOX Kind = "yolox"
	// CenterNet is a heat map [1, classes, H, W] and [1, 4, H, W] with the
	// distances from a cell's corner to the box's left, top, right and bottom
	// in pixels of the input. Where both have 4 channels the heat map is first.
	CenterNet Kind = "centernet"
	// YOLOv8 is one output [1, 4+classes, N]: cx cy w h in pixels of the
	// input, class scores.
	YOLOv8 Kind = "yolov8"
)

// ParseKind returns the kind of that name. The empty name is the empty Kind.
func ParseKind(s string) (Kind, error) {
	if s == "" {
		return "", nil
	}
	for _, l := range layouts {
		if Kind(s) == l.kind {
			return l.kind, nil
		}
	}
	return "", errors.New("no head is called " + strconv.Quote(s) + "; known are " + kindNames())
}

// Options say which boxes to keep. The zero Options are ready to use.
type Options struct {
	// Score is the least confidence of a box. Zero, less, or NaN means 0.25.
	Score float32
	// IoU is the most that two boxes of a class overlap, as intersection over
	// union. Zero, less, or NaN means 0.45.
	IoU float32
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

// A ShapeError reports outputs that the head asked for, or any known head,
// cannot read.
type ShapeError struct {
	Kind           Kind // asked for, or empty
	Got            [][]int
	InputW, InputH int
}

// Error names the shapes that came and all that are known.
func (e *ShapeError) Error() string {
	var b strings.Builder
	b.WriteString("the network's output shapes ")
	if len(e.Got) == 0 {
		b.WriteString("(none)")
	}
	for i, s := range e.Got {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(shapeString(s))
	}
	if e.Kind == "" {
		b.WriteString(" fit no known head")
	} else {
		b.WriteString(" do not fit the head " + string(e.Kind))
	}
	b.WriteString(" at input " + strconv.Itoa(e.InputW) + "x" + strconv.Itoa(e.InputH) + "; known are ")
	for i, l := range layouts {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(string(l.kind) + " " + l.shape)
	}
	b.WriteString("; N is " + strconv.Itoa(cells(e.InputW, e.InputH)) + " at this input")
	return b.String()
}

// A layout is what Decode knows of a kind. fits looks at shapes only; decode
// may rely on it.
type layout struct {
	kind   Kind
	shape  string
	fits   func(out []nn.Tensor, fit nn.Fit) bool
	decode func(c *candidates, out []nn.Tensor)
}

// layouts is in the order of recognition.
var layouts = [...]layout{
	{Darknet, "[any, 5+classes], one or more", darknetFits, darknet},
	{YOLOX, "[1, N, 5+classes]", yoloxFits, yolox},
	{YOLOv8, "[1, 4+classes, N]", yolov8Fits, yolov8},
	{CenterNet, "[1, classes, H, W] and [1, 4, H, W]", centerNetFits, centerNet},
}

// Decode returns the objects that a detector found, the most confident first.
//
// out is what the network gave for an image placed as fit says. Boxes are in
// pixels of that image, clipped to it; those outside it or with a coordinate
// that is no number are left out. No two boxes of one class overlap by more
// than opt.IoU. Of equal scores the one earlier in the output comes first. At
// most 1000 boxes, the best, are looked at.
//
// Outputs that do not fit kind give a [*ShapeError].
func Decode(kind Kind, out []nn.Tensor, fit nn.Fit, opt Options) ([]Box, error) {
	if err := checkFit(fit); err != nil {
		return nil, err
	}
	l := find(kind, out, fit)
	if l == nil {
		return nil, shapeError(kind, out, fit)
	}
	opt = opt.filled()
	c := candidates{fit: fit, score: opt.Score}
	l.decode(&c, out)
	return suppress(c.best(), opt.IoU), nil
}

// find returns the layout for out, nil if there is none.
func find(kind Kind, out []nn.Tensor, fit nn.Fit) *layout {
	for _, t := range out {
		if !whole(t) {
			return nil
		}
	}
	for i := range layouts {
		l := &layouts[i]
		if (kind == "" || kind == l.kind) && l.fits(out, fit) {
			return l
		}
	}
	return nil
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

func shapeError(kind Kind, out []nn.Tensor, fit nn.Fit) error {
	e := &ShapeError{Kind: kind, InputW: fit.InputW, InputH: fit.InputH}
	for _, t := range out {
		e.Got = append(e.Got, t.Shape)
	}
	return e
}

func kindNames() string {
	names := make([]string, len(layouts))
	for i, l := range layouts {
		names[i] = string(l.kind)
	}
	return strings.Join(names, ", ")
}

func shapeString(s []int) string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = strconv.Itoa(d)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }
