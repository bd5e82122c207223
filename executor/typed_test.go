package executor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// memory is a guest's memory.
type memory []byte

func (m memory) Bytes(ptr, n uint32) ([]byte, bool) {
	if !abi.Inside(ptr, n, uint64(len(m))) {
		return nil, false
	}
	return m[ptr:][:n], true
}

type celsius float32

// everything has a field of each type.
type everything struct {
	I32   int32
	U32   uint32
	Yes   bool
	I64   int64
	U64   uint64
	F32   celsius
	F64   float64
	Text  string
	Data  []byte
	Fixed *[4]byte
}

func TestTypedParameters(t *testing.T) {
	var got everything
	f := executor.Typed("all", func(_ context.Context, in everything) (struct{}, error) {
		got = in
		return struct{}{}, nil
	})
	if f.Params != "iiillfdiiiii" || f.Results != "" {
		t.Errorf("it has type (%s) %q; want (iiillfdiiiii) and no result", f.Params, f.Results)
	}
	stack := []uint64{
		1<<32 - 7, 1<<64 - 1, 1 << 31, 1<<64 - 9, 1<<64 - 1,
		uint64(math.Float32bits(36.5)), math.Float64bits(-0.25),
		0, 5, 6, 3, 12,
	}
	mem := memory("hello 123   wxyz")
	if err := f.Call(t.Context(), mem, stack); err != nil {
		t.Fatal(err)
	}
	want := everything{-7, math.MaxUint32, true, -9, math.MaxUint64, 36.5, -0.25, "hello", []byte("123"), (*[4]byte)([]byte("wxyz"))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	copy(got.Data, "abc")
	got.Fixed[0] = 'W'
	if string(mem) != "hello abc   Wxyz" {
		t.Errorf("what the function wrote left the memory %q", mem)
	}
	if cap(got.Data) != 3 {
		t.Errorf("a slice of 3 bytes has room for %d", cap(got.Data))
	}
}

// result returns what a Typed function that returns v leaves on the stack.
func result[Out any](t *testing.T, v Out) (letter string, bits uint64) {
	t.Helper()
	f := executor.Typed("f", func(context.Context, struct{}) (Out, error) { return v, nil })
	stack := []uint64{0xdead_beef_dead_beef}
	if err := f.Call(t.Context(), memory{}, stack); err != nil {
		t.Fatal(err)
	}
	return f.Results, stack[0]
}

func TestTypedResults(t *testing.T) {
	check := func(why string) func(letter string, bits uint64) func(string, uint64) {
		return func(letter string, bits uint64) func(string, uint64) {
			return func(wantLetter string, want uint64) {
				t.Helper()
				if letter != wantLetter || bits != want {
					t.Errorf("%s: %q %#x; want %q %#x", why, letter, bits, wantLetter, want)
				}
			}
		}
	}
	check("an i32 has no bits above its 32")(result(t, int32(-1)))("i", 0xffff_ffff)
	check("unsigned")(result(t, uint32(math.MaxUint32)))("i", 0xffff_ffff)
	check("true is 1")(result(t, true))("i", 1)
	check("false is 0")(result(t, false))("i", 0)
	check("an i64 has all of them")(result(t, int64(-1)))("l", math.MaxUint64)
	check("unsigned")(result(t, uint64(1<<63)))("l", 1<<63)
	check("a defined type")(result(t, celsius(36.5)))("f", uint64(math.Float32bits(36.5)))
	check("float64")(result(t, -0.25))("d", math.Float64bits(-0.25))
	check("no result touches nothing")(result(t, struct{}{}))("", 0xdead_beef_dead_beef)
}

// makes makes a Typed function and returns the text of its panic.
func makes[In, Out any]() (said string) {
	defer func() { said = fmt.Sprint(recover()) }()
	executor.Typed("f", func(context.Context, In) (o Out, err error) { return o, nil })
	return "nothing"
}

func TestTypedRefusesTypes(t *testing.T) {
	tests := []struct {
		why, said, want string
	}{
		{"parameters are fields", makes[int32, int32](), "want a struct"},
		{"int has another size on each machine", makes[struct{ N int }, int32](), "field N has type int"},
		{"no Wasm value is this small", makes[struct{ B uint8 }, int32](), "field B has type uint8"},
		{"only bytes lie in a guest as in Go", makes[struct{ W []uint32 }, int32](), "field W has type []uint32"},
		{"the same of an array", makes[struct{ W *[2]uint32 }, int32](), "field W has type *[2]uint32"},
		{"more than a memory has", makes[struct{ W *[1 << 32]byte }, int32](), "field W has type"},
		{"an address says no size", makes[struct{ P *byte }, int32](), "field P has type *uint8"},
		{"a struct within", makes[struct{ S struct{} }, int32](), "field S has type struct {}"},
		{"cannot be set", makes[struct{ n int32 }, int32](), "field n is not exported"},
		{"a result has no memory to lie in", makes[struct{}, string](), "type string is no result"},
		{"nor has this", makes[struct{}, []byte](), "type []uint8 is no result"},
		{"one result", makes[struct{}, struct{ A, B int32 }](), "is no result"},
	}
	for _, tt := range tests {
		if !strings.Contains(tt.said, tt.want) || !strings.Contains(tt.said, "host function f") {
			t.Errorf("%s: it says %q; want %q", tt.why, tt.said, tt.want)
		}
	}
}

func TestTypedErrors(t *testing.T) {
	mine := errors.New("the sensor is cold")
	called := 0
	f := executor.Typed("f", func(_ context.Context, in struct {
		Text  string
		Data  []byte
		Fixed *[8]byte
	}) (int32, error) {
		called++
		return 1, mine
	})
	mem := make(memory, 1<<17)
	tests := []struct {
		why    string
		stack  []uint64
		called int
		says   string
	}{
		{"the function's own", []uint64{0, 1, 0, 1, 0}, 1, mine.Error()},
		{"text outside", []uint64{1<<17 - 3, 4, 0, 1, 0}, 0, "parameter Text: pointer outside"},
		{"text too long", []uint64{0, executor.MaxString + 1, 0, 1, 0}, 0, "at most 65536"},
		{"data outside", []uint64{0, 1, 1 << 17, 1, 0}, 0, "parameter Data: pointer outside"},
		{"data whose end wraps", []uint64{0, 1, math.MaxUint32, math.MaxUint32, 0}, 0, "parameter Data: pointer outside"},
		{"an array half outside", []uint64{0, 1, 0, 1, 1<<17 - 7}, 0, "parameter Fixed: pointer outside"},
	}
	for _, tt := range tests {
		called = 0
		err := f.Call(t.Context(), mem, tt.stack)
		if err == nil || !strings.Contains(err.Error(), tt.says) || called != tt.called {
			t.Errorf("%s: %v, function called %d times; want %q, %d times", tt.why, err, called, tt.says, tt.called)
		}
	}
}

// TestTypedIsFree holds what a Typed function may cost: no allocation.
func TestTypedIsFree(t *testing.T) {
	f, mem, stack := typedSum(), executor.Memory(make(memory, 64)), make([]uint64, 5)
	got := testing.AllocsPerRun(100, func() {
		stack[0], stack[1], stack[2], stack[3] = 7, 0, 16, 32
		if err := f.Call(context.Background(), mem, stack); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("a call takes %v allocations; want 0", got)
	}
}

type sumIn struct {
	N    int32
	Data []byte
	Out  *[4]byte
}

// typedSum is a function of numbers and memory, rawSum the same by hand.
func typedSum() executor.HostFunc {
	return executor.Typed("sum", func(_ context.Context, in sumIn) (int32, error) {
		binary.LittleEndian.PutUint32(in.Out[:], uint32(len(in.Data)))
		return in.N + int32(len(in.Data)), nil
	})
}

func rawSum() executor.HostFunc {
	return executor.HostFunc{Name: "sum", Params: "iiii", Results: "i", Call: func(_ context.Context, mem executor.Memory, stack []uint64) error {
		data, ok := mem.Bytes(uint32(stack[1]), uint32(stack[2]))
		if !ok {
			return errors.New("data is outside")
		}
		out, ok := mem.Bytes(uint32(stack[3]), 4)
		if !ok {
			return errors.New("out is outside")
		}
		binary.LittleEndian.PutUint32(out, uint32(len(data)))
		stack[0] = uint64(uint32(int32(stack[0]) + int32(len(data))))
		return nil
	}}
}

func BenchmarkTyped(b *testing.B) {
	for name, f := range map[string]executor.HostFunc{"typed": typedSum(), "raw": rawSum()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			mem, stack := executor.Memory(make(memory, 64)), make([]uint64, 4)
			for b.Loop() {
				stack[0], stack[1], stack[2], stack[3] = 7, 0, 16, 32
				if err := f.Call(context.Background(), mem, stack); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzTyped has a function of all kinds of parameters called with any values: it sees
// what is in the memory, or is not called.
func FuzzTyped(f *testing.F) {
	f.Add(uint32(0), uint32(4), uint32(4), uint32(8), uint32(12))
	f.Add(uint32(math.MaxUint32), uint32(1), uint32(0), uint32(math.MaxUint32), uint32(math.MaxUint32))
	f.Add(uint32(60), uint32(5), uint32(64), uint32(0), uint32(61))
	mem := memory(bytes.Repeat([]byte("0123456789abcdef"), 4))
	type in struct {
		Text  string
		Data  []byte
		Fixed *[4]byte
	}
	f.Fuzz(func(t *testing.T, text, textLen, data, dataLen, fixed uint32) {
		inside := abi.Inside(text, textLen, 64) && abi.Inside(data, dataLen, 64) && abi.Inside(fixed, 4, 64)
		called := false
		fn := executor.Typed("f", func(_ context.Context, in in) (bool, error) {
			called = true
			want := in.Text == string(mem[text:][:textLen]) && bytes.Equal(in.Data, mem[data:][:dataLen]) && bytes.Equal(in.Fixed[:], mem[fixed:][:4])
			return want, nil
		})
		stack := []uint64{uint64(text), uint64(textLen), uint64(data), uint64(dataLen), uint64(fixed)}
		err := fn.Call(context.Background(), mem, stack)
		if called != inside || (err == nil) != inside || inside && stack[0] != 1 {
			t.Errorf("called %t, error %v, saw the memory %d; all inside: %t", called, err, stack[0], inside)
		}
	})
}

// An operator writes a host function with Go types. This guest's function 1 has
// test.fill(pointer, length) overwrite its request.
func ExampleTyped() {
	fill := executor.Typed("fill", func(_ context.Context, in struct{ Text []byte }) (struct{}, error) {
		copy(in.Text, "from the host")
		return struct{}{}, nil
	})
	sum := executor.Typed("sum", func(_ context.Context, in struct {
		A, B int32
		C    int64
	}) (int64, error) {
		return int64(in.A) + int64(in.B) + in.C, nil
	})
	nothing := func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }
	module := executor.Functions("test", fill, sum,
		executor.Typed("fail", nothing), executor.Typed("crash", nothing), executor.Typed("wait", nothing))
	fmt.Println(callHost(module))
	// Output: from the host
}
