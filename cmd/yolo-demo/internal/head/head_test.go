package head

import (
	"encoding/binary"
	"errors"
	"go/build"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

var makers = map[Kind]func(nn.Fit, int, []Box) []nn.Tensor{
	Darknet: makeDarknet, YOLOX: makeYOLOX, CenterNet: makeCenterNet, YOLOv8: makeYOLOv8, YOLOv6: makeYOLOv6,
	YOLOv5: makeYOLOv5, Pose: makePose, OBB: makeOBB, Segment: makeSegment, EndToEnd: makeEndToEnd,
}

// nameless are the kinds that need no name.
var nameless = []Kind{YOLOv5, YOLOv8, Segment, EndToEnd}

// fits are placements of an image, with the reason for each.
var fits = []struct {
	name string
	fit  nn.Fit
}{
	{"no letterbox", nn.Fit{ImageW: 640, ImageH: 640, InputW: 640, InputH: 640, Scale: 1}},
	{"bars above and below", nn.Fit{ImageW: 1280, ImageH: 720, InputW: 640, InputH: 640, Scale: 0.5, PadY: 140}},
	{"bars left and right, enlarged", nn.Fit{ImageW: 160, ImageH: 320, InputW: 640, InputH: 640, Scale: 2, PadX: 160}},
	{"at the top left", nn.Fit{ImageW: 832, ImageH: 416, InputW: 416, InputH: 416, Scale: 0.5}},
	{"input not square", nn.Fit{ImageW: 640, ImageH: 352, InputW: 640, InputH: 352, Scale: 1}},
}

// known returns boxes that lie well inside the image, the best first.
func known(f nn.Fit) []Box {
	w, h := float32(f.ImageW), float32(f.ImageH)
	return []Box{
		{X: 0.1 * w, Y: 0.1 * h, W: 0.2 * w, H: 0.3 * h, Score: 0.9, Class: 0},
		{X: 0.5 * w, Y: 0.4 * h, W: 0.4 * w, H: 0.5 * h, Score: 0.7, Class: 5},
		{X: 0.2 * w, Y: 0.6 * h, W: 0.15 * w, H: 0.2 * h, Score: 0.5, Class: 6},
	}
}

func TestDecodeFindsKnownBoxes(t *testing.T) {
	for kind, make := range makers {
		for _, f := range fits {
			asks := []Kind{kind}
			if slices.Contains(nameless, kind) {
				asks = append(asks, "")
			}
			for _, asked := range asks {
				out := make(f.fit, 7, known(f.fit))
				got, err := Decode(asked, out, f.fit, Options{Classes: 7})
				if err != nil {
					t.Errorf("Decode(%q) of %s tensors, %s: %v", asked, kind, f.name, err)
					continue
				}
				if want := known(f.fit); !near(got, want, float32(f.fit.ImageW)) {
					t.Errorf("Decode(%q) of %s tensors, %s:\ngot  %v\nwant %v", asked, kind, f.name, got, want)
				}
			}
		}
	}
}

// near reports whether two lists of boxes are the same but for rounding.
func near(a, b []Box, scale float32) bool {
	tiny := func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-4*float64(scale) }
	return slices.EqualFunc(a, b, func(a, b Box) bool {
		return a.Class == b.Class && math.Abs(float64(a.Score-b.Score)) < 1e-5 &&
			tiny(a.X, b.X) && tiny(a.Y, b.Y) && tiny(a.W, b.W) && tiny(a.H, b.H)
	})
}

func TestDecodeScore(t *testing.T) {
	f := fits[0].fit
	tests := []struct {
		score float32
		want  int
		why   string
	}{
		{0, 3, "the default is 0.25, below all three"},
		{0.5, 3, "a box at the threshold stays"},
		{0.6, 2, "one is below"},
		{0.95, 0, "all are below"},
		{float32(math.NaN()), 3, "no number means the default"},
	}
	for kind, make := range makers {
		for _, tt := range tests {
			if slices.Contains([]Kind{YOLOX, YOLOv6, YOLOv5}, kind) && tt.score == 0.5 {
				continue // a product of two rounded numbers
			}
			got, err := Decode(kind, make(f, 7, known(f)), f, Options{Score: tt.score, Classes: 7})
			if err != nil || len(got) != tt.want {
				t.Errorf("%s, score %v: got %v, %v; want %d boxes: %s", kind, tt.score, got, err, tt.want, tt.why)
			}
		}
	}
}

