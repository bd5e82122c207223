package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// memory is a guest's memory.
type memory []byte

func (m memory) Bytes(ptr, n uint32) ([]byte, bool) {
	if uint64(ptr)+uint64(n) > uint64(len(m)) {
		return nil, false
	}
	return m[ptr:][:n:n], true
}

func (m memory) put(ptr int, words ...uint32) {
	for i, w := range words {
		binary.LittleEndian.PutUint32(m[ptr+4*i:], w)
	}
}

func (m memory) word(ptr int) uint32 { return binary.LittleEndian.Uint32(m[ptr:]) }

// guest calls the host functions of one instance.
type guest struct {
	tb    testing.TB
	mem   memory
	funcs map[string]executor.HostFunc
	close func()
	ctx   context.Context // of its calls
}

func newGuest(tb testing.TB, b nn.Backend, size int, models ...string) *guest {
	funcs, done := Functions(b, models).New()
	g := &guest{tb: tb, mem: make(memory, size), funcs: map[string]executor.HostFunc{}, close: done, ctx: context.Background()}
	for _, f := range funcs {
		g.funcs[f.Name] = f
	}
	return g
}

// call calls a function and returns its errno.
func (g *guest) call(name string, args ...uint32) uint32 {
	g.tb.Helper()
	f, ok := g.funcs[name]
	if !ok || len(args) != len(f.Params) {
		g.tb.Fatalf("no function %s with %d parameters", name, len(args))
	}
	stack := make([]uint64, max(len(args), 1))
	for i, a := range args {
		stack[i] = uint64(a)
	}
	if err := f.Call(g.ctx, g.mem, stack); err != nil {
		g.tb.Fatalf("%s%v trapped: %v", name, args, err)
	}
	return uint32(stack[0])
}

// said returns the text of the last error.
func (g *guest) said() string {
	g.tb.Helper()
	at := len(g.mem) - maxText - 4
	if e := g.call("bungee_last_error", uint32(at+4), maxText, uint32(at)); e != 0 {
		g.tb.Fatalf("bungee_last_error = %d; want 0", e)
	}
	return string(g.mem[at+4:][:g.mem.word(at)])
}

// open loads the graph and opens a context, both of handle 1.
func (g *guest) open() {
	g.tb.Helper()
	copy(g.mem, nntest.Name)
	if e := g.call("load_by_name", 0, uint32(len(nntest.Name)), 16); e != 0 || g.mem.word(16) != 1 {
		g.tb.Fatalf("load_by_name = %d, graph %d; want 0, 1", e, g.mem.word(16))
	}
	if e := g.call("init_execution_context", 1, 16); e != 0 || g.mem.word(16) != 1 {
		g.tb.Fatalf("init_execution_context = %d, context %d; want 0, 1", e, g.mem.word(16))
	}
}

// Places in the memory of these tests.
const (
	memSize   = 1 << 16
	atTensor  = 64
	atDims    = 96
	atBuilder = 128
	atData    = 256
	outside   = memSize - 2 // too near to the end for a word
	huge      = 1<<32 - 1
)

// tensorAt writes a good tensor record, and dims and data for it.
func (g *guest) tensorAt() {
	g.mem.put(atTensor, atDims, 4, typeF32, atData, 4*48)
	g.mem.put(atDims, 1, 3, 4, 4)
}

