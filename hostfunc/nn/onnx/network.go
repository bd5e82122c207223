//go:build cgo

package onnx

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	ort "github.com/yalue/onnxruntime_go"
)

// maxPorts bounds the inputs and the outputs of a network. Detectors have 1 to 9.
const maxPorts = 16

// anySize is a dimension whose size is not fixed.
const anySize = -1

// A port is an input or an output of a network.
type port struct {
	name  string
	shape []int // of one session; anySize where only a run tells
	size  int   // numbers in it; anySize likewise
}

// A network is a model in ONNX Runtime. It may be used by many goroutines.
type network struct {
	s       *ort.DynamicAdvancedSession
	in, out []port
	free    bool // the first dimension of all ports is
}

// newNetwork makes a network of an ONNX file's bytes.
func newNetwork(m *model.Model, onnx []byte, options *ort.SessionOptions) (*network, error) {
	in, out, err := ort.GetInputOutputInfoWithONNXData(onnx)
	if err != nil {
		return nil, err
	}
	n := &network{free: allFree(in) && allFree(out)}
	if n.in, err = ports(in, n.free); err == nil {
		n.out, err = ports(out, n.free)
	}
	if err == nil {
		err = n.fix(m)
	}
	if err != nil {
		return nil, err
	}
	n.s, err = ort.NewDynamicAdvancedSessionWithONNXData(onnx, names(n.in), names(n.out), options)
	return n, err
}

// allFree says whether the first dimension of all infos is.
func allFree(infos []ort.InputOutputInfo) bool {
	return !slices.ContainsFunc(infos, func(i ort.InputOutputInfo) bool {
		return len(i.Dimensions) == 0 || i.Dimensions[0] >= 0
	})
}

func names(ports []port) []string {
	var s []string
	for _, p := range ports {
		s = append(s, p.name)
	}
	return s
}

func ports(infos []ort.InputOutputInfo, free bool) ([]port, error) {
	if len(infos) < 1 || len(infos) > maxPorts {
		return nil, fmt.Errorf("it has %d inputs or outputs; want 1 to %d", len(infos), maxPorts)
	}
	var all []port
	for _, i := range infos {
		if i.OrtValueType != ort.ONNXTypeTensor || i.DataType != ort.TensorElementDataTypeFloat || len(i.Dimensions) > nn.MaxRank {
			return nil, fmt.Errorf("%.256q; want float32 tensors of at most %d dimensions", i.String(), nn.MaxRank)
		}
		p := port{name: i.Name}
		for k, d := range i.Dimensions {
			if k == 0 && free {
				d = 1
			}
			p.shape = append(p.shape, int(max(d, anySize)))
		}
		p.size = volume(p.shape)
		all = append(all, p)
	}
	return all, nil
}

// volume returns how many numbers a tensor of a shape has, at most one more than
// MaxTensor allows.
func volume(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 {
			return anySize
		}
		n = min(n*min(d, nn.MaxTensor), nn.MaxTensor/4+1)
	}
	return n
}

// fix gives the inputs the sizes that the file leaves open and the model says, and
// checks them.
func (n *network) fix(m *model.Model) error {
	image := &n.in[0]
	if m.TakesImage() {
		want := []int{1, 3, m.InputH, m.InputW}
		if len(image.shape) != len(want) {
			return fmt.Errorf("its input %q has shape %v; want %v", image.name, image.shape, want)
		}
		for k, d := range image.shape {
			if d != want[k] && d != anySize {
				return fmt.Errorf("its input %q has shape %v; want %v", image.name, image.shape, want)
			}
		}
		image.shape, image.size = want, volume(want)
	}
	for i := range n.in {
		p := &n.in[i]
		if len(p.shape) > 0 && p.shape[0] == anySize {
			p.shape[0] = 1 // free, but not in an output
			p.size = volume(p.shape)
		}
		if p.size < 1 || p.size > nn.MaxTensor/4 {
			return fmt.Errorf("its input %q has shape %v; want fixed sizes and at most %d bytes", p.name, p.shape, nn.MaxTensor)
		}
	}
	return nil
}

