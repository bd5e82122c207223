package head

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

func TestSuppress(t *testing.T) {
	a := Box{X: 10, Y: 10, W: 100, H: 100, Score: 0.9}
	with := func(b Box, change func(*Box)) Box { change(&b); return b }
	weaker := with(a, func(b *Box) { b.X += 10; b.Score = 0.8 })
	other := with(weaker, func(b *Box) { b.Class = 1 })
	far := with(weaker, func(b *Box) { b.X = 300 })
	chain := with(weaker, func(b *Box) { b.X = 50; b.Score = 0.7 }) // 0.43 with a, 0.54 with weaker
	half := with(a, func(b *Box) { b.W = 45; b.Score = 0.5 })
	inside := with(a, func(b *Box) { b.X, b.Y, b.W, b.H, b.Score = 40, 40, 20, 20, 0.6 })
	tests := []struct {
		in, want []Box
		why      string
	}{
		{nil, nil, "nothing in, nothing out"},
		{[]Box{a}, []Box{a}, "one box"},
		{[]Box{weaker, a}, []Box{a}, "the most confident of a cluster stays"},
		{[]Box{a, other}, []Box{a, other}, "a box of another class is another object"},
		{[]Box{far, a}, []Box{a, far}, "no overlap, both stay, the best first"},
		{[]Box{a, weaker, chain}, []Box{a, chain}, "a box that was dropped drops no other"},
		{[]Box{a, half}, []Box{a, half}, "an overlap equal to the limit stays"},
		{[]Box{a, inside}, []Box{a, inside}, "a small box within a large one overlaps little"},
		{[]Box{a, with(a, func(b *Box) { b.X++ })}, []Box{a}, "of equals the one earlier in the output stays"},
	}
	for _, tt := range tests {
		c := candidates{boxes: slices.Clone(tt.in)}
		got := suppress(c.best(), 0.45)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: suppress(%v)\ngot  %v\nwant %v", tt.why, tt.in, got, tt.want)
		}
	}
}

// scene returns random boxes in clusters, some with equal scores.
func scene(r *rand.Rand) []Box {
	boxes := make([]Box, r.IntN(200))
	for i := range boxes {
		x, y := float32(r.IntN(4)*100), float32(r.IntN(4)*100)
		boxes[i] = Box{
			X: x + 30*r.Float32(), Y: y + 30*r.Float32(), W: 1 + 120*r.Float32(), H: 1 + 120*r.Float32(),
			Score: float32(1+r.IntN(50)) / 50, Class: r.IntN(3),
		}
	}
	return boxes
}

func TestSuppressKeepsTheBestOfEachCluster(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for round := range 300 {
		boxes := scene(r)
		c := candidates{boxes: slices.Clone(boxes)}
		iou := 0.1 + 0.8*r.Float32()
		kept := slices.Clone(suppress(c.best(), iou))
		if why := broken(kept, iou); why != "" {
			t.Fatalf("seed %d, round %d: %s", seed, round, why)
		}
		for _, b := range boxes {
			if !slices.Contains(kept, b) && !slices.ContainsFunc(kept, func(k Box) bool {
				return k.Class == b.Class && k.Score >= b.Score && overlap(&k, &b) > iou
			}) {
				t.Fatalf("seed %d, round %d: %v was dropped and no better box of its class is over it", seed, round, b)
			}
		}
		if again := suppress(slices.Clone(kept), iou); !slices.Equal(again, kept) {
			t.Fatalf("seed %d, round %d: suppressing twice changed %v to %v", seed, round, kept, again)
		}
	}
}

// broken says what is wrong with a result, if anything.
func broken(kept []Box, iou float32) string {
	for i := range kept {
		if i > 0 && kept[i].Score > kept[i-1].Score {
			return "the scores do not fall"
		}
		for j := range i {
			if kept[i].Class == kept[j].Class && overlap(&kept[i], &kept[j]) > iou {
				return "two boxes of a class overlap"
			}
		}
	}
	return ""
}

func TestDecodeLooksAtTheBestOnly(t *testing.T) {
	f := nn.Fit{ImageW: 512, ImageH: 512, InputW: 512, InputH: 512, Scale: 1}
	out := makeCenterNet(f, 80, nil)
	for i := range out[0].Data {
		out[0].Data[i] = 0.5 // flat: each cell is a peak of each class
	}
	for i := range out[1].Data {
		out[1].Data[i] = 2
	}
	out[0].Data[79*128*128+100] = 0.75
	got, err := Decode(CenterNet, out, f, Options{})
	if err != nil || len(got) == 0 || len(got) > maxCandidates || got[0].Class != 79 {
		t.Errorf("a flat heat map with one summit, the last: got %d boxes, %v; want at most %d, class 79 first", len(got), err, maxCandidates)
	}
}