func TestHostileArguments(t *testing.T) {
	img := picture(t)
	g := newGuest(t, nntest.Mean(), memSize, "me*")
	defer g.close()
	g.open()
	g.tensorAt()
	g.mem.put(atBuilder, outside, 4, 0, maxNetwork+1, 0, 2)
	const atImage = 4096
	copy(g.mem[atImage:], img)
	if e := g.call("bungee_set_image", 1, 0, atImage, uint32(len(img)), 512); e != 0 {
		t.Fatalf("bungee_set_image = %d: %s", e, g.said())
	}
	if e := g.call("compute", 1); e != 0 {
		t.Fatalf("compute = %d: %s", e, g.said())
	}
	tests := []struct {
		name string
		args []uint32
		want uint32
		says string
	}{
		{"load_by_name", []uint32{0, nn.MaxName + 1, 16}, errnoTooLarge, "129 bytes"},
		{"load_by_name", []uint32{huge, 4, 16}, errnoArgument, "outside the memory"},
		{"load_by_name", []uint32{0, 4, outside}, errnoArgument, "outside the memory"},
		{"load_by_name", []uint32{0, 3, 16}, errnoNotFound, `"mea"`},
		{"load_by_name", []uint32{0, 2, 16}, errnoNotFound, `"me"`},
		{"load_by_name", []uint32{0, 1, 16}, errnoNotFound, `"m" is granted`},
		{"load_by_name", []uint32{0, 0, 16}, errnoNotFound, `"" is granted`},
		{"load", []uint32{atBuilder, 1, 0, 0, 16}, errnoEncoding, "ONNX"},
		{"load", []uint32{atBuilder, 0, 1, 0, 16}, errnoArgument, "0 parts"},
		{"load", []uint32{atBuilder, huge, 1, 0, 16}, errnoArgument, "4294967295 parts"},
		{"load", []uint32{memSize - 4, 1, 1, 0, 16}, errnoArgument, "outside the memory"},
		{"load", []uint32{atBuilder, 1, 1, 0, 16}, errnoArgument, "outside the memory"},
		{"load", []uint32{atBuilder + 8, 1, 1, 0, 16}, errnoTooLarge, "want at most"},
		{"load", []uint32{atBuilder + 16, 1, 1, 0, outside}, errnoArgument, "outside the memory"},
		{"load", []uint32{atBuilder + 16, 1, 6, 0, 16}, errnoNotFound, "is granted"},
		{"init_execution_context", []uint32{0, 16}, errnoArgument, "no graph 0"},
		{"init_execution_context", []uint32{2, 16}, errnoArgument, "no graph 2"},
		{"init_execution_context", []uint32{huge, 16}, errnoArgument, "no graph 4294967295"},
		{"init_execution_context", []uint32{1, outside}, errnoArgument, "outside the memory"},
		{"set_input", []uint32{2, 0, atTensor}, errnoArgument, "no context 2"},
		{"set_input", []uint32{1, 1, atTensor}, errnoArgument, "input 1"},
		{"set_input", []uint32{1, huge, atTensor}, errnoArgument, "input 4294967295"},
		{"set_input", []uint32{1, 0, outside}, errnoArgument, "outside the memory"},
		{"compute", []uint32{0}, errnoArgument, "no context 0"},
		{"get_output", []uint32{1, 2, 1024, 999, 16}, errnoArgument, "output 2"},
		{"get_output", []uint32{1, 0, 1024, 11, 16}, errnoTooLarge, "has 12 bytes"},
		{"get_output", []uint32{1, 0, memSize - 11, 999, 16}, errnoArgument, "outside the memory"},
		{"get_output", []uint32{1, 0, 1024, huge, outside}, errnoArgument, "outside the memory"},
		{"bungee_set_image", []uint32{1, 0, atImage, nn.MaxImage + 1, 512}, errnoTooLarge, "want at most"},
		{"bungee_set_image", []uint32{1, 0, atImage, memSize, 512}, errnoArgument, "outside the memory"},
		{"bungee_set_image", []uint32{1, 0, atImage, 99, outside}, errnoArgument, "outside the memory"},
		{"bungee_set_image", []uint32{1, 9, atImage, 99, 512}, errnoArgument, "input 9"},
		{"bungee_set_image", []uint32{1, 0, atImage, 20, 512}, errnoEncoding, "20 bytes"},
		{"bungee_inputs", []uint32{3, 16}, errnoArgument, "no graph 3"},
		{"bungee_inputs", []uint32{1, outside}, errnoArgument, "outside the memory"},
		{"bungee_input_shape", []uint32{1, 1, 1024, 8, 16}, errnoArgument, "input 1"},
		{"bungee_input_shape", []uint32{1, 0, 1024, 3, 16}, errnoTooLarge, "room for rank 3"},
		{"bungee_input_shape", []uint32{1, 0, outside, 8, 16}, errnoArgument, "outside the memory"},
		{"bungee_input_shape", []uint32{1, 0, 1024, huge, outside}, errnoArgument, "outside the memory"},
		{"bungee_outputs", []uint32{9, 16}, errnoArgument, "no context 9"},
		{"bungee_output_shape", []uint32{1, huge, 1024, 8, 16}, errnoArgument, "output 4294967295"},
		{"bungee_drop_context", []uint32{7}, errnoArgument, "no context 7"},
		{"bungee_drop_graph", []uint32{0}, errnoArgument, "no graph 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name+fmt.Sprint(tt.args), func(t *testing.T) {
			before := bytes.Clone(g.mem)
			got := g.call(tt.name, tt.args...)
			if !bytes.Equal(before, g.mem) {
				t.Errorf("%s%v wrote to the memory; want it untouched after an error", tt.name, tt.args)
			}
			if said := g.said(); got != tt.want || !strings.Contains(said, tt.says) {
				t.Errorf("%s%v = %d, %q; want %d, %q", tt.name, tt.args, got, said, tt.want, tt.says)
			}
		})
	}
}

