// Package host gives guests neural networks: package nn as host functions.
//
// A guest that uses package nn imports [Functions]. Some have the names, types and
// meaning of wasi-nn; those that wasi-nn lacks have the prefix bungee_. docs/nn.md
// describes all of them.
//
//	cfg := executor.InstanceConfig{Host: []executor.HostFuncs{host.Functions(backend, []string{"yolo*"})}}
//
// # What a guest may use
//
// A guest can use the networks whose names match the patterns given to [Functions]. It
// cannot find out whether the host has others. It cannot load a network of its own
// either: wasi-nn's load takes the bytes of a network that the host has, and finds that
// one by its digest. So guests that carry their network run, and no bytes of strangers
// reach the parser of the backend, which is native code.
//
// # Concurrency
//
// What [Functions] returns serves many instances. Each has its own handles.
//
// # Limits
//
// Graphs and contexts are outside the memory limit of an instance, which can hold
// [MaxGraphs] and [MaxContexts] of them. They are closed with the instance. The tensors of
// contexts count against the memory that the tenant may hold; what a backend needs while it
// computes does not, as instances share that. A function
// that gets a bad handle, pointer or size returns an errno and changes nothing. Guests can
// read the text of the backend's errors.
package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// Name is the name that guests import the functions by.
const Name = "wasi_ephemeral_nn"

// Bounds on what an instance holds. A context holds an input and the outputs:
// 2 to 4 MB for a detector.
const (
	MaxGraphs   = 16
	MaxContexts = 8
)

// maxNetwork bounds the bytes that load looks at, which takes the host's time.
const maxNetwork = 64 << 20

// maxText bounds the text of an error.
const maxText = 1024

// Functions returns the host functions that give guests the networks of b whose names
// match one of models: patterns as in [path.Match], or "*" for all.
func Functions(b nn.Backend, models []string) executor.HostFuncs {
	models = slices.Clone(models)
	return executor.HostFuncs{
		Name: Name,
		New: func() ([]executor.HostFunc, func()) {
			s := &state{backend: b, models: models}
			return s.funcs(), s.close
		},
	}
}

// A state is what an instance holds. The instance makes one call at a time.
type state struct {
	backend  nn.Backend
	models   []string          // patterns of what is granted
	graphs   [MaxGraphs]*graph // handle 1 is at 0
	contexts [MaxContexts]*session
	floats   []float32 // of one set_input
	last     string    // text of the last error
}

// A graph is a graph that the guest has loaded.
type graph struct {
	name   string
	g      nn.BackendGraph
	inputs [][]int
}

// A session is an execution context.
type session struct {
	nn.BackendSession
	inputs   [][]int    // their shapes; a size of 0 is open
	given    [][]int    // the same, with the open sizes that were given
	reported nn.Timings // that spans tell already

	tenant *executor.Tenant // whose memory it holds
	held   int64            // bytes of it
}

// hold has the tenant hold bytes in all for the session.
func (c *session) hold(bytes int64) error {
	if bytes <= c.held {
		return nil
	}
	if err := c.tenant.HoldMemory(bytes - c.held); err != nil {
		return fmt.Errorf("%w: the tensors of a context: %w", errTooLarge, err)
	}
	c.held = bytes
	return nil
}

// Close frees the session.
func (c *session) Close() error {
	c.tenant.ReleaseMemory(c.held)
	c.held = 0
	return c.BackendSession.Close()
}

// sizeOf returns the bytes of a tensor of that shape, which is one of a network.
func sizeOf(shape []int) int64 {
	size := int64(4)
	for _, n := range shape {
		size *= int64(n)
	}
	return size
}

// sizeOfAll returns the bytes of all inputs: twice, since the backend's copy of each stands beside
// the one that is being set.
func sizeOfAll(inputs [][]int) (size int64) {
	for _, shape := range inputs {
		size += 2 * sizeOf(shape)
	}
	return size
}

func (s *state) close() {
	for _, c := range s.contexts {
		if c != nil {
			c.Close()
		}
	}
	*s = state{backend: s.backend, models: s.models}
}

