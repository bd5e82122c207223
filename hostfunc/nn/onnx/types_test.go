//go:build cgo

package onnx

import (
	"math"
	"slices"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// speech has inputs like those of a detector of speech: a chunk of any size, a state in half
// precision, and a rate, which is a scalar of int64. It gives the chunk's mean, the state, and the rate.
func speech() []byte {
	f := &nntest.ONNX{}
	f.Input("input", nntest.Float32, 0, 0)
	f.Input("state", nntest.Float16, 2, 0, 4)
	f.Input("sr", nntest.Int64)
	f.Node("ReduceMean", "mean", "input")
	f.Node("Identity", "stateN", "state")
	f.Node("Identity", "srN", "sr")
	f.Output("mean", nntest.Float32, 1, 1)
	f.Output("srN", nntest.Int64)
	f.Output("stateN", nntest.Float16, 2, 1, 4)
	return f.Encode()
}

func TestInputsOfAllKinds(t *testing.T) {
	b := open(t, Config{Models: []model.Model{save(t, "speech", speech(), 0)}})
	g, err := b.Graph("speech")
	if err != nil {
		t.Fatal(err)
	}
	inputs := [][]int{{1, 0}, {2, 0, 4}, {}}
	if got := g.Inputs(); !slices.EqualFunc(got, inputs, slices.Equal[[]int]) {
		t.Errorf("inputs: %v; want %v", got, inputs)
	}
	for _, samples := range []int{3, 512, 1} { // each chunk is as long as it is
		s, err := g.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		chunk := make([]float32, samples)
		for i := range chunk {
			chunk[i] = 2.5
		}
		give(t, s, 0, nn.Tensor{Shape: []int{1, samples}, Data: chunk})
		give(t, s, 1, nn.Tensor{Shape: []int{2, 1, 4}, Data: []float32{0, 1, -2, 0.5, 65504, 1. / (1 << 24), 0.1, 7}})
		give(t, s, 2, nn.Tensor{Data: []float32{16000}})
		if err := s.Compute(t.Context()); err != nil {
			t.Fatal(err)
		}
		out, err := s.Outputs()
		if err != nil {
			t.Fatal(err)
		}
		tenth := single(half(0.1))
		want := [][]float32{{2.5}, {16000}, {0, 1, -2, 0.5, 65504, 1. / (1 << 24), tenth, 7}}
		for i, w := range want {
			if !slices.Equal(out[i].Data, w) {
				t.Errorf("%d samples, output %d: %v of shape %v; want %v", samples, i, out[i].Data, out[i].Shape, w)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func give(t *testing.T, s nn.BackendSession, index int, in nn.Tensor) {
	t.Helper()
	if err := s.SetInput(index, in); err != nil {
		t.Fatal(err)
	}
}

func TestInputsThatATypeDoesNotHave(t *testing.T) {
	b := open(t, Config{Models: []model.Model{save(t, "speech", speech(), 0)}})
	g, err := b.Graph("speech")
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for why, in := range map[string]struct {
		index int
		nn.Tensor
	}{
		"a part of an int64":       {2, nn.Tensor{Data: []float32{0.5}}},
		"no number":                {2, nn.Tensor{Data: []float32{float32(math.NaN())}}},
		"beyond int64":             {2, nn.Tensor{Data: []float32{1e30}}},
		"a row for a scalar":       {2, nn.Tensor{Shape: []int{1}, Data: []float32{1}}},
		"no sample":                {0, nn.Tensor{Shape: []int{1, 0}}},
		"more rows than are fixed": {0, nn.Tensor{Shape: []int{2, 1}, Data: []float32{1, 2}}},
		"less data than shape":     {0, nn.Tensor{Shape: []int{1, 3}, Data: []float32{1, 2}}},
		"a shape that overflows":   {0, nn.Tensor{Shape: []int{1, math.MaxInt}, Data: []float32{1}}},
	} {
		if err := s.SetInput(in.index, in.Tensor); err == nil {
			t.Errorf("%s: taken; want an error", why)
		}
	}
}

// An image in half precision, as exports with half=True take it.
func TestImageInHalfPrecision(t *testing.T) {
	out := nn.Tensor{Shape: []int{1, 2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}}
	path := save(t, "half", nntest.Detector(nntest.Float16, 8, 8, out).Encode(), 8)
	b := open(t, Config{Models: []model.Model{path}})
	g, err := b.Graph("half")
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	give(t, s, 0, nn.Tensor{Shape: []int{1, 3, 8, 8}, Data: make([]float32, 192)})
	if err := s.Compute(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Outputs(); err != nil || len(got) != 1 || !slices.Equal(got[0].Data, out.Data) {
		t.Errorf("got %v, %v; want %v", got, err, out)
	}
}

func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		x := single(uint16(h))
		if got := half(x); got != uint16(h) && !(x != x) {
			t.Fatalf("half(%v) = %#x; want %#x", x, got, h)
		}
	}
	for x, want := range map[float32]uint16{
		1 + 1./2048: 0x3c00, 1 + 3./2048: 0x3c02, 65519: 0x7bff, 65520: 0x7c00, -1e9: 0xfc00, 1e-9: 0, 0x1p-24: 1, 0x1.8p-24: 2,
	} {
		if got := half(x); got != want {
			t.Errorf("half(%v) = %#x; want %#x", x, got, want)
		}
	}
}
