package head

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// square is a fit of an input of so many pixels a side.
func square(side int) nn.Fit {
	return nn.Fit{ImageW: side, ImageH: side, InputW: side, InputH: side, Scale: 1}
}

// What is read as another kind than it is gives boxes, too: so the labels count.
func TestRecognise(t *testing.T) {
	tests := []struct {
		asked  Kind
		shapes [][]int
		labels int
		want   Kind
		says   string // of the error, where want is empty
		why    string
	}{
		{"", [][]int{{1, 84, 8400}}, 80, YOLOv8, "", "80 labels and a box"},
		{"", [][]int{{1, 56, 8400}}, 80, "", "52 classes read as yolov8", "a pose network with the labels of COCO"},
		{YOLOv8, [][]int{{1, 56, 8400}}, 80, "", "52 classes read as yolov8", "the same, given another name"},
		{"", [][]int{{1, 56, 8400}}, 1, "", "yolov8-pose", "a pose network with its label: it is to be named, since 51 numbers can be anything"},
		{Pose, [][]int{{1, 56, 8400}}, 1, Pose, "", "named"},
		{Pose, [][]int{{1, 84, 8400}}, 80, "", "yolov8-pose", "no keypoints are left"},
		{"", [][]int{{1, 20, 8400}}, 80, "", "16 classes read as yolov8", "turned boxes of 15 classes with the labels of COCO"},
		{"", [][]int{{1, 20, 8400}}, 15, "", "yolov8-obb", "with their labels"},
		{OBB, [][]int{{1, 20, 8400}}, 15, OBB, "", "named"},
		{OBB, [][]int{{1, 19, 8400}}, 15, "", "14 classes", "no angle"},
		{"", [][]int{{1, 116, 8400}, {1, 32, 160, 160}}, 80, Segment, "", "the masks are there"},
		{"", [][]int{{1, 116, 8400}}, 80, "", "yolov8-pose", "the masks are not: what is behind the classes can be anything"},
		{"", [][]int{{1, 1000}}, 80, "", "995 classes read as darknet", "a classifier"},
		{"", [][]int{{1, 25200, 85}}, 80, YOLOv5, "", "three anchors a cell"},
		{"", [][]int{{1, 25200, 85}, {1, 3, 80, 80, 85}, {1, 3, 40, 40, 85}, {1, 3, 20, 20, 85}}, 80, YOLOv5, "", "an older export"},
		{"", [][]int{{1, 25200, 6}}, 80, "", "1 classes read as yolov5", "one class, and 80 labels"},
		{"", [][]int{{1, 8400, 85}}, 80, "", "yolox and of yolov6", "two kinds have this shape"},
		{YOLOv6, [][]int{{1, 8400, 85}}, 80, YOLOv6, "", "named"},
		{YOLOX, [][]int{{1, 8400, 85}}, 20, "", "80 classes", "the labels are another network's"},
		{"", [][]int{{1, 300, 6}}, 80, EndToEnd, "", "boxes that are suppressed"},
		{"", [][]int{{12, 7}}, 80, EndToEnd, "", "those of v7"},
		{"", [][]int{{12, 7}}, 2, "", "darknet and of end2end", "two kinds have this shape"},
		{"", [][]int{{1, 80, 160, 160}, {1, 4, 160, 160}}, 80, "", "centernet", "its image is prepared in another way"},
		{"", [][]int{{1, 84, 8400}}, 0, "", "yolov8 and of yolov8-obb", "nothing is known of the labels"},
		{"", [][]int{{1, 84, 34000}}, 80, YOLOv8, "", "a finer grid more"},
		{"", [][]int{{1, 84, 8500}}, 80, YOLOv8, "", "a coarser grid more"},
	}
	for _, tt := range tests {
		got, err := Recognise(tt.asked, tt.shapes, 640, 640, tt.labels)
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: Recognise(%q, %v, %d labels) = %q, %v; want %q, %q", tt.why, tt.asked, tt.shapes, tt.labels, got, err, tt.want, tt.says)
		}
		if err != nil && !strings.Contains(err.Error(), "known are") && !strings.Contains(err.Error(), "-head") {
			t.Errorf("%s: %v; want what to do", tt.why, err)
		}
	}
}

