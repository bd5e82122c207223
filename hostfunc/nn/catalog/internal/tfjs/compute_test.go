//go:build cgo

package tfjs

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	nnmodel "github.com/bungee-xr/bungee/hostfunc/nn/model"
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

// side computes how SAME lays a kernel over a side of n: the length of the result
// and where the kernel begins.
func side(n, k, stride, dilation int) (length, begin int) {
	length = ceilDiv(n, stride)
	return length, -max((length-1)*stride+(k-1)*dilation+1-n, 0) / 2
}

// conv computes a convolution with SAME padding from its definition. weights
// are [kh, kw, in, n]; wise keeps each channel for itself.
func (a array) conv(weights []float32, k window, n int, wise bool, bias func(c int) float32) array {
	channels := n
	if wise {
		channels *= a.c
	}
	h, top := side(a.h, k.kh, k.sy, k.dy)
	w, left := side(a.w, k.kw, k.sx, k.dx)
	return each(h, w, channels, func(y, x, c int) float32 {
		sum := bias(c)
		for i := range k.kh * k.kw * a.c {
			ky, kx, from := i/a.c/k.kw, i/a.c%k.kw, i%a.c
			py, px := y*k.sy+ky*k.dy+top, x*k.sx+kx*k.dx+left
			if py < 0 || py >= a.h || px < 0 || px >= a.w || wise && from != c/n {
				continue
			}
			to := c
			if wise {
				to = c % n
			}
			sum += *a.at(py, px, from) * weights[((ky*k.kw+kx)*a.c+from)*n+to]
		}
		return sum
	})
}

// square is a window of k by k.
func square(k, stride int) window { return window{kh: k, kw: k, sy: stride, sx: stride, dy: 1, dx: 1} }

func none(int) float32 { return 0 }

// mean computes the mean of each channel.
func (a array) mean() []float32 {
	sums := make([]float64, a.c)
	for i, v := range a.data {
		sums[i%a.c] += float64(v) / float64(a.h*a.w)
	}
	return each(1, 1, a.c, func(_, _, c int) float32 { return float32(sums[c]) }).data
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
	stemBias, wiseBias := []float32{0.5, -0.5, 0.25, 1}, ramp(8)
	x := in.conv(ramp(108), square(3, 2), 4, false, func(c int) float32 { return stemBias[c] }).apply(relu)
	d := x.conv(ramp(72), square(3, 1), 2, true, func(c int) float32 { return wiseBias[c] }).apply(relu6)
	q := d.conv(ramp(32), square(1, 1), 4, false, none).conv(ramp(36), square(3, 1), 1, true, none)
	s := each(x.h, x.w, x.c, func(y, xx, c int) float32 { return *q.at(y, xx, c) + *x.at(y, xx, c) })
	mean := s.mean()
	e := s.apply(func(v float32, c int) float32 { return v * float32(1/(1+math.Exp(-float64(mean[c])))) })
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

// A form is one way to use an operation, and its definition.
type form struct {
	name string
	node func(m *maker, image string) string
	want func(in array) array
}

// forms returns what everything leaves out.
func forms() []form {
	all := []form{
		{"resized to less", resize(4, 5), func(in array) array { return in.resize(4, 5) }},
		{"resized by a fraction", resize(10, 17), func(in array) array { return in.resize(10, 17) }},
		{"resized to what it is", resize(9, 12), func(in array) array { return in }},
		{"one less it", func(m *maker, x string) string { return m.node("Sub", "out", nil, m.floats("one", nil, 1), x) },
			func(in array) array { return in.apply(func(v float32, _ int) float32 { return 1 - v }) }},
		{"it less its mean", func(m *maker, x string) string {
			return m.node("Sub", "out", nil, x, m.node("Mean", "mean", flag("keep_dims", true), x, m.ints("axes", []int{2}, 1, 2)))
		}, func(in array) array {
			mean := in.mean()
			return in.apply(func(v float32, c int) float32 { return v - mean[c] })
		}},
		{"added to itself", func(m *maker, x string) string { return m.node("Add", "out", nil, x, x) },
			func(in array) array { return in.apply(func(v float32, _ int) float32 { return 2 * v }) }},
	}
	for _, w := range []window{
		{kh: 1, kw: 3, sy: 2, sx: 1, dy: 1, dx: 1},
		{kh: 3, kw: 3, sy: 1, sx: 1, dy: 2, dx: 2},
		{kh: 2, kw: 5, sy: 1, sx: 2, dy: 3, dx: 2}, // one zero more behind than before
	} {
		all = append(all, convolved("Conv2D", w), convolved("DepthwiseConv2dNative", w))
	}
	return all
}

func resize(h, w int32) func(m *maker, x string) string {
	return func(m *maker, x string) string {
		return m.node("ResizeBilinear", "out", nil, x, m.ints("size", []int{2}, h, w))
	}
}

func convolved(op string, w window) form {
	weights := ramp(w.kh * w.kw * 3 * 2)
	return form{fmt.Sprintf("%s of %dx%d dilated by %dx%d", op, w.kh, w.kw, w.dy, w.dx), func(m *maker, x string) string {
		return m.node(op, "out", windowAttrs("SAME", w), x, m.floats("w", []int{w.kh, w.kw, 3, 2}, weights...))
	}, func(in array) array { return in.conv(weights, w, 2, op != "Conv2D", none) }}
}

// computes checks that a backend computes from the ONNX what each operation's
// definition gives in TensorFlow's layout.
func computes(t *testing.T, open func(*testing.T, []nnmodel.Model) nn.Backend) {
	in := array{9, 12, 3, ramp(9 * 12 * 3)}
	t.Run("everything", func(t *testing.T) {
		m, outputs := everything()
		wide, small := compute(in)
		got := run(t, open(t, saved(t, m, outputs...)), in)
		find(t, got, wide)
		find(t, got, small)
	})
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			m := &maker{}
			out := f.node(m, m.image(in.h, in.w, in.c))
			find(t, run(t, open(t, saved(t, m, out)), in), f.want(in))
		})
	}
}

// find compares the output that has want's shape with it. OpenCV has an order of
// its own of outputs.
func find(t *testing.T, got []nn.Tensor, want array) {
	t.Helper()
	for _, g := range got {
		if slices.Equal(g.Shape, []int{1, want.c, want.h, want.w}) {
			compare(t, g, want)
			return
		}
	}
	t.Errorf("no output of %d channels of %dx%d among %d", want.c, want.w, want.h, len(got))
}

// saved returns the model as a file.
func saved(t *testing.T, m *maker, outputs ...string) []nnmodel.Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, convert(t, m, outputs...), 0o600); err != nil {
		t.Fatal(err)
	}
	return []nnmodel.Model{{Name: "m", InputW: 12, InputH: 9, Files: []nnmodel.File{{Path: path}}}}
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

func run(t *testing.T, b nn.Backend, in array) []nn.Tensor {
	t.Helper()
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