func TestDecodeClips(t *testing.T) {
	f := nn.Fit{ImageW: 320, ImageH: 160, InputW: 320, InputH: 320, Scale: 1, PadY: 80}
	boxes := []Box{
		{X: -20, Y: 10, W: 60, H: 40, Score: 0.9},
		{X: 300, Y: 140, W: 60, H: 60, Score: 0.8, Class: 1},
		{X: 10, Y: -70, W: 50, H: 60, Score: 0.7, Class: 2},
	}
	want := []Box{
		{X: 0, Y: 10, W: 40, H: 40, Score: 0.9},
		{X: 300, Y: 140, W: 20, H: 20, Score: 0.8, Class: 1},
	}
	got, err := Decode(Darknet, makeDarknet(f, 3, boxes), f, Options{})
	if err != nil || !near(got, want, 320) {
		t.Errorf("boxes over the edge, and one in the bar above:\ngot  %v, %v\nwant %v", got, err, want)
	}
}

func TestDecodeEmpty(t *testing.T) {
	f := fits[0].fit
	for kind, make := range makers {
		if got, err := Decode(kind, make(f, 7, nil), f, Options{Classes: 7}); err != nil || len(got) != 0 {
			t.Errorf("%s, nothing found: got %v, %v; want no box and no error", kind, got, err)
		}
	}
	none := []nn.Tensor{{Shape: []int{0, 85}}}
	if got, err := Decode(Darknet, none, f, Options{}); err != nil || len(got) != 0 {
		t.Errorf("darknet output of no rows: got %v, %v; want no box and no error", got, err)
	}
}

func TestDecodeUnknownShape(t *testing.T) {
	f := nn.Fit{ImageW: 416, ImageH: 416, InputW: 416, InputH: 416, Scale: 1}
	tensor := func(shape ...int) nn.Tensor {
		n := 1
		for _, d := range shape {
			n *= d
		}
		return nn.Tensor{Shape: shape, Data: make([]float32, max(n, 0))}
	}
	tests := []struct {
		kind Kind
		out  []nn.Tensor
		why  string
	}{
		{"", nil, "no output at all"},
		{"", []nn.Tensor{tensor(1, 100, 85)}, "100 is not the number of cells"},
		{"", []nn.Tensor{tensor(1, 3549, 5)}, "no class"},
		{"", []nn.Tensor{tensor(1, 300, 84)}, "a transformer's boxes"},
		{"", []nn.Tensor{tensor(1, 3, 52, 52, 85), tensor(1, 3, 26, 26, 85), tensor(1, 3, 13, 13, 85)}, "YOLOv7 without its last layer"},
		{"", []nn.Tensor{tensor(5, 5)}, "no class"},
		{"", []nn.Tensor{tensor(3, 85), tensor(3, 84)}, "two numbers of classes"},
		{"", []nn.Tensor{tensor(1, 80, 4, 4), tensor(1, 2, 4, 4)}, "sizes, not distances to four edges"},
		{"", []nn.Tensor{tensor(1, 80, 4, 4), tensor(1, 4, 4, 5)}, "two grids"},
		{YOLOX, []nn.Tensor{tensor(10, 85)}, "a shape of another head"},
		{"", []nn.Tensor{{Shape: []int{10, 85}, Data: make([]float32, 849)}}, "less data than the shape says"},
		{"", []nn.Tensor{{Shape: []int{-10, -85}, Data: make([]float32, 850)}}, "negative"},
		{"", []nn.Tensor{{Shape: []int{1 << 28, 1 << 28, 1 << 8}}}, "a product that overflows"},
	}
	for _, tt := range tests {
		got, err := Decode(tt.kind, tt.out, f, Options{})
		var shape *ShapeError
		if !errors.As(err, &shape) || got != nil {
			t.Errorf("Decode(%q), %s: got %v, %v; want a ShapeError", tt.kind, tt.why, got, err)
			continue
		}
		for _, part := range []string{"darknet", "yolox", "centernet", "yolov8", "416x416", "3549"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("Decode(%q), %s: error %q does not name %s", tt.kind, tt.why, err, part)
			}
		}
	}
	_, err := Decode("", []nn.Tensor{tensor(1, 100, 85)}, f, Options{})
	if err == nil || !strings.Contains(err.Error(), "[1, 100, 85]") {
		t.Errorf("got %v; want the shape that came, [1, 100, 85], in it", err)
	}
}