// funcs returns the host functions.
func (s *state) funcs() []executor.HostFunc {
	return []executor.HostFunc{
		s.fn("load", "iiiii", s.load),
		s.fn("load_by_name", "iii", s.loadByName),
		s.fn("init_execution_context", "ii", s.init),
		s.fn("set_input", "iii", s.setInput),
		s.fn("compute", "i", s.compute),
		s.fn("get_output", "iiiii", s.output),
		s.fn("bungee_set_image", "iiiii", s.setImage),
		s.fn("bungee_inputs", "ii", s.inputs),
		s.fn("bungee_input_shape", "iiiii", s.inputShape),
		s.fn("bungee_outputs", "ii", s.outputs),
		s.fn("bungee_output_shape", "iiiii", s.outputShape),
		s.fn("bungee_drop_context", "i", s.dropContext),
		s.fn("bungee_drop_graph", "i", s.dropGraph),
		{Name: "bungee_last_error", Params: "iii", Results: "i", Call: s.lastError},
	}
}

// args are the parameters of a call. All are i32.
type args struct {
	ctx   context.Context
	mem   executor.Memory
	stack []uint64
}

func (a args) u32(i int) uint32 { return uint32(a.stack[i]) }

// bytes returns the n bytes at ptr.
func (a args) bytes(ptr, n uint32) ([]byte, error) {
	b, ok := a.mem.Bytes(ptr, n)
	if !ok {
		return nil, fmt.Errorf("%w: %d bytes at %#x are outside the memory", errArgument, n, ptr)
	}
	return b, nil
}

// words returns the n 32-bit words that parameter i points at.
func (a args) words(i, n int) ([]byte, error) { return a.bytes(a.u32(i), uint32(4*n)) }

// put writes words to what parameter i points at.
func (a args) put(i int, words ...uint32) error {
	b, err := a.words(i, len(words))
	if err != nil {
		return err
	}
	for k, w := range words {
		binary.LittleEndian.PutUint32(b[4*k:], w)
	}
	return nil
}

// fn makes a host function of f. f's error becomes the errno and the last error.
func (s *state) fn(name, params string, f func(args) error) executor.HostFunc {
	call := func(ctx context.Context, mem executor.Memory, stack []uint64) error {
		err := f(args{ctx, mem, stack})
		if err != nil {
			s.last = clip(err.Error())
		}
		stack[0] = uint64(errnoOf(err))
		return nil
	}
	return executor.HostFunc{Name: name, Params: params, Results: "i", Call: call}
}

// clip makes text fit into what bungee_last_error can give.
func clip(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "")
}

// lastError gives the text of the last error. It leaves that as it is.
func (s *state) lastError(ctx context.Context, mem executor.Memory, stack []uint64) error {
	a := args{ctx, mem, stack}
	n := min(a.u32(1), uint32(len(s.last)))
	b, err := a.bytes(a.u32(0), n)
	if err == nil {
		err = a.put(2, n)
	}
	if err == nil {
		copy(b, s.last)
	}
	stack[0] = uint64(errnoOf(err))
	return nil
}

// Errors of a guest's mistakes.
var (
	errArgument    = errors.New("nn: invalid argument")
	errTooLarge    = errors.New("nn: too large")
	errEncoding    = errors.New("nn: encoding of a network that is not taken")
	errUnsupported = errors.New("nn: not supported")
)

// The nn_errno of wasi-nn.
const (
	errnoSuccess     = 0
	errnoArgument    = 1
	errnoEncoding    = 2
	errnoRuntime     = 5
	errnoUnsupported = 6 // unsupported_operation
	errnoTooLarge    = 7
	errnoNotFound    = 8
)

func errnoOf(err error) uint32 {
	switch {
	case err == nil:
		return errnoSuccess
	case errors.Is(err, errArgument):
		return errnoArgument
	case errors.Is(err, nn.ErrBadImage), errors.Is(err, errEncoding):
		return errnoEncoding
	case errors.Is(err, errUnsupported):
		return errnoUnsupported
	case errors.Is(err, errTooLarge):
		return errnoTooLarge
	case errors.Is(err, nn.ErrNoGraph):
		return errnoNotFound
	}
	return errnoRuntime
}