// TestGrant says which networks a guest gets to see.
func TestGrant(t *testing.T) {
	tests := []struct {
		models []string
		want   bool
		why    string
	}{
		{nil, false, "nothing is granted"},
		{[]string{"*"}, true, "all"},
		{[]string{"mean"}, true, "by name"},
		{[]string{"x", "m?an"}, true, "by pattern"},
		{[]string{"MEAN", "mea", "mean/*"}, false, "others"},
		{[]string{"[", "mean["}, false, "patterns that are none"},
	}
	for _, tt := range tests {
		b := nntest.Mean()
		g := newGuest(t, b, memSize, tt.models...)
		copy(g.mem, nntest.Name)
		g.mem.put(atBuilder, 0, uint32(len(nntest.Name)))
		byName := g.call("load_by_name", 0, uint32(len(nntest.Name)), 16)
		byBytes := g.call("load", atBuilder, 1, encodingONNX, 0, 20)
		if want := map[bool]uint32{false: errnoNotFound}[tt.want]; byName != want || byBytes != want {
			t.Errorf("with %q: load_by_name = %d, load = %d; want %d (%s)", tt.models, byName, byBytes, want, tt.why)
		}
		if !tt.want {
			if said := g.said(); !strings.Contains(said, "models") || !strings.Contains(said, "policy") {
				t.Errorf("with %q the guest is told %q; want it to name the capability", tt.models, said)
			}
		} else if g.mem.word(16) != g.mem.word(20) {
			t.Errorf("handles %d and %d; want one for both", g.mem.word(16), g.mem.word(20))
		}
	}
}

// noFinder is a backend that knows names only.
type noFinder struct{ nn.Backend }

func TestLoadNeedsAFinder(t *testing.T) {
	g := newGuest(t, noFinder{nntest.Mean()}, memSize, "*")
	if e := g.call("load", 0, 1, encodingONNX, 0, 16); e != errnoUnsupported {
		t.Errorf("load = %d; want %d, unsupported_operation", e, errnoUnsupported)
	}
}

func TestReadTensor(t *testing.T) {
	tests := []struct {
		name, why string
		at        int // the word of the memory that is changed, 0: none
		word      uint32
		want      error
	}{
		{"good", "as guests send it", 0, 0, nil},
		{"rank", "it would size the dims", atTensor + 4, nn.MaxRank + 1, errArgument},
		{"huge rank", "4*rank overflows", atTensor + 4, 1 << 30, errArgument},
		{"type", "f64 takes twice the bytes", atTensor + 8, typeF64, errArgument},
		{"unknown type", "there is none", atTensor + 8, 6, errArgument},
		{"dims", "pointer past the end", atTensor, memSize - 15, errArgument},
		{"data", "pointer past the end", atTensor + 12, memSize - 4*48 + 1, errArgument},
		{"huge data", "over MaxTensor", atTensor + 16, nn.MaxTensor + 1, errTooLarge},
		{"short data", "less than the shape wants", atTensor + 16, 4*48 - 4, errArgument},
		{"odd data", "not whole numbers", atTensor + 16, 4*48 - 1, errArgument},
		{"huge dim", "the product overflows", atDims, huge, errArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGuest(t, nntest.Mean(), memSize, "me*")
			g.tensorAt()
			if tt.at != 0 {
				g.mem.put(tt.at, tt.word)
			}
			got, err := readTensor(args{mem: g.mem}, atTensor)
			if !errors.Is(err, tt.want) {
				t.Errorf("readTensor with word %d = %d gave %+v, %v; want %v (%s)", tt.at, tt.word, got, err, tt.want, tt.why)
			}
		})
	}
}

