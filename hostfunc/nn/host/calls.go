package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// The host functions. Each checks all that it is given before it does anything.

// init is init_execution_context(graph, ctx *u32).
func (s *state) init(a args) error {
	g, err := s.graph(a.u32(0))
	if err != nil {
		return err
	}
	if _, err := a.words(1, 1); err != nil {
		return err
	}
	i := slices.Index(s.contexts[:], nil)
	if i < 0 {
		return fmt.Errorf("%w: %d contexts are open; drop one", errTooLarge, MaxContexts)
	}
	c := &session{inputs: g.inputs, given: slices.Clone(g.inputs)}
	if account := executor.AccountOf(a.ctx); account != nil {
		c.tenant = account.Tenant
	}
	if err := c.hold(sizeOfAll(g.inputs)); err != nil {
		return err
	}
	if c.BackendSession, err = g.g.NewSession(); err != nil {
		c.tenant.ReleaseMemory(c.held)
		return err
	}
	s.contexts[i] = c
	return a.put(1, uint32(i+1))
}

func (s *state) graph(handle uint32) (*graph, error) {
	if handle == 0 || handle > MaxGraphs || s.graphs[handle-1] == nil {
		return nil, fmt.Errorf("%w: no graph %d", errArgument, handle)
	}
	return s.graphs[handle-1], nil
}

func (s *state) context(handle uint32) (*session, error) {
	if handle == 0 || handle > MaxContexts || s.contexts[handle-1] == nil {
		return nil, fmt.Errorf("%w: no context %d", errArgument, handle)
	}
	return s.contexts[handle-1], nil
}

// setInput is set_input(ctx, index, tensor *tensor).
func (s *state) setInput(a args) error {
	c, err := s.context(a.u32(0))
	if err != nil {
		return err
	}
	t, err := readTensor(a, a.u32(2))
	if err != nil {
		return err
	}
	index := a.u32(1)
	if uint64(index) >= uint64(len(c.inputs)) || !takes(c.inputs[index], t.shape()) {
		return fmt.Errorf("%w: input %d of shape %v; want one of %v", errArgument, index, t.shape(), c.inputs)
	}
	if slices.Contains(c.inputs[index], 0) { // the guest chooses the size
		c.given[index] = slices.Clone(t.shape())
		if err := c.hold(sizeOfAll(c.given)); err != nil {
			return err
		}
	}
	if s.floats, err = t.floats(s.floats[:0]); err != nil {
		return err
	}
	if err := c.SetInput(int(index), nn.Tensor{Shape: t.shape(), Data: s.floats}); err != nil {
		return err
	}
	c.reported = c.Timings()
	return nil
}

// takes says whether a tensor of a shape fits an input. Its sizes that are 0 are open.
func takes(input, shape []int) bool {
	return slices.EqualFunc(input, shape, func(want, d int) bool { return d > 0 && (d == want || want == 0) })
}

// setImage is bungee_set_image(ctx, index, ptr, len, fit *[7]u32).
func (s *state) setImage(a args) error {
	c, err := s.context(a.u32(0))
	if err != nil {
		return err
	}
	if a.u32(3) > nn.MaxImage {
		return fmt.Errorf("%w: an image of %d bytes; want at most %d", errTooLarge, a.u32(3), nn.MaxImage)
	}
	img, err := a.bytes(a.u32(2), a.u32(3))
	if err != nil {
		return err
	}
	if _, err := a.words(4, fitWords); err != nil {
		return err
	}
	index, err := c.index(a.u32(1))
	if err != nil {
		return err
	}
	fit, err := c.SetImage(a.ctx, index, img)
	c.reported = nn.Timings{}
	c.report(a)
	if err != nil {
		return err
	}
	return a.put(4, fitOf(fit)...)
}

// index checks the index of an input.
func (c *session) index(i uint32) (int, error) {
	if uint64(i) >= uint64(len(c.inputs)) {
		return 0, fmt.Errorf("%w: input %d; there are %d", errArgument, i, len(c.inputs))
	}
	return int(i), nil
}

// fitWords is the size of a fit in words.
const fitWords = 7

func fitOf(f nn.Fit) []uint32 {
	return []uint32{
		uint32(f.ImageW), uint32(f.ImageH),
		uint32(f.InputW), uint32(f.InputH),
		math.Float32bits(f.Scale), math.Float32bits(f.PadX), math.Float32bits(f.PadY),
	}
}

// compute is compute(ctx).
func (s *state) compute(a args) error {
	c, err := s.context(a.u32(0))
	if err != nil {
		return err
	}
	err = c.Compute(a.ctx)
	c.report(a)
	if err != nil {
		return err
	}
	if err := c.holdOutputs(); err != nil {
		s.contexts[a.u32(0)-1] = nil
		return errors.Join(err, c.Close())
	}
	return nil
}

