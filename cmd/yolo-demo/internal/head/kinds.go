package head

import (
	"errors"
	"strconv"
	"strings"
)

// A Kind names how a detector's outputs are laid out. The empty Kind means:
// recognise it by the outputs' shapes and the number of classes, see [Recognise].
type Kind string

// The kinds known. N is the number of the cells of the grids that a network looks at.
const (
	// Darknet is YOLO as OpenCV's Region layers give it: outputs
	// [N, 5+classes], rows of cx cy w h relative to the input, objectness,
	// and class scores that are multiplied with it.
	Darknet Kind = "darknet"
	// YOLOX is one output [1, N, 5+classes] of cells at strides 8, 16, 32: cx
	// cy relative to the cell, in strides, log w and h, objectness, classes.
	YOLOX Kind = "yolox"
	// YOLOv6 is YOLOX whose boxes are in pixels of the input already.
	YOLOv6 Kind = "yolov6"
	// CenterNet is a heat map [1, classes, H, W] and [1, 4, H, W] with the
	// distances from a cell's corner to the box's left, top, right and bottom
	// in pixels of the input. Where both have 4 channels the heat map is first.
	CenterNet Kind = "centernet"
	// YOLOv5 is YOLO v5 and v7: [1, 3N, 5+classes], three anchors a cell, rows of
	// cx cy w h in pixels of the input, objectness, class scores. Further outputs
	// of five dimensions, the same before it was put together, are passed over.
	YOLOv5 Kind = "yolov5"
	// YOLOv8 is YOLO v8, v9, 11 and 12: one output [1, 4+classes, N]: cx cy w h
	// in pixels of the input, class scores.
	YOLOv8 Kind = "yolov8"
	// Pose is YOLOv8 with a person's keypoints, of two or three numbers each, behind
	// the class scores.
	Pose Kind = "yolov8-pose"
	// OBB is YOLOv8 whose boxes are turned: [1, 4+classes+1, N], the angle last. A
	// [Box] is the upright one around the turned one, whose corners its Shape has.
	OBB Kind = "yolov8-obb"
	// Segment is YOLOv8 with the weights of an object's mask behind the class scores:
	// [1, 4+classes+masks, N] and [1, masks, H, W].
	Segment Kind = "yolov8-seg"
	// EndToEnd has no cells any more: [1, boxes, 6], rows of x0 y0 x1 y1 in pixels of
	// the input, score, class, as YOLO v10 has, or v8 exported with its suppression;
	// or v7's [boxes, 7], rows of image, x0 y0 x1 y1, class, score.
	EndToEnd Kind = "end2end"
)

// A layout is what Decode knows of a kind.
type layout struct {
	kind  Kind
	shape string
	// classes returns how many classes outputs of these shapes have, unknown where
	// the shapes do not tell, and noFit where they are not of this kind. want is how
	// many there should be.
	classes func(s shapes, want int) int
	decode  func(c *candidates, s source)
	// byName says that a shape is not enough, whatever the labels: others have it,
	// too, or the image must be prepared in another way before there is an output.
	byName bool
}

// What layout.classes returns besides a number of classes.
const (
	unknown = 0
	noFit   = -1
)

// layouts is in the order in which errors name them.
var layouts = [...]layout{
	{kind: Darknet, shape: "[any, 5+classes], one or more", classes: darknetClasses, decode: darknet, byName: true},
	{kind: YOLOX, shape: "[1, N, 5+classes]", classes: cellRows, decode: yolox, byName: true},
	{kind: YOLOv6, shape: "[1, N, 5+classes]", classes: cellRows, decode: objectRows, byName: true},
	{kind: CenterNet, shape: "[1, classes, H, W] and [1, 4, H, W]", classes: centerNetClasses, decode: centerNet, byName: true},
	{kind: YOLOv5, shape: "[1, 3N, 5+classes]", classes: anchorRows, decode: objectRows},
	{kind: YOLOv8, shape: "[1, 4+classes, N]", classes: yolov8Classes, decode: yolov8},
	{kind: Pose, shape: "[1, 4+classes+keypoints, N]", classes: poseClasses, decode: pose, byName: true},
	{kind: OBB, shape: "[1, 4+classes+1, N]", classes: obbClasses, decode: obb, byName: true},
	{kind: Segment, shape: "[1, 4+classes+masks, N] and [1, masks, H, W]", classes: segmentClasses, decode: segment},
	{kind: EndToEnd, shape: "[1, boxes, 6] or [boxes, 7]", classes: endToEndClasses, decode: endToEnd},
}

