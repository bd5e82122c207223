//go:build cgo

package wasmtime_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// What is wrong with a module shows when it is loaded or when it is instantiated,
// with slots and without.
func TestRefused(t *testing.T) {
	tests := []struct {
		why, body string
		limits    executor.Limits
	}{
		{"a table that is not exported begins beyond the limit", empty + `(table 5000 funcref)`, executor.Limits{Table: 4999}},
		{"five tables: compilers make one or two", empty + `(table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref) (table 1 funcref)`, executor.Limits{}},
		{"an import that is no function", `(import "test" "g" (global i32))` + empty, executor.Limits{}},
		{"one name, two types", `(import "test" "f" (func)) (import "test" "f" (func (param i32)))` + empty, executor.Limits{}},
		{"a type that no host function has", `(import "test" "f" (func (param externref)))` + empty, executor.Limits{}},
	}
	f := executor.HostFunc{Name: "f", Call: func(context.Context, executor.Memory, []uint64) error { return nil }}
	for _, instances := range []int{1, -1} {
		e := newEngine(t, wasmtime.Config{Instances: instances})
		for _, tt := range tests {
			m, err := e.Load(t.Context(), executor.Bytes(wat(t, tt.body)))
			if err == nil {
				_, err = m.Instantiate(t.Context(), executor.InstanceConfig{Limits: tt.limits, Host: hostModule(f)})
				m.Close()
			}
			if !errors.Is(err, executor.ErrABI) || errors.Is(err, executor.ErrTrap) {
				t.Errorf("%d slots, %s: got %v, want %v", instances, tt.why, err, executor.ErrABI)
			}
		}
		e.Close()
	}
}

// What is beyond WebAssembly 2.0, or gives other results on other machines, is refused
// by Load.
func TestFeatures(t *testing.T) {
	e := newEngine(t, wasmtime.Config{Instances: -1})
	defer e.Close()
	for _, tt := range []struct{ why, body string }{
		{"relaxed SIMD", `(memory (export "memory") 1) (func $call (param i32) (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0))))`},
		{"threads", `(memory (export "memory") 1 1 shared) (func $call (param i32))`},
		{"atomics", `(memory (export "memory") 1) (func $call (param i32) (drop (i32.atomic.load (i32.const 0))))`},
		{"two memories", `(memory (export "memory") 1) (memory 1) (func $call (param i32))`},
		{"64-bit memory", `(memory (export "memory") i64 1) (func $call (param i32))`},
		{"tail calls", `(memory (export "memory") 1) (func $call (param i32) (return_call $call (i32.const 1)))`},
		{"garbage collection", `(type $s (struct (field i32)))` + empty},
		{"exceptions", `(tag $e)` + empty},
	} {
		if _, err := e.Load(t.Context(), executor.Bytes(wat(t, tt.body))); !errors.Is(err, executor.ErrABI) {
			t.Errorf("%s: got %v, want %v", tt.why, err, executor.ErrABI)
		}
	}
}

// Tables share the limit, in the first instance as in the next.
func TestTablesShareTheLimit(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(memory (export "memory") 1)
		(table $a 1 funcref) (table $b 1 externref)
		(func $call (param $n i32)
			(if (i32.eq (table.grow $a (ref.null func) (local.get $n)) (i32.const -1)) (then unreachable))
			(if (i32.eq (table.grow $b (ref.null extern) (local.get $n)) (i32.const -1)) (then unreachable)))`)))
	for range 2 {
		in := instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Table: 1000}})
		if _, err := in.Call(t.Context(), 499, nil); err != nil {
			t.Errorf("500 elements each, of 1000: %v", err)
		}
		if _, err := in.Call(t.Context(), 1, nil); !errors.Is(err, executor.ErrTrap) {
			t.Errorf("501 elements each, of 1000: got %v, want %v", err, executor.ErrTrap)
		}
	}
}

// A function that is imported twice is one function.
func TestImportedTwice(t *testing.T) {
	calls := 0
	f := executor.HostFunc{Name: "f", Call: func(context.Context, executor.Memory, []uint64) error { calls++; return nil }}
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(import "test" "f" (func $f)) (import "test" "f" (func $g))
		(memory (export "memory") 1) (func $call (param i32) (call $f) (call $g))`)))
	in := instance(t, m, executor.InstanceConfig{Host: hostModule(f)})
	if _, err := in.Call(t.Context(), 0, nil); err != nil || calls != 2 {
		t.Errorf("got %d calls, %v; want 2", calls, err)
	}
}