func TestDecodeBadFit(t *testing.T) {
	good := fits[0].fit
	for why, change := range map[string]func(*nn.Fit){
		"no image":         func(f *nn.Fit) { f.ImageW = 0 },
		"no input":         func(f *nn.Fit) { f.InputH = 0 },
		"scale 0":          func(f *nn.Fit) { f.Scale = 0 },
		"scale no number":  func(f *nn.Fit) { f.Scale = float32(math.NaN()) },
		"padding infinite": func(f *nn.Fit) { f.PadX = float32(math.Inf(1)) },
	} {
		f := good
		change(&f)
		if got, err := Decode("", makeDarknet(good, 7, nil), f, Options{}); err == nil {
			t.Errorf("fit %+v (%s): got %v, no error", f, why, got)
		}
	}
}

func TestParseKind(t *testing.T) {
	for _, s := range []string{"", "darknet", "yolox", "yolov6", "centernet", "yolov5", "yolov8", "yolov8-pose", "yolov8-obb", "yolov8-seg", "end2end"} {
		if k, err := ParseKind(s); err != nil || string(k) != s {
			t.Errorf("ParseKind(%q) = %q, %v", s, k, err)
		}
	}
	if _, err := ParseKind("YOLO"); err == nil || !strings.Contains(err.Error(), "yolov8") {
		t.Errorf("ParseKind(\"YOLO\") = %v; want an error that names those known", err)
	}
}

func TestExp(t *testing.T) {
	for x := float32(-110); x < 95; x += 0.0137 {
		got, want := exp(x), float32(math.Exp(float64(x)))
		if got != want && math.Abs(float64(got-want)) > 1.2e-7*float64(want) {
			t.Errorf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	if exp(nan) != inf || exp(inf) != inf || exp(-inf) != 0 || exp(0) != 1 {
		t.Errorf("exp of NaN, Inf, -Inf, 0: got %v, %v, %v, %v; want Inf (no box), Inf, 0, 1", exp(nan), exp(inf), exp(-inf), exp(0))
	}
}

// The sum was the same on amd64 and in Wasm. Tensors are made of whole numbers
// and divisions alone, which are exact or correctly rounded everywhere.
func TestSameBitsEverywhere(t *testing.T) {
	f := nn.Fit{ImageW: 1277, ImageH: 719, InputW: 416, InputH: 416, Scale: 416. / 1277, PadY: 91}
	sum := fnv.New64a()
	for _, kind := range []Kind{Darknet, YOLOX, CenterNet, YOLOv8} {
		r := rand.New(rand.NewPCG(5, 6))
		out := makers[kind](f, 7, nil)
		for _, o := range out {
			for i := range o.Data {
				o.Data[i] = float32(r.IntN(1<<20)) / (1 << 20)
				if kind == YOLOv8 && i < 4*o.Shape[2] {
					o.Data[i] *= 416 // pixels
				}
			}
		}
		boxes, err := Decode(kind, out, f, Options{Score: 0.6})
		if err != nil || len(boxes) == 0 {
			t.Fatalf("%s: got %d boxes, %v", kind, len(boxes), err)
		}
		for _, b := range boxes {
			if err := binary.Write(sum, binary.LittleEndian, []float32{b.X, b.Y, b.W, b.H, b.Score, float32(b.Class)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, want := sum.Sum64(), uint64(0x3ac06d70adc81615); got != want {
		t.Errorf("the sum of all boxes is %#x, want %#x", got, want)
	}
}

// The package links into a guest, where fmt and reflection cost hundreds of
// kilobytes.
func TestImports(t *testing.T) {
	p, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"cmp", "errors", "math", "slices", "strconv", "strings", "github.com/bungee-xr/bungee/hostfunc/nn"}
	for _, path := range p.Imports {
		if !slices.Contains(allowed, path) {
			t.Errorf("imports %s; a guest should not need it", path)
		}
	}
}
