package nn

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"unsafe"
)

// The host functions, docs/nn.md. Each returns an errno. Pointers that lie
// inside a structure are those of package variables or of the heap, which do
// not move.

//go:wasmimport wasi_ephemeral_nn load_by_name
//go:noescape
func hostLoad(name string, graph *uint32) uint32

//go:wasmimport wasi_ephemeral_nn init_execution_context
//go:noescape
func hostInit(graph uint32, ctx *uint32) uint32

//go:wasmimport wasi_ephemeral_nn set_input
//go:noescape
func hostSetInput(ctx, index uint32, t *[5]uint32) uint32

//go:wasmimport wasi_ephemeral_nn compute
func hostCompute(ctx uint32) uint32

//go:wasmimport wasi_ephemeral_nn get_output
//go:noescape
func hostOutput(ctx, index uint32, data *float32, max uint32, n *uint32) uint32

//go:wasmimport wasi_ephemeral_nn bungee_set_image
//go:noescape
func hostSetImage(ctx, index uint32, data *byte, n uint32, fit *[7]uint32) uint32

//go:wasmimport wasi_ephemeral_nn bungee_inputs
//go:noescape
func hostInputs(graph uint32, n *uint32) uint32

//go:wasmimport wasi_ephemeral_nn bungee_input_shape
//go:noescape
func hostInputShape(graph, index uint32, dims *uint32, max uint32, rank *uint32) uint32

//go:wasmimport wasi_ephemeral_nn bungee_outputs
//go:noescape
func hostOutputs(ctx uint32, n *uint32) uint32

//go:wasmimport wasi_ephemeral_nn bungee_output_shape
//go:noescape
func hostOutputShape(ctx, index uint32, dims *uint32, max uint32, rank *uint32) uint32

//go:wasmimport wasi_ephemeral_nn bungee_drop_context
func hostDrop(ctx uint32) uint32

//go:wasmimport wasi_ephemeral_nn bungee_last_error
//go:noescape
func hostLastError(text *byte, max uint32, n *uint32) uint32

// Values of an errno that this side tells apart.
const (
	errnoEncoding = 2
	errnoNotFound = 8
)

// typeF32 is wasi-nn's tensor type of float32.
const typeF32 = 1

// maxText is the most bytes of an error's text that are asked for.
const maxText = 1024

// A hostError is the host's error about a call that it refused. It can be [ErrNoGraph]
// or [ErrBadImage].
type hostError struct {
	kind error
	text string
}

func (e *hostError) Error() string { return e.text }
func (e *hostError) Unwrap() error { return e.kind }

// check returns nil for an errno of 0, else what the host says of it.
func check(errno uint32) error {
	if errno == 0 {
		return nil
	}
	e := &hostError{text: "nn: host error " + strconv.Itoa(int(errno))}
	text := make([]byte, maxText)
	var n uint32
	if hostLastError(&text[0], maxText, &n) == 0 && 0 < n && n <= maxText {
		e.text = string(text[:n])
	}
	switch errno {
	case errnoEncoding:
		e.kind = ErrBadImage
	case errnoNotFound:
		e.kind = ErrNoGraph
	}
	return e
}

// A Graph is a network that can be run. It needs no closing.
type Graph struct {
	handle uint32
	inputs [][]int
}

// Load returns the graph of that name at the host. Its errors wrap [ErrNoGraph] or are
// the host's.
func Load(name string) (*Graph, error) {
	var g Graph
	if err := check(hostLoad(name, &g.handle)); err != nil {
		return nil, err
	}
	var n uint32
	if err := check(hostInputs(g.handle, &n)); err != nil {
		return nil, err
	}
	for i := range n {
		s, err := shape(hostInputShape, g.handle, i, nil)
		if err != nil {
			return nil, err
		}
		g.inputs = append(g.inputs, s)
	}
	return &g, nil
}

// Inputs returns the shapes of the graph's inputs. A size that is 0 is open: SetInput gives it.
func (g *Graph) Inputs() [][]int { return g.inputs }

// shape appends to dst the shape that ask gives.
func shape(ask func(handle, index uint32, dims *uint32, max uint32, rank *uint32) uint32,
	handle, index uint32, dst []int) ([]int, error) {
	if err := check(ask(handle, index, &scratch[0], MaxRank, &answer)); err != nil {
		return nil, err
	}
	if answer > MaxRank {
		return nil, errors.New("nn: the host gave a shape of rank " + strconv.Itoa(int(answer)))
	}
	for _, d := range scratch[:answer] {
		dst = append(dst, int(d))
	}
	return dst, nil
}

