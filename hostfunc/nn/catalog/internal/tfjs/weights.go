package tfjs

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A weightSpec is an entry of the weights manifest.
type weightSpec struct {
	Name         string `json:"name"`
	Shape        []int  `json:"shape"`
	Dtype        string `json:"dtype"`
	Quantization *struct {
		Dtype string `json:"dtype"`
	} `json:"quantization"`
}

// A tensor is a constant of the model, in TensorFlow's layout. One of floats
// and ints is set.
type tensor struct {
	shape  []int
	floats []float32
	ints   []int32
}

// readWeights gives each constant its part of the bytes. Nothing may be left.
func readWeights(m *graphModel, data []byte) (map[string]*tensor, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%w: the weights have %d bytes, more than %d", ErrModel, len(data), maxBytes)
	}
	out := map[string]*tensor{}
	rest := data
	for _, group := range m.Manifest {
		for i := range group.Weights {
			s := &group.Weights[i]
			if out[s.Name] != nil {
				return nil, fmt.Errorf("%w: weight %.200q is listed twice", ErrModel, s.Name)
			}
			t, n, err := s.read(rest)
			if err != nil {
				return nil, err
			}
			out[s.Name], rest = t, rest[n:]
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d of %d bytes of weights belong to no weight", ErrModel, len(rest), len(data))
	}
	return out, nil
}

// read takes the weight from the head of data and returns how long it was.
func (s *weightSpec) read(data []byte) (*tensor, int, error) {
	size, err := s.size()
	if err != nil {
		return nil, 0, err
	}
	count, err := s.count(len(data) / size)
	if err != nil {
		return nil, 0, err
	}
	t := &tensor{shape: s.Shape}
	data = data[:count*size]
	switch {
	case s.Dtype == "int32":
		t.ints = make([]int32, count)
		for i := range t.ints {
			t.ints[i] = int32(binary.LittleEndian.Uint32(data[4*i:]))
		}
	case size == 2:
		t.floats = make([]float32, count)
		for i := range t.floats {
			t.floats[i] = half(binary.LittleEndian.Uint16(data[2*i:]))
		}
	default:
		t.floats = make([]float32, count)
		for i := range t.floats {
			t.floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	}
	return t, len(data), nil
}

// size returns the bytes of one number as it is stored.
func (s *weightSpec) size() (int, error) {
	stored := s.Dtype
	if s.Quantization != nil {
		stored += " as " + s.Quantization.Dtype
	}
	switch stored {
	case "float32", "int32":
		return 4, nil
	case "float32 as float16":
		return 2, nil
	}
	return 0, fmt.Errorf("weight %.200q: numbers of type %.60q: %w", s.Name, stored, ErrUnsupported)
}

// count returns how many numbers the shape asks for, if limit bytes hold them.
func (s *weightSpec) count(limit int) (int, error) {
	if len(s.Shape) > maxRank {
		return 0, fmt.Errorf("weight %.200q: %d dimensions: %w", s.Name, len(s.Shape), ErrUnsupported)
	}
	n := 1
	for _, d := range s.Shape {
		if d < 1 || n > limit/d {
			return 0, fmt.Errorf("%w: weight %.200q has shape %v; the bytes left hold %d numbers", ErrModel, s.Name, s.Shape, limit)
		}
		n *= d
	}
	if n > limit {
		return 0, fmt.Errorf("%w: weight %.200q has shape %v; the bytes left hold %d numbers", ErrModel, s.Name, s.Shape, limit)
	}
	return n, nil
}

// half returns the value of an IEEE 754 binary16.
func half(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp, frac := uint32(h>>10&31), uint32(h&1023)
	switch {
	case exp == 31: // infinity, NaN
		return math.Float32frombits(sign | 255<<23 | frac<<13)
	case exp == 0: // zero and the subnormals, multiples of 2^-24
		v := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// oihw returns convolution weights [h, w, in, out] as [out, in, h, w].
func (t *tensor) oihw() []float32 {
	h, w, in, out := t.shape[0], t.shape[1], t.shape[2], t.shape[3]
	res := make([]float32, 0, len(t.floats))
	for o := range out {
		for i := range in {
			for yx := range h * w {
				res = append(res, t.floats[(yx*in+i)*out+o])
			}
		}
	}
	return res
}

// depthwise returns weights [h, w, in, times] as [in*times, 1, h, w].
func (t *tensor) depthwise() []float32 {
	channels := t.shape[2] * t.shape[3]
	res := make([]float32, 0, len(t.floats))
	for c := range channels {
		for yx := range t.shape[0] * t.shape[1] {
			res = append(res, t.floats[yx*channels+c])
		}
	}
	return res
}