func TestHandlesAreBounded(t *testing.T) {
	b := nntest.Mean()
	g := newGuest(t, b, memSize, "me*")
	g.open()
	for range MaxContexts - 1 {
		if e := g.call("init_execution_context", 1, 16); e != 0 {
			t.Fatalf("init_execution_context = %d: %s", e, g.said())
		}
	}
	if e := g.call("init_execution_context", 1, 16); e != errnoTooLarge {
		t.Errorf("context %d = errno %d; want %d", MaxContexts+1, e, errnoTooLarge)
	}
	if e := g.call("bungee_drop_context", 3); e != 0 {
		t.Errorf("bungee_drop_context(3) = %d: %s", e, g.said())
	}
	if e := g.call("compute", 3); e != errnoArgument {
		t.Errorf("compute on a dropped context = %d; want %d", e, errnoArgument)
	}
	if e := g.call("init_execution_context", 1, 16); e != 0 || g.mem.word(16) != 3 {
		t.Errorf("init_execution_context = %d, context %d; want 0, 3", e, g.mem.word(16))
	}
	for range 2 * MaxGraphs {
		copy(g.mem, nntest.Name)
		if e := g.call("load_by_name", 0, 4, 16); e != 0 || g.mem.word(16) != 1 {
			t.Fatalf("load_by_name again = %d, graph %d; want 0, 1", e, g.mem.word(16))
		}
	}
	if e := g.call("bungee_drop_graph", 1); e != 0 {
		t.Errorf("bungee_drop_graph(1) = %d: %s", e, g.said())
	}
	if n := b.Open(); n != MaxContexts {
		t.Errorf("%d sessions open; want %d", n, MaxContexts)
	}
	g.close()
	if n := b.Open(); n != 0 {
		t.Errorf("%d sessions open after close; want 0", n)
	}
}

// The tensors of contexts are the tenant's to hold: eight contexts of a detector are 26 MB.
func TestContextsCountAsMemory(t *testing.T) {
	const input, outputs = 2 * 4 * 48, 4 * (3 + 48) // bytes
	b := nntest.Mean()
	tenant := executor.NewTenant("acme", capability.Quota{Memory: 2*input + outputs})
	g := newGuest(t, b, memSize, "me*")
	g.ctx = executor.WithCall(t.Context(), &executor.Call{Account: &executor.Account{Tenant: tenant}})
	holds := func(when string, want int64, sessions int) {
		t.Helper()
		if got := tenant.Holding().Memory; got != want || b.Open() != sessions {
			t.Errorf("%s: %d bytes are held for %d sessions, want %d for %d", when, got, b.Open(), want, sessions)
		}
	}
	g.open()
	g.call("init_execution_context", 1, 16)
	holds("two contexts", 2*input, 2)
	if e := g.call("init_execution_context", 1, 16); e != errnoTooLarge || !strings.Contains(g.said(), `tenant "acme" may have 972 bytes`) {
		t.Errorf("a third context: errno %d, %q; want %d, and the quota's name", e, g.said(), errnoTooLarge)
	}
	holds("a third one is refused", 2*input, 2)
	g.tensorAt()
	for c, want := range []uint32{0, errnoTooLarge} {
		g.call("set_input", uint32(c+1), 0, atTensor)
		for range 2 {
			if e := g.call("compute", uint32(c+1)); e != want {
				t.Errorf("compute in context %d = %d, want %d: %s", c+1, e, want, g.said())
			}
			if want != 0 {
				break // the context is gone
			}
		}
	}
	holds("one has outputs, the other had no room for its own", input+outputs, 1)
	if e := g.call("compute", 2); e != errnoArgument {
		t.Errorf("compute in the context that is gone = %d, want %d", e, errnoArgument)
	}
	g.call("bungee_drop_context", 1)
	holds("all are dropped", 0, 0)
	g.open()
	g.close()
	holds("the instance is closed", 0, 0)
}