// holdOutputs has the tenant hold the outputs, too: only now their size is known.
func (c *session) holdOutputs() error {
	out, err := c.Outputs()
	if err != nil {
		return err
	}
	size := sizeOfAll(c.given)
	for _, t := range out {
		size += sizeOf(t.Shape)
	}
	return c.hold(size)
}

// report adds the spans of the time since the last report.
func (c *session) report(a args) {
	was, now := c.reported, c.Timings()
	c.reported = now
	if d := now.Decode - was.Decode; d > 0 {
		executor.AddSpan(a.ctx, "nn.decode", d)
	}
	if d := now.Letterbox - was.Letterbox; d > 0 {
		executor.AddSpan(a.ctx, "nn.letterbox", d)
	}
	if d := now.Queue - was.Queue; d > 0 {
		executor.AddSpan(a.ctx, "nn.queue", d)
	}
	if d := now.Compute - was.Compute; d > 0 {
		executor.AddSpan(a.ctx, "nn.compute", d)
	}
}

// outputOf returns output index of a context.
func (s *state) outputOf(handle, index uint32) (nn.Tensor, error) {
	c, err := s.context(handle)
	if err != nil {
		return nn.Tensor{}, err
	}
	out, err := c.Outputs()
	if err != nil {
		return nn.Tensor{}, err
	}
	if uint64(index) >= uint64(len(out)) {
		return nn.Tensor{}, fmt.Errorf("%w: output %d; there are %d", errArgument, index, len(out))
	}
	return out[index], nil
}

// output is get_output(ctx, index, buf, max, len *u32).
func (s *state) output(a args) error {
	t, err := s.outputOf(a.u32(0), a.u32(1))
	if err != nil {
		return err
	}
	if size := 4 * uint64(len(t.Data)); size > uint64(a.u32(3)) {
		return fmt.Errorf("%w: output %d has %d bytes; the buffer %d", errTooLarge, a.u32(1), size, a.u32(3))
	}
	size := uint32(4 * len(t.Data))
	b, err := a.bytes(a.u32(2), size)
	if err != nil {
		return err
	}
	if err := a.put(4, size); err != nil {
		return err
	}
	for i, f := range t.Data {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(f))
	}
	return nil
}

// inputs is bungee_inputs(graph, n *u32).
func (s *state) inputs(a args) error {
	g, err := s.graph(a.u32(0))
	if err != nil {
		return err
	}
	return a.put(1, uint32(len(g.inputs)))
}

// inputShape is bungee_input_shape(graph, index, dims *u32, max, rank *u32).
func (s *state) inputShape(a args) error {
	g, err := s.graph(a.u32(0))
	if err != nil {
		return err
	}
	if i := a.u32(1); uint64(i) >= uint64(len(g.inputs)) {
		return fmt.Errorf("%w: input %d; there are %d", errArgument, i, len(g.inputs))
	}
	return a.putShape(g.inputs[a.u32(1)])
}

// outputs is bungee_outputs(ctx, n *u32).
func (s *state) outputs(a args) error {
	c, err := s.context(a.u32(0))
	if err != nil {
		return err
	}
	out, err := c.Outputs()
	if err != nil {
		return err
	}
	return a.put(1, uint32(len(out)))
}

// outputShape is bungee_output_shape(ctx, index, dims *u32, max, rank *u32).
func (s *state) outputShape(a args) error {
	t, err := s.outputOf(a.u32(0), a.u32(1))
	if err != nil {
		return err
	}
	return a.putShape(t.Shape)
}

// putShape writes a shape to parameters 2 (dims), 3 (max) and 4 (rank).
func (a args) putShape(shape []int) error {
	if len(shape) > nn.MaxRank || uint32(len(shape)) > a.u32(3) {
		return fmt.Errorf("%w: shape %v; there is room for rank %d", errTooLarge, shape, min(a.u32(3), nn.MaxRank))
	}
	if _, err := a.words(4, 1); err != nil {
		return err
	}
	dims := make([]uint32, len(shape), nn.MaxRank)
	for i, d := range shape {
		dims[i] = uint32(d)
	}
	if err := a.put(2, dims...); err != nil {
		return err
	}
	return a.put(4, uint32(len(shape)))
}

// dropContext is bungee_drop_context(ctx).
func (s *state) dropContext(a args) error {
	c, err := s.context(a.u32(0))
	if err != nil {
		return err
	}
	s.contexts[a.u32(0)-1] = nil
	return c.Close()
}

// dropGraph is bungee_drop_graph(graph). Contexts of the graph live on.
func (s *state) dropGraph(a args) error {
	if _, err := s.graph(a.u32(0)); err != nil {
		return err
	}
	s.graphs[a.u32(0)-1] = nil
	return nil
}
