//go:build cgo

package onnx

import (
	"context"
	"errors"
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
	kind  ort.TensorElementDataType
	shape []int // of one session; anySize where a session's input, or a run, tells
	size  int   // numbers in it; anySize likewise
}

// takes says whether a tensor of that shape can be given.
func (p *port) takes(shape []int) bool {
	return slices.EqualFunc(p.shape, shape, func(want, d int) bool { return d == want || want == anySize && d > 0 })
}

// A network is a model in ONNX Runtime. It may be used by many goroutines.
type network struct {
	s       *ort.DynamicAdvancedSession
	in, out []port
	free    bool // the first dimension of all ports is
	open    bool // a further dimension of an input is
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
		err = errors.Join(n.fix(m), n.checkTypes())
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
		if i.OrtValueType != ort.ONNXTypeTensor || len(i.Dimensions) > nn.MaxRank {
			return nil, fmt.Errorf("%.256q; want tensors of at most %d dimensions", i.String(), nn.MaxRank)
		}
		p := port{name: i.Name, kind: i.DataType}
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
		if err := n.fixInput(&n.in[i]); err != nil {
			return err
		}
	}
	n.free = n.free && !n.open
	return nil
}

// fixInput makes the size of a batch 1. Other sizes that the file leaves open are those of the tensor
// that a session is given.
func (n *network) fixInput(p *port) error {
	if len(p.shape) > 1 && p.shape[0] == anySize {
		p.shape[0] = 1 // free, but not in an output
		p.size = volume(p.shape)
	}
	if p.size == anySize {
		n.open = true
		return nil
	}
	if p.size < 1 || p.size > nn.MaxTensor/4 {
		return fmt.Errorf("its input %q has shape %v; want at most %d bytes", p.name, p.shape, nn.MaxTensor)
	}
	return nil
}

// checkTypes looks whether the numbers of all ports can be converted.
func (n *network) checkTypes() error {
	for i := range n.in {
		if p := &n.in[i]; !isInput(p.kind) {
			return fmt.Errorf("its input %q is of %s; want float32, float16, float64, int64, int32, uint8 or bool", p.name, p.kind)
		}
	}
	for i := range n.out {
		if p := &n.out[i]; !isOutput(p) {
			return fmt.Errorf("its output %q is of %s and shape %v; want float32, or another type of at most 64 bits; half precision with sizes that are fixed", p.name, p.kind, p.shape)
		}
	}
	return nil
}

// A frame is the memory of a run: of one session, or of a batch.
type frame struct {
	in     [][]float32
	shapes [][]int // of in, of one session; nil where an input of open sizes is not set
	out    []nn.Tensor
}

// frame returns memory for runs of up to k sessions.
func (n *network) frame(k int) *frame {
	f := &frame{out: make([]nn.Tensor, len(n.out))}
	for _, p := range n.in {
		var shape []int
		if p.size != anySize {
			shape = p.shape
		}
		f.in, f.shapes = append(f.in, make([]float32, k*max(p.size, 0))), append(f.shapes, shape)
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
	for i := range n.in {
		p := &n.in[i]
		size := p.size
		if size == anySize {
			size = len(f.in[i])
		}
		r.add(&r.in, p, f.shapes[i], k, f.in[i][:k*size])
	}
	for i := range n.out {
		p := &n.out[i]
		if p.allocated() || p.size < 1 || k*p.size > nn.MaxTensor/4 {
			f.out[i].Data = f.out[i].Data[:0]
			r.out = append(r.out, nil) // ONNX Runtime allocates it
			continue
		}
		f.out[i].Data = slices.Grow(f.out[i].Data[:0], k*p.size)[:k*p.size]
		r.add(&r.out, p, p.shape, k, f.out[i].Data)
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

// allocated says that ONNX Runtime allocates an output: it is converted anyway. A scalar it does
// not, and half precision its Go API does not read.
func (p *port) allocated() bool {
	switch p.kind {
	case ort.TensorElementDataTypeFloat, ort.TensorElementDataTypeFloat16:
		return false
	}
	return len(p.shape) > 0
}

// take makes v output i of the frame: v's shape, and its data where that is not the
// frame's own.
func (f *frame) take(i int, v ort.Value) error {
	shape := v.GetShape()
	if size := shape.FlattenedSize(); len(shape) > nn.MaxRank || len(shape) > 0 && size > nn.MaxTensor/4 {
		return fmt.Errorf("output %d has shape %v; want at most %d dimensions and %d bytes", i, shape, nn.MaxRank, nn.MaxTensor)
	}
	o := &f.out[i]
	o.Shape = o.Shape[:0]
	for _, d := range shape {
		o.Shape = append(o.Shape, int(d))
	}
	t, ok := v.(*ort.Tensor[float32])
	if !ok {
		var err error
		if o.Data, err = asFloats(o.Data[:0], v); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
		return nil
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

// add appends a tensor of a port over data to list: k of that shape behind each other.
func (r *tensors) add(list *[]ort.Value, p *port, shape []int, k int, data []float32) {
	s := make(ort.Shape, len(shape))
	for i, d := range shape {
		s[i] = int64(d)
	}
	if k > 1 {
		s[0] *= int64(k)
	}
	t, err := r.value(p, s, data)
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