// A session that cannot be made holds nothing.
func TestNoSessionHoldsNothing(t *testing.T) {
	tenant := executor.NewTenant("acme", capability.Quota{})
	g := newGuest(t, noSessions{nntest.Mean()}, memSize, "*")
	g.ctx = executor.WithCall(t.Context(), &executor.Call{Account: &executor.Account{Tenant: tenant}})
	copy(g.mem, nntest.Name)
	g.call("load_by_name", 0, uint32(len(nntest.Name)), 16)
	if e := g.call("init_execution_context", 1, 16); e != errnoRuntime || tenant.Holding().Memory != 0 {
		t.Errorf("init_execution_context = %d, %d bytes are held; want %d, 0", e, tenant.Holding().Memory, errnoRuntime)
	}
	g.close()
}

// noSessions has graphs that have no room for sessions.
type noSessions struct{ nn.Backend }

type noSession struct{ nn.BackendGraph }

func (b noSessions) Graph(name string) (nn.BackendGraph, error) {
	g, err := b.Backend.Graph(name)
	return noSession{g}, err
}

func (noSession) NewSession() (nn.BackendSession, error) { return nil, errors.New("no room") }

// TestRandomCalls calls all functions in random order with random and
// plausible arguments. The invariants: no trap, no panic, bounded handles.
func TestRandomCalls(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	b := nntest.Mean()
	g := newGuest(t, b, memSize, "me*")
	g.tensorAt()
	copy(g.mem, nntest.Name)
	var names []string
	for name := range g.funcs {
		names = append(names, name)
	}
	slices.Sort(names)
	likely := []uint32{0, 0, 1, 1, 2, 3, 4, atTensor, atData, 4096, memSize - 4, outside, huge}
	for range 20000 {
		name := names[r.IntN(len(names))]
		args := make([]uint32, len(g.funcs[name].Params))
		for i := range args {
			args[i] = likely[r.IntN(len(likely))]
		}
		g.call(name, args...)
		if n := b.Open(); n > MaxContexts {
			t.Fatalf("seed %d: %d sessions after %s%v; want at most %d", seed, n, name, args, MaxContexts)
		}
	}
	g.close()
	if n := b.Open(); n != 0 {
		t.Errorf("seed %d: %d sessions open after close; want 0", seed, n)
	}
}

// FuzzTensor reads a tensor record at ptr in a memory of the fuzzer's.
func FuzzTensor(f *testing.F) {
	g := newGuest(f, nntest.Mean(), 512, "me*")
	g.tensorAt()
	f.Add([]byte(g.mem), uint32(atTensor))
	f.Add([]byte(g.mem), uint32(500))
	f.Add(bytes.Repeat([]byte{0xff}, 64), uint32(8))
	f.Add([]byte{}, uint32(0))
	f.Fuzz(func(t *testing.T, mem []byte, ptr uint32) {
		got, err := readTensor(args{mem: memory(mem)}, ptr)
		if err != nil {
			if !errors.Is(err, errArgument) && !errors.Is(err, errTooLarge) {
				t.Errorf("readTensor(%x, %d) = %v; want errArgument or errTooLarge", mem, ptr, err)
			}
			return
		}
		size := int(widths[got.kind])
		for _, d := range got.shape() {
			size *= d
		}
		if size != len(got.data) || size > nn.MaxTensor {
			t.Errorf("readTensor(%x, %d): shape %v with %d bytes; want them to agree", mem, ptr, got.shape(), len(got.data))
		}
	})
}
