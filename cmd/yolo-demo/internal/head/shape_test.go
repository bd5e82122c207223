package head

import (
	"math"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// wide is a fit of an image twice as large as its input, with bars above and below.
var wide = nn.Fit{ImageW: 1280, ImageH: 640, InputW: 640, InputH: 640, Scale: 0.5, PadY: 160}

// put sets a number of the first anchor that makeYOLOv8 uses.
func put(out []nn.Tensor, column int, value float32) {
	n := out[0].Shape[2]
	out[0].Data[column*n+17] = value
}

func one(t *testing.T, kind Kind, out []nn.Tensor, f nn.Fit) Box {
	t.Helper()
	got, err := Decode(kind, out, f, Options{Classes: 3})
	if err != nil || len(got) != 1 || got[0].Shape == nil {
		t.Fatalf("%s: %v, %v; want a box with a shape", kind, got, err)
	}
	return got[0]
}

func TestCornersOfTurnedBoxes(t *testing.T) {
	out := widen(makeYOLOv8(wide, 3, []Box{{X: 400, Y: 250, W: 400, H: 200, Score: 0.9, Class: 2}}), 1, math.Pi/6)
	got := one(t, OBB, out, wide).Shape.Corners
	sin, cos := math.Sincos(math.Pi / 6)
	for i, c := range [][2]float64{{-200, -100}, {200, -100}, {200, 100}, {-200, 100}} {
		x, y := 600+c[0]*cos-c[1]*sin, 350+c[0]*sin+c[1]*cos
		if len(got) != 4 || math.Abs(float64(got[i].X)-x) > 0.01 || math.Abs(float64(got[i].Y)-y) > 0.01 {
			t.Fatalf("corners %v; want corner %d at %.2f, %.2f", got, i, x, y)
		}
	}
}

func TestKeypoints(t *testing.T) {
	person := []Box{{X: 400, Y: 200, W: 100, H: 300, Score: 0.9}}
	nan := float32(math.NaN())
	three := widen(makeYOLOv8(wide, 3, person), 51, 0)
	for i, v := range []float32{200, 260, 0.75, 210, 270, 1.0004, 220, nan, 0.9, 230, 290, nan} {
		put(three, 7+i, v)
	}
	got := one(t, Pose, three, wide).Shape.Keypoints
	want := []Keypoint{{400, 200, 0.75}, {420, 220, 1}, {}, {460, 260, 0}}
	if len(got) != 17 || [4]Keypoint(got) != [4]Keypoint(want) {
		t.Errorf("%d keypoints, %v; want 17, %v: seen, seen as rounded, nowhere, of unknown confidence", len(got), got[:min(4, len(got))], want)
	}

	two := widen(makeYOLOv8(wide, 3, person), 34, 300)
	if got = one(t, Pose, two, wide).Shape.Keypoints; len(got) != 17 || got[16] != (Keypoint{600, 280, 1}) {
		t.Errorf("without confidence: %d keypoints, %v; want 17 that can be seen", len(got), got)
	}
}

func TestMasks(t *testing.T) {
	out := makeSegment(wide, 3, []Box{{X: 400, Y: 200, W: 160, H: 80, Score: 0.9}})
	for k := range 32 {
		put(out, 7+k, 0)
	}
	put(out, 7+2, 3)
	put(out, 7+5, -1)
	w := out[1].Shape[3]
	plane := func(k int) []float32 { return out[1].Data[k*w*w : (k+1)*w*w] }
	// The box is columns 50 to 70 and rows 65 to 75 of 160 x 160 cells. The object is where prototype 2 says, but not where 5 says much more.
	for y := range w {
		for x := 40; x < 60; x++ {
			plane(2)[y*w+x] = 1
		}
	}
	for x := range w {
		plane(5)[70*w+x] = 4
	}
	m := one(t, Segment, out, wide).Shape.Mask
	if m.X != 400 || m.Y != 200 || m.W != 160 || m.H != 80 || m.Cols != 20 || m.Rows != 10 {
		t.Fatalf("a mask of %v %v %v %v, %d x %d cells; want that of the box, 20 x 10", m.X, m.Y, m.W, m.H, m.Cols, m.Rows)
	}
	for _, tt := range []struct {
		x, y float32
		want bool
	}{{400, 200, true}, {479, 239, true}, {479, 241, false}, {479, 249, true}, {481, 239, false}, {399, 220, false}, {561, 220, false}, {400, 281, false}} {
		if got := m.At(tt.x, tt.y); got != tt.want {
			t.Errorf("at %v, %v: %v; want %v", tt.x, tt.y, got, tt.want)
		}
	}
}

// Boxes over the edge of the image, and more than masks are made for.
func TestMasksAreBounded(t *testing.T) {
	f := square(640)
	var many []Box
	for i := range maxMasks + 5 {
		many = append(many, Box{X: float32(i%10)*64 - 20, Y: float32(i/10)*64 - 20, W: 50, H: 50, Score: 0.9})
	}
	got, err := Decode(Segment, makeSegment(f, 3, many), f, Options{Classes: 3})
	if err != nil || len(got) != len(many) {
		t.Fatalf("%d boxes, %v; want %d", len(got), err, len(many))
	}
	for i, b := range got {
		m := b.Shape.Mask
		if (m.Cols > 0) != (i < maxMasks) || len(m.Bits) != (m.Cols*m.Rows+7)/8 {
			t.Errorf("box %d: %d x %d cells in %d bytes", i, m.Cols, m.Rows, len(m.Bits))
		}
	}
}

func TestShapesAreScaled(t *testing.T) {
	var none *Shape
	if none.Scaled(2, 3) != nil {
		t.Error("a shape out of none")
	}
	s := &Shape{Corners: []Point{{1, 2}}, Keypoints: []Keypoint{{3, 4, 0.5}}, Mask: Mask{X: 1, Y: 2, W: 8, H: 8, Cols: 1, Rows: 1, Bits: []byte{1}}}
	got := s.Scaled(2, 3)
	if got.Corners[0] != (Point{2, 6}) || got.Keypoints[0] != (Keypoint{6, 12, 0.5}) || !got.Mask.At(17, 29) || got.Mask.At(17, 31) || s.Mask.X != 1 || s.Corners[0].X != 1 {
		t.Errorf("scaled to %+v, and the shape itself is %+v", got, s)
	}
	if (&Mask{W: 8, H: 8, Cols: 100, Rows: 100}).At(7, 7) {
		t.Error("a mask without bits has some")
	}
	for _, m := range []Mask{{W: 8, H: 8, Cols: math.MaxInt, Rows: math.MaxInt, Bits: []byte{255}}, {W: 8, H: 8, Cols: -1, Rows: -1, Bits: []byte{255}}, {W: float32(math.Inf(1)), H: 8, Cols: 8, Rows: 8}} {
		for y := range 8 {
			m.At(7, float32(y)) // does not panic
		}
	}
}

// Whatever the numbers are, decoding ends, within its bounds.
func FuzzShapes(f *testing.F) {
	f.Add(uint8(0), []byte{1, 2, 3, 255, 254})
	f.Add(uint8(1), []byte{127, 128})
	f.Add(uint8(2), []byte{0, 200, 100})
	f.Fuzz(func(t *testing.T, which uint8, noise []byte) {
		kind := []Kind{Pose, OBB, Segment}[which%3]
		fit := nn.Fit{ImageW: 100, ImageH: 50, InputW: 64, InputH: 64, Scale: 0.64, PadY: 16}
		out := makers[kind](fit, 2, []Box{{X: 10, Y: 10, W: 20, H: 20, Score: 0.9}})
		for i := range noise {
			v := []float32{0, 1, -1, 0.5, 64, 1e30, float32(math.NaN()), float32(math.Inf(1))}[noise[i]%8]
			for _, o := range out {
				o.Data[(i*7919+int(noise[i]))%len(o.Data)] = v
			}
		}
		boxes, err := Decode(kind, out, fit, Options{Classes: 2})
		for _, b := range boxes {
			if err != nil || b.Shape == nil || len(b.Shape.Mask.Bits) > 33 || len(b.Shape.Keypoints) > 17 {
				t.Fatalf("%s: box %+v, %+v, %v", kind, b, b.Shape, err)
			}
			b.Shape.Mask.At(b.X, b.Y)
		}
	})
}