// ParseKind returns the kind of that name. The empty name is the empty Kind.
func ParseKind(s string) (Kind, error) {
	if s == "" {
		return "", nil
	}
	if l := named(Kind(s)); l != nil {
		return l.kind, nil
	}
	return "", errors.New("no head is called " + strconv.Quote(s) + "; known are " + KindNames())
}

// named returns the layout of a kind, nil if there is none.
func named(k Kind) *layout {
	for i := range layouts {
		if layouts[i].kind == k {
			return &layouts[i]
		}
	}
	return nil
}

// KindNames returns the names of all kinds, with commas between them.
func KindNames() string {
	names := make([]string, len(layouts))
	for i, l := range layouts {
		names[i] = string(l.kind)
	}
	return strings.Join(names, ", ")
}

// shapes are those of a network's outputs, at the size of its input.
type shapes struct {
	out  [][]int
	w, h int
}

// only returns the shape of the one output with that many dimensions, the first of
// which is 1. nil: there is another one, or not that one.
func (s shapes) only(rank int) []int {
	if len(s.out) != 1 || len(s.out[0]) != rank || s.out[0][0] != 1 {
		return nil
	}
	return s.out[0]
}

// grids says whether n is the number of cells of the grids that YOLO looks at: three,
// or one finer or coarser more.
func (s shapes) grids(n int) bool {
	three := cells(s.w, s.h)
	return n > 0 && (n == three || n == three+s.w/4*(s.h/4) || n == three+s.w/64*(s.h/64))
}

// least makes numbers of classes below 1 noFit.
func least(n int) int {
	if n < 1 {
		return noFit
	}
	return n
}

func darknetClasses(s shapes, _ int) int {
	for _, t := range s.out {
		if len(t) != 2 || t[1] != s.out[0][1] {
			return noFit
		}
	}
	if len(s.out) == 0 {
		return noFit
	}
	return least(s.out[0][1] - 5)
}

func cellRows(s shapes, _ int) int {
	if t := s.only(3); t != nil && t[1] == cells(s.w, s.h) {
		return least(t[2] - 5)
	}
	return noFit
}

func anchorRows(s shapes, _ int) int {
	if len(s.out) == 0 {
		return noFit
	}
	for _, t := range s.out[1:] {
		if len(t) != 5 {
			return noFit
		}
	}
	first := shapes{s.out[:1], s.w, s.h}
	if t := first.only(3); t != nil && t[1]%3 == 0 && s.grids(t[1]/3) {
		return least(t[2] - 5)
	}
	return noFit
}

// columns returns how many numbers an anchor of YOLOv8 has behind its box.
func (s shapes) columns() int {
	if t := s.only(3); t != nil && s.grids(t[2]) {
		return least(t[1] - 4)
	}
	return noFit
}

func yolov8Classes(s shapes, _ int) int { return s.columns() }

// poseClasses takes the number of classes for given: what is left are keypoints.
func poseClasses(s shapes, want int) int {
	rest := s.columns() - want
	if want < 1 || rest < 2 || rest%3 != 0 && rest%2 != 0 {
		return noFit
	}
	return want
}

func obbClasses(s shapes, _ int) int { return least(s.columns() - 1) }

func segmentClasses(s shapes, _ int) int {
	if len(s.out) != 2 || len(s.out[1]) != 4 || s.out[1][0] != 1 {
		return noFit
	}
	return least(shapes{s.out[:1], s.w, s.h}.columns() - s.out[1][1])
}

func endToEndClasses(s shapes, _ int) int {
	if t := s.only(3); t != nil && t[2] == 6 && t[1] <= maxCandidates {
		return unknown
	}
	if len(s.out) == 1 && len(s.out[0]) == 2 && s.out[0][1] == 7 {
		return unknown
	}
	return noFit
}

func centerNetClasses(s shapes, _ int) int {
	if len(s.out) != 2 || len(s.out[0]) != 4 || len(s.out[1]) != 4 {
		return noFit
	}
	a, b := s.out[0], s.out[1]
	ok := a[0] == 1 && b[0] == 1 && a[2] == b[2] && a[3] == b[3] && a[2] > 0 && a[3] > 0
	switch {
	case ok && b[1] == 4:
		return least(a[1])
	case ok && a[1] == 4:
		return least(b[1])
	}
	return noFit
}
