//go:build cgo && opencv

package tfjs

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	nnmodel "github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
)

// An array is an image as TensorFlow has it: [h, w, c].
type array struct {
	h, w, c int
	data    []float32
}

func newArray(h, w, c int) array { return array{h, w, c, make([]float32, h*w*c)} }

func (a array) at(y, x, c int) *float32 { return &a.data[(y*a.w+x)*a.c+c] }

// each sets every number of a new array.
func each(h, w, c int, f func(y, x, c int) float32) array {
	out := newArray(h, w, c)
	for y := range h {
		for x := range w {
			for k := range c {
				*out.at(y, x, k) = f(y, x, k)
			}
		}
	}
	return out
}

// conv computes a convolution with SAME padding from its definition. weights
// are [k, k, in, n]; wise keeps each channel for itself.
func (a array) conv(weights []float32, k, n, stride int, wise bool, bias func(c int) float32) array {
	channels := n
	if wise {
		channels *= a.c
	}
	h, w := ceilDiv(a.h, stride), ceilDiv(a.w, stride)
	top, left := max((h-1)*stride+k-a.h, 0)/2, max((w-1)*stride+k-a.w, 0)/2
	return each(h, w, channels, func(y, x, c int) float32 {
		sum := bias(c)
		for i := range k * k * a.c {
			ky, kx, from := i/a.c/k, i/a.c%k, i%a.c
			py, px := y*stride+ky-top, x*stride+kx-left
			if py < 0 || py >= a.h || px < 0 || px >= a.w || wise && from != c/n {
				continue
			}
			to := c
			if wise {
				to = c % n
			}
			sum += *a.at(py, px, from) * weights[((ky*k+kx)*a.c+from)*n+to]
		}
		return sum
	})
}

func (a array) apply(f func(v float32, c int) float32) array {
	return each(a.h, a.w, a.c, func(y, x, c int) float32 { return f(*a.at(y, x, c), c) })
}

// resize computes a bilinear resize with corners at the origin.
func (a array) resize(h, w int) array {
	return each(h, w, a.c, func(y, x, c int) float32 {
		sy, sx := float32(y)*float32(a.h)/float32(h), float32(x)*float32(a.w)/float32(w)
		y0, x0 := int(sy), int(sx)
		y1, x1 := min(y0+1, a.h-1), min(x0+1, a.w-1)
		fy, fx := sy-float32(y0), sx-float32(x0)
		top := *a.at(y0, x0, c)*(1-fx) + *a.at(y0, x1, c)*fx
		low := *a.at(y1, x0, c)*(1-fx) + *a.at(y1, x1, c)*fx
		return top*(1-fy) + low*fy
	})
}

func relu(v float32, _ int) float32  { return max(v, 0) }
func relu6(v float32, _ int) float32 { return min(max(v, 0), 6) }

// compute is the model of everything, from the definitions.
func compute(in array) (wide, small array) {
	stemBias, wiseBias, none := []float32{0.5, -0.5, 0.25, 1}, ramp(8), func(int) float32 { return 0 }
	x := in.conv(ramp(108), 3, 4, 2, false, func(c int) float32 { return stemBias[c] }).apply(relu)
	d := x.conv(ramp(72), 3, 2, 1, true, func(c int) float32 { return wiseBias[c] }).apply(relu6)
	q := d.conv(ramp(32), 1, 4, 1, false, none).conv(ramp(36), 3, 1, 1, true, none)
	s := each(x.h, x.w, x.c, func(y, xx, c int) float32 { return *q.at(y, xx, c) + *x.at(y, xx, c) })
	mean := make([]float64, s.c)
	for i, v := range s.data {
		mean[i%s.c] += float64(v) / float64(s.h*s.w)
	}
	e := s.apply(func(v float32, c int) float32 { return v * float32(1/(1+math.Exp(-mean[c]))) })
	small = e.apply(func(v float32, c int) float32 { return relu6(v+3, c) / 6 })
	r, u := small.resize(10, 12), e.resize(10, 12)
	wide = each(10, 12, 8, func(y, x, c int) float32 {
		v := u
		if c < 4 {
			v = r
		}
		return max(*v.at(y, x, c%4)-ramp(8)[c], 0)
	})
	return wide, small
}

// Each operation, computed by OpenCV from the ONNX, gives what its definition
// in TensorFlow's layout gives.
func TestOpenCVComputesTheSame(t *testing.T) {
	m, outputs := everything()
	in := array{9, 12, 3, ramp(9 * 12 * 3)}
	wide, small := compute(in)
	got := runOpenCV(t, convert(t, m, outputs...), in)
	for _, want := range []array{wide, small} {
		found := false
		for _, g := range got {
			if len(g.Data) == len(want.data) && g.Shape[1] == want.c {
				found = true
				compare(t, g, want)
			}
		}
		if !found {
			t.Errorf("no output of %d channels of %dx%d among %v", want.c, want.w, want.h, got)
		}
	}
}

func compare(t *testing.T, got nn.Tensor, want array) {
	t.Helper()
	for i, g := range got.Data {
		c, y, x := i/(want.h*want.w), i/want.w%want.h, i%want.w
		if w := *want.at(y, x, c); math.Abs(float64(g-w)) > 1e-4*max(1, math.Abs(float64(w))) {
			t.Errorf("output %v at channel %d, row %d, column %d: got %v, want %v", got.Shape, c, y, x, g, w)
			return
		}
	}
}

func runOpenCV(t *testing.T, onnx []byte, in array) []nn.Tensor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, onnx, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := opencv.New(opencv.Config{Threads: 1, Models: []opencv.Model{{
		Name: "m", InputW: in.w, InputH: in.h, Files: []nnmodel.File{{Path: path}}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	g, err := b.Graph("m")
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	nchw := make([]float32, 0, len(in.data))
	for c := range in.c {
		for yx := range in.h * in.w {
			nchw = append(nchw, in.data[yx*in.c+c])
		}
	}
	if err := s.SetInput(0, nn.Tensor{Shape: []int{1, in.c, in.h, in.w}, Data: nchw}); err != nil {
		t.Fatal(err)
	}
	if err := s.Compute(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := s.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