// The shape fits, and so does the number of classes: the numbers do not.
func TestDecodeRefusesNumbersOfAnotherKind(t *testing.T) {
	f := square(64)
	set := func(kind Kind, change func(d []float32, n int)) []nn.Tensor {
		out := makers[kind](f, 3, []Box{{X: 10, Y: 10, W: 20, H: 20, Score: 0.9, Class: 1}})
		change(out[0].Data, out[0].Shape[len(out[0].Shape)-1])
		return out
	}
	tests := []struct {
		kind Kind
		out  []nn.Tensor
		says string
		why  string
	}{
		{YOLOv8, set(YOLOv8, func(d []float32, n int) { d[5*n+40] = 7.25 }), "7.25", "a score above 1, which was clipped"},
		{YOLOv8, set(YOLOv8, func(d []float32, n int) {
			for i := 4 * n; i < 7*n; i++ {
				d[i] = -3.5
			}
		}), "-3.5", "logarithms: exported without the sigmoid"},
		{YOLOv8, set(YOLOv8, func(d []float32, n int) {
			for i := range d[:4*n] {
				d[i] /= 64
			}
		}), "pixel", "boxes relative to the input"},
		{Darknet, set(Darknet, func(d []float32, n int) { d[5] = 30 }), "30", "a score above 1"},
		{YOLOv5, set(YOLOv5, func(d []float32, n int) { d[13*n+4] = 12 }), "12", "an objectness above 1"},
		{YOLOX, makeYOLOv6(f, 3, []Box{{X: 10, Y: 10, W: 20, H: 20, Score: 0.9}}), "four inputs", "boxes in pixels, whose exponent is infinite"},
		{EndToEnd, set(EndToEnd, func(d []float32, n int) { d[5] = 0.4 }), "0.4", "a second class's score in place of the class: a transformer's two classes"},
		{EndToEnd, set(EndToEnd, func(d []float32, n int) { d[5] = 3 }), "3 labels", "a class that has no label"},
		{CenterNet, set(CenterNet, func(d []float32, n int) { d[0] = 5 }), "5", "a heat map without the sigmoid"},
	}
	for _, tt := range tests {
		got, err := Decode(tt.kind, tt.out, f, Options{Classes: 3})
		var value *ValueError
		if !errors.As(err, &value) || got != nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s, %s: got %v, %v; want no box and an error that says %q", tt.kind, tt.why, got, err, tt.says)
		}
	}
}

// A score that rounding put beyond 1 is 1.
func TestDecodeTakesRoundedScores(t *testing.T) {
	f := square(64)
	out := makeYOLOv8(f, 3, []Box{{X: 10, Y: 10, W: 20, H: 20, Score: 1.0005}})
	if got, err := Decode(YOLOv8, out, f, Options{Classes: 3}); err != nil || len(got) != 1 || got[0].Score != 1 {
		t.Errorf("a score of 1.0005: got %v, %v; want one box of score 1", got, err)
	}
}

// A turned box is read as the upright one around it.
func TestDecodeTurnedBoxes(t *testing.T) {
	f := square(640)
	out := widen(makeYOLOv8(f, 3, []Box{{X: 200, Y: 250, W: 200, H: 100, Score: 0.9, Class: 2}}), 1, math.Pi/4)
	side := float32(300 / math.Sqrt2)
	want := []Box{{X: 300 - side/2, Y: 300 - side/2, W: side, H: side, Score: 0.9, Class: 2}}
	if got, err := Decode(OBB, out, f, Options{Classes: 3}); err != nil || !near(got, want, 640) {
		t.Errorf("200x100 turned by 45 degrees:\ngot  %v, %v\nwant %v", got, err, want)
	}
}

func TestDecodeBoxesOfYOLOv7(t *testing.T) {
	for _, f := range fits {
		got, err := Decode("", makeEndToEnd7(f.fit, 7, known(f.fit)), f.fit, Options{Classes: 7})
		if want := known(f.fit); err != nil || !near(got, want, float32(f.fit.ImageW)) {
			t.Errorf("%s:\ngot  %v, %v\nwant %v", f.name, got, err, want)
		}
	}
}

func TestSinCos(t *testing.T) {
	for x := float32(-7); x < 7; x += 0.0037 {
		sin, cos := sincos(x)
		if math.Abs(float64(sin)-math.Sin(float64(x))) > 1e-7 || math.Abs(float64(cos)-math.Cos(float64(x))) > 1e-7 {
			t.Errorf("sincos(%v) = %v, %v; want %v, %v", x, sin, cos, math.Sin(float64(x)), math.Cos(float64(x)))
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), 1e30} {
		if sin, cos := sincos(float32(x)); sin != 0 || cos != 1 {
			t.Errorf("sincos(%v) = %v, %v; want 0, 1", x, sin, cos)
		}
	}
}