// Memory of one host call. Goroutines of a guest take turns, and none of them
// yields between filling these and reading them.
var (
	scratch [MaxRank]uint32
	answer  uint32
	pinned  []float32 // keeps the data of a tensor in the heap, where it stays
)

// NewSession returns a session of the graph. The caller closes it.
func (g *Graph) NewSession() (*Session, error) {
	var s Session
	if err := check(hostInit(g.handle, &s.handle)); err != nil {
		return nil, err
	}
	s.data, spare = spare, nil
	return &s, nil
}

// spare is the output memory of the session closed last, for the next one.
var spare []float32

// A Session is one use of a Graph.
type Session struct {
	handle uint32 // at the host; never 0 while open
	out    []Tensor
	data   []float32 // of all of out
}

// SetInput copies t into input index.
func (s *Session) SetInput(index int, t Tensor) error {
	if len(t.Shape) > MaxRank {
		return errors.New("nn: tensor has rank " + strconv.Itoa(len(t.Shape)) + "; want at most " + strconv.Itoa(MaxRank))
	}
	for i, d := range t.Shape {
		scratch[i] = uint32(d)
	}
	pinned = t.Data
	raw := [5]uint32{
		address(unsafe.Pointer(&scratch)), uint32(len(t.Shape)),
		typeF32,
		address(unsafe.Pointer(unsafe.SliceData(pinned))), uint32(4 * len(pinned)),
	}
	err := check(hostSetInput(s.handle, uint32(index), &raw))
	pinned = nil
	return err
}

func address(p unsafe.Pointer) uint32 { return uint32(uintptr(p)) }

// SetImage lets the host decode an encoded image (JPEG, PNG) and letterbox it into input
// index. It returns how the image was placed. When the bytes cannot be decoded, the error
// wraps [ErrBadImage].
func (s *Session) SetImage(ctx context.Context, index int, encoded []byte) (Fit, error) {
	var raw [7]uint32
	errno := hostSetImage(s.handle, uint32(index), unsafe.SliceData(encoded), uint32(len(encoded)), &raw)
	if err := checkContext(ctx, errno); err != nil {
		return Fit{}, err
	}
	return Fit{
		ImageW: int(raw[0]), ImageH: int(raw[1]),
		InputW: int(raw[2]), InputH: int(raw[3]),
		Scale: math.Float32frombits(raw[4]), PadX: math.Float32frombits(raw[5]), PadY: math.Float32frombits(raw[6]),
	}, nil
}

// Compute runs the network on the inputs that were set.
func (s *Session) Compute(ctx context.Context) error {
	return checkContext(ctx, hostCompute(s.handle))
}

// checkContext is check, but of a call that ctx ended it returns ctx's cause.
func checkContext(ctx context.Context, errno uint32) error {
	if errno != 0 && errno != errnoEncoding && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return check(errno)
}

// Outputs returns all outputs of the last Compute. They are valid until the
// next Compute or Close.
func (s *Session) Outputs() ([]Tensor, error) {
	size, err := s.shapes()
	if err != nil {
		return nil, err
	}
	s.data = slices.Grow(s.data[:0], size)[:size]
	rest := s.data
	for i := range s.out {
		t := &s.out[i]
		n := volume(t.Shape)
		t.Data, rest = rest[:n:n], rest[n:]
		err := check(hostOutput(s.handle, uint32(i), unsafe.SliceData(t.Data), uint32(4*n), &answer))
		if err != nil {
			return nil, err
		}
	}
	return s.out, nil
}

// shapes reads the shapes of all outputs and returns how many numbers they have.
func (s *Session) shapes() (size int, err error) {
	if err := check(hostOutputs(s.handle, &answer)); err != nil {
		return 0, err
	}
	n := int(answer)
	s.out = slices.Grow(s.out[:0], n)[:n]
	for i := range s.out {
		t := &s.out[i]
		if t.Shape, err = shape(hostOutputShape, s.handle, uint32(i), t.Shape[:0]); err != nil {
			return 0, err
		}
		size += volume(t.Shape)
	}
	return size, nil
}

// volume returns how many numbers a tensor of the shape has. The host has
// bounded it by MaxTensor.
func volume(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// Close frees the session. It may be called twice.
func (s *Session) Close() error {
	if s.handle == 0 {
		return nil
	}
	err := check(hostDrop(s.handle))
	if cap(s.data) > cap(spare) {
		spare = s.data[:0]
	}
	*s = Session{}
	return err
}

// WithTimings returns ctx. In a guest the host keeps the timings: they are
// spans of the call.
func WithTimings(ctx context.Context, _ *Timings) context.Context { return ctx }