// A start function runs before the instance can be asked for its memory, which host
// functions get all the same.
func TestStartFunctionCallsHost(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(import "test" "f" (func $f (param i32 i32)))
		(memory (export "memory") 1) (data (i32.const 64) "hello")
		(func $s (call $f (i32.const 64) (i32.const 5))) (start $s) (func $call (param i32))`)))
	var got string
	f := executor.HostFunc{Name: "f", Params: "ii", Call: func(_ context.Context, mem executor.Memory, stack []uint64) error {
		b, _ := mem.Bytes(uint32(stack[0]), uint32(stack[1]))
		got = string(b)
		return nil
	}}
	instance(t, m, executor.InstanceConfig{Host: hostModule(f)})
	if got != "hello" {
		t.Errorf("got %q, want what the memory holds", got)
	}
}

// How a start function stops decides what the error is.
func TestStartFunctionStops(t *testing.T) {
	errHost := errors.New("no")
	f := executor.HostFunc{Name: "f", Call: func(context.Context, executor.Memory, []uint64) error { return errHost }}
	for _, tt := range []struct {
		why, code string
		want      error
	}{
		{"traps", `unreachable`, executor.ErrTrap},
		{"its host function fails", `call $f`, errHost},
		{"spins", `(loop $l (br $l))`, executor.ErrDeadline},
	} {
		for _, export := range []string{`(start $s)`, `(export "_initialize" (func $s))`} {
			m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(import "test" "f" (func $f))
				(memory (export "memory") 1) (func $call (param i32)) (func $s `+tt.code+`) `+export)))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := m.Instantiate(ctx, executor.InstanceConfig{Host: hostModule(f)}); !errors.Is(err, tt.want) || errors.Is(err, executor.ErrABI) {
				t.Errorf("%s in %s: got %v, want %v", tt.why, export, err, tt.want)
			}
		}
	}
}

// A slot is free again once its instance is closed, broken or not.
func TestSlots(t *testing.T) {
	m := module(t, wasmtime.Config{Instances: 2}, executor.Bytes(wat(t, hostile)))
	cfg := executor.InstanceConfig{Host: hostModule(outside)}
	for round := range 10 {
		a, b := instance(t, m, cfg), instance(t, m, cfg)
		if _, err := m.Instantiate(t.Context(), cfg); !errors.Is(err, wasmtime.ErrSlots) || !errors.Is(err, executor.ErrQuota) {
			t.Fatalf("a third instance in 2 slots: got %v, want %v", err, wasmtime.ErrSlots)
		}
		if _, err := b.Call(t.Context(), 12, nil); !errors.Is(err, executor.ErrTrap) {
			t.Fatalf("round %d: got %v, want %v", round, err, executor.ErrTrap)
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// A slot that is used again shows nothing of the instance before.
func TestSlotsAreClean(t *testing.T) {
	m := module(t, wasmtime.Config{Instances: 1}, executor.Bytes(wat(t, `(import "test" "f" (func $f (param i32 i32)))
		(memory (export "memory") 40) (data (i32.const 64) "data")
		(func $call (param i32)
			(call $f (i32.const 0) (i32.const 2621440))
			(memory.fill (i32.const 64) (i32.const 255) (i32.const 1000000))
			(drop (memory.grow (i32.const 10)))
			(memory.fill (i32.const 2621440) (i32.const 255) (i32.const 655360)))`)))
	sum := 0
	f := executor.HostFunc{Name: "f", Params: "ii", Call: func(_ context.Context, mem executor.Memory, stack []uint64) error {
		b, _ := mem.Bytes(uint32(stack[0]), uint32(stack[1]))
		sum = 0
		for _, c := range b {
			sum += int(c)
		}
		return nil
	}}
	for range 3 {
		in := instance(t, m, executor.InstanceConfig{Host: hostModule(f)})
		if _, err := in.Call(t.Context(), 0, nil); err != nil {
			t.Fatal(err)
		}
		if want := 'd' + 'a' + 't' + 'a'; sum != int(want) || in.Size() != 50*64<<10 {
			t.Errorf("the bytes of a fresh memory add up to %d, and it grew to %d; want %d and %d", sum, in.Size(), want, 50*64<<10)
		}
		in.Close()
	}
}

// Memory up to all that 32 bits address fits in a slot.
func TestMemoryUpToItsLimit(t *testing.T) {
	m := module(t, wasmtime.Config{Instances: 1}, executor.Bytes(wat(t, `(memory (export "memory") 1)
		(func $call (param $pages i32) (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then unreachable)))`)))
	in := instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Memory: 4 << 30}})
	if _, err := in.Call(t.Context(), 65535, nil); err != nil || in.Size() != 4<<30 {
		t.Errorf("got %d bytes, %v; want 4 GiB", in.Size(), err)
	}
}