func TestDecodeAllocs(t *testing.T) {
	f := fits[0].fit
	for kind, make := range makers {
		out := make(f, 80, known(f))
		allocs := testing.AllocsPerRun(10, func() {
			if _, err := Decode(kind, out, f, Options{Classes: 80}); err != nil {
				t.Fatal(err)
			}
		})
		// The boxes grow to 1, 2, 4; yolov8 has the best score and class of
		// each anchor besides. A shape, its points, and where it is noted are of a box.
		most := 6.0
		if kind == Pose || kind == OBB || kind == Segment {
			most += 4 * float64(len(known(f)))
		}
		if allocs > most {
			t.Errorf("%s: %v allocations; want at most %v", kind, allocs, most)
		}
	}
}

// FuzzDecode fills the outputs of each head with any bits.
func FuzzDecode(f *testing.F) {
	fit := nn.Fit{ImageW: 100, ImageH: 60, InputW: 64, InputH: 64, Scale: 0.64, PadY: 12}
	bits := func(v ...float32) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return b
	}
	nan, inf, huge := float32(math.NaN()), float32(math.Inf(1)), float32(math.MaxFloat32)
	f.Add(bits(0.5, 0.5, 0.5, 0.5, 1, 0.9, 0.1), float32(0.25), float32(0.45))
	f.Add(bits(nan, 0.5, inf, 0.5, 1, 0.9, nan), float32(0), float32(0))
	f.Add(bits(huge, -huge, huge, huge, huge, huge, huge), float32(0.1), huge)
	f.Add(bits(-inf, inf, -inf, inf, inf, inf), nan, inf)
	f.Fuzz(func(t *testing.T, data []byte, score, iou float32) {
		for kind, make := range makers {
			out := make(fit, 2, nil)
			for _, o := range out {
				fill(o.Data, data)
			}
			got, err := Decode(kind, out, fit, Options{Score: score, IoU: iou, Classes: 2})
			var value *ValueError
			if errors.As(err, &value) && got == nil {
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			for _, b := range got {
				if why := wrong(b, fit); why != "" {
					t.Fatalf("%s: box %+v: %s", kind, b, why)
				}
			}
			if why := broken(got, Options{IoU: iou}.filled().IoU); why != "" {
				t.Fatalf("%s: %v: %s", kind, got, why)
			}
		}
	})
}

// fill repeats the bits of data over dst.
func fill(dst []float32, data []byte) {
	if len(data) < 4 {
		return
	}
	for i := range dst {
		at := i * 4 % (len(data) - 3)
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[at:]))
	}
}

// wrong says what is wrong with a box, if anything.
func wrong(b Box, f nn.Fit) string {
	switch {
	case !(b.Score > 0 && b.Score <= 1):
		return "its score is not of 0 to 1"
	case !(b.W > 0 && b.H > 0):
		return "it is empty"
	case !(b.X >= 0 && b.Y >= 0 && b.X+b.W <= float32(f.ImageW)+0.01 && b.Y+b.H <= float32(f.ImageH)+0.01):
		return "it is not in the image"
	case b.Class < 0 || b.Class > 3:
		return "its class does not exist"
	}
	return ""
}

func BenchmarkDecode(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	fit := nn.Fit{ImageW: 640, ImageH: 480, InputW: 640, InputH: 640, Scale: 1, PadY: 80}
	boxes := make([]Box, 20)
	for i := range boxes {
		boxes[i] = Box{X: 500 * r.Float32(), Y: 400 * r.Float32(), W: 60, H: 60, Score: 0.3 + 0.6*r.Float32(), Class: i}
	}
	for _, kind := range []Kind{Darknet, YOLOX, CenterNet, YOLOv8} {
		out := makers[kind](fit, 80, boxes)
		b.Run(string(kind)+"/640x640", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(kind, out, fit, Options{Classes: 80}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSuppress(b *testing.B) {
	boxes := scene(rand.New(rand.NewPCG(3, 4)))
	b.ReportAllocs()
	for b.Loop() {
		c := candidates{boxes: slices.Clone(boxes)}
		suppress(c.best(), 0.45)
	}
}