// A frame is the memory of a run: of one session, or of a batch.
type frame struct {
	in  [][]float32
	out []nn.Tensor
}

// frame returns memory for runs of up to k sessions.
func (n *network) frame(k int) *frame {
	f := &frame{out: make([]nn.Tensor, len(n.out))}
	for _, p := range n.in {
		f.in = append(f.in, make([]float32, k*p.size))
	}
	for i, p := range n.out {
		f.out[i].Data = make([]float32, 0, k*max(p.size, 0))
	}
	return f
}

// run runs the network on the first k sessions' inputs of f and fills its outputs.
// It stops when ctx ends.
func (n *network) run(ctx context.Context, f *frame, k int) error {
	var r tensors
	defer r.close()
	for i, p := range n.in {
		r.add(&r.in, p.shape, k, f.in[i][:k*p.size])
	}
	for i, p := range n.out {
		if p.size < 1 || k*p.size > nn.MaxTensor/4 {
			f.out[i].Data = f.out[i].Data[:0]
			r.out = append(r.out, nil) // ONNX Runtime allocates it
			continue
		}
		f.out[i].Data = slices.Grow(f.out[i].Data[:0], k*p.size)[:k*p.size]
		r.add(&r.out, p.shape, k, f.out[i].Data)
	}
	if r.err != nil {
		return r.err
	}
	if err := n.stoppable(ctx, &r); err != nil {
		return err
	}
	for i := range n.out {
		if err := f.take(i, r.out[i]); err != nil {
			return err
		}
	}
	return nil
}

// stoppable runs the network until it ends or ctx does.
func (n *network) stoppable(ctx context.Context, r *tensors) error {
	o, err := ort.NewRunOptions()
	if err != nil {
		return err
	}
	defer o.Destroy()
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		// It fails only where there are no options.
		_ = o.Terminate()
	})
	err = n.s.RunWithOptions(r.in, r.out, o)
	if !stop() {
		<-stopped
		if err != nil {
			return context.Cause(ctx)
		}
	}
	return err
}

// take makes v output i of the frame: v's shape, and its data where that is not the
// frame's own.
func (f *frame) take(i int, v ort.Value) error {
	t, ok := v.(*ort.Tensor[float32])
	if !ok {
		return fmt.Errorf("output %d is no float32 tensor", i)
	}
	shape := t.GetShape()
	if len(shape) > nn.MaxRank || len(t.GetData()) > nn.MaxTensor/4 {
		return fmt.Errorf("output %d has shape %v; want at most %d dimensions and %d bytes", i, shape, nn.MaxRank, nn.MaxTensor)
	}
	o := &f.out[i]
	o.Shape = o.Shape[:0]
	for _, d := range shape {
		o.Shape = append(o.Shape, int(d))
	}
	if data := t.GetData(); len(data) == 0 || len(o.Data) == 0 || &data[0] != &o.Data[0] {
		o.Data = append(o.Data[:0], data...)
	}
	return nil
}

func (n *network) close() error { return n.s.Destroy() }

// tensors are what a run works on. ONNX Runtime writes to Go's memory, which is
// pinned until close.
type tensors struct {
	in, out []ort.Value
	pins    runtime.Pinner
	err     error
}

// add appends a tensor over data to list: k of that shape behind each other.
func (r *tensors) add(list *[]ort.Value, shape []int, k int, data []float32) {
	s := make(ort.Shape, len(shape))
	for i, d := range shape {
		s[i] = int64(d)
	}
	if k > 1 {
		s[0] *= int64(k)
	}
	r.pins.Pin(&data[0])
	t, err := ort.NewTensor(s, data)
	if err != nil {
		r.err = err
		return
	}
	*list = append(*list, t)
}

func (r *tensors) close() {
	for _, v := range slices.Concat(r.in, r.out) {
		if v != nil {
			// It frees what NewTensor made and cannot fail.
			_ = v.Destroy()
		}
	}
	r.pins.Unpin()
}