// What is closed in the wrong order, or twice, or used after, does no harm.
func TestCloseInAnyOrder(t *testing.T) {
	e := newEngine(t, wasmtime.Config{})
	m, err := e.Load(t.Context(), executor.Bytes(wat(t, empty)))
	if err != nil {
		t.Fatal(err)
	}
	in := instance(t, m, executor.InstanceConfig{})
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if other, err := m.Instantiate(t.Context(), executor.InstanceConfig{}); err != nil {
		t.Errorf("an instance in a closed engine: %v", err)
	} else {
		other.Close()
	}
	for range 2 {
		if err := errors.Join(e.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	}
	if _, err := m.Instantiate(t.Context(), executor.InstanceConfig{}); err == nil {
		t.Error("an instance of a closed module: got no error")
	}
	if _, err := in.Call(t.Context(), 0, nil); err != nil {
		t.Errorf("an instance of a closed module: %v", err)
	}
	for range 2 {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := in.Call(t.Context(), 0, nil); !errors.Is(err, executor.ErrDiscarded) || in.Size() != 0 {
		t.Errorf("a closed instance: got %v and %d bytes, want %v and none", err, in.Size(), executor.ErrDiscarded)
	}
}

func TestCallsDoNotAllocate(t *testing.T) {
	f := executor.HostFunc{Name: "f", Call: func(context.Context, executor.Memory, []uint64) error { return nil }}
	for _, meter := range []bool{false, true} {
		src := executor.Bytes(wat(t, oneImport))
		src.Meter = meter
		in := instance(t, module(t, wasmtime.Config{}, src), executor.InstanceConfig{Host: hostModule(f)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		request := make([]byte, 1000)
		if n := testing.AllocsPerRun(100, func() { in.Call(ctx, 0, request) }); n != 0 {
			t.Errorf("metered %t: a call with a deadline and a host function allocates %v times, want none", meter, n)
		}
	}
}

// What a guest wrote while it was initialised is there afterwards, zeroes over its data
// too, in the first instance of a module as in those that its pages are brought for.
func TestInitialisedMemoryIsKept(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(import "test" "f" (func $f (param i32 i32)))
		(memory (export "memory") 64) (data (i32.const 2049) "`+strings.Repeat("x", 20000)+`")
		(func (export "_initialize")
			(memory.fill (i32.const 4096) (i32.const 0) (i32.const 8192))
			(memory.fill (i32.const 1000000) (i32.const 0) (i32.const 100000))
			(memory.fill (i32.const 2000000) (i32.const 7) (i32.const 1))
			(memory.fill (i32.const 3000000) (i32.const 8) (i32.const 100000))
			(memory.fill (i32.const 4194303) (i32.const 9) (i32.const 1)))
		(func $call (param i32) (call $f (i32.const 0) (i32.const 4194304)))`)))
	want := make([]byte, 4<<20)
	fill := func(at, n int, c byte) {
		for k := range n {
			want[at+k] = c
		}
	}
	fill(2049, 20000, 'x') // the byte before it is the reply
	fill(4096, 8192, 0)
	fill(2000000, 1, 7)
	fill(3000000, 100000, 8)
	fill(4194303, 1, 9)
	same := false
	f := executor.HostFunc{Name: "f", Params: "ii", Call: func(_ context.Context, mem executor.Memory, stack []uint64) error {
		b, _ := mem.Bytes(uint32(stack[0]), uint32(stack[1]))
		same = bytes.Equal(b, want)
		return nil
	}}
	for k := range 4 {
		in := instance(t, m, executor.InstanceConfig{Host: hostModule(f)})
		if _, err := in.Call(t.Context(), 0, nil); err != nil || !same {
			t.Errorf("instance %d: the memory is as it was initialised: %t, %v", k, same, err)
		}
	}
}
