//go:build cgo

package wasmtime_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// wat returns a guest with what body says beside its memory, bungee_abi and
// bungee_buf. Its bungee_call is the function $call of body, and its reply is
// empty unless that says otherwise.
func wat(t testing.TB, body string) []byte {
	t.Helper()
	wasm, err := wt.Wat2Wasm(`(module ` + body + `
		(func (export "bungee_abi") (result i32) (i32.const 1))
		(func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
		(func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (call $call (local.get 0)) (i64.const 0x800000001)))`)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// oneImport is a body whose call is that of the host function test.f.
const oneImport = `(import "test" "f" (func $f)) (memory (export "memory") 1) (func $call (param i32) (call $f))`

// spin is a body that spins on function 1.
const spin = `(memory (export "memory") 1) (func $call (param i32) (if (local.get 0) (then (loop $l (br $l)))))`

// module loads wasm in an engine of its own.
func module(t testing.TB, cfg wasmtime.Config, src executor.Source) executor.Module {
	t.Helper()
	e := newEngine(t, cfg)
	m, err := e.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// instance makes an instance of m.
func instance(t testing.TB, m executor.Module, cfg executor.InstanceConfig) executor.Instance {
	t.Helper()
	in, err := m.Instantiate(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

// hostModule is the module "test" with one function.
func hostModule(f executor.HostFunc) []executor.HostFuncs {
	return []executor.HostFuncs{{Name: "test", New: func() ([]executor.HostFunc, func()) { return []executor.HostFunc{f}, nil }}}
}

// A cancelled guest that spins has its grace, and not much more.
func TestCancelStops(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, spin)))
	in := instance(t, m, executor.InstanceConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	var canceled time.Time
	time.AfterFunc(10*time.Millisecond, func() { canceled = time.Now(); cancel() })
	_, err := in.Call(ctx, 1, nil)
	took := time.Since(canceled)
	if !errors.Is(err, executor.ErrCanceled) || took < executor.CancelGrace {
		t.Errorf("got %v, %v after it was cancelled; want %v, and not before %v", err, took, executor.ErrCanceled, executor.CancelGrace)
	}
	t.Logf("stopped %v after it was cancelled", took)
	if _, err := in.Call(t.Context(), 0, nil); !errors.Is(err, executor.ErrDiscarded) {
		t.Errorf("after that: got %v, want %v", err, executor.ErrDiscarded)
	}
}

// The deadline passes while a host function sleeps: the guest is stopped once it
// goes on.
func TestDeadlineInHostFunction(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(import "test" "f" (func $f)) (memory (export "memory") 1)
		(func $call (param i32) (call $f) (loop $l (br $l)))`)))
	sleep := executor.HostFunc{Name: "f", Call: func(ctx context.Context, _ executor.Memory, _ []uint64) error {
		<-ctx.Done() // answers nothing of it
		return nil
	}}
	in := instance(t, m, executor.InstanceConfig{Host: hostModule(sleep)})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := in.Call(ctx, 1, nil); !errors.Is(err, executor.ErrDeadline) {
		t.Errorf("got %v, want %v", err, executor.ErrDeadline)
	}
}

// Each kind of value crosses both ways, as its bits.
func TestHostFunctionValues(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `
		(import "test" "f" (func $f (param i32 i64 f32 f64 i32) (result i32)))
		(memory (export "memory") 1)
		(func $call (param i32)
			(i32.store (i32.const 9) (call $f (i32.const -2) (i64.const -3) (f32.const 1.5) (f64.const -0.5) (i32.const 7))))`)))
	var got []uint64
	f := executor.HostFunc{Name: "f", Params: "ilfdi", Results: "i", Call: func(_ context.Context, _ executor.Memory, stack []uint64) error {
		got = append(got, stack...)
		stack[0] = 42
		return nil
	}}
	in := instance(t, m, executor.InstanceConfig{Host: hostModule(f)})
	if _, err := in.Call(t.Context(), 0, nil); err != nil {
		t.Fatal(err)
	}
	want := []uint64{0xfffffffe, 0xfffffffffffffffd, 0x3fc00000, 0xbfe0000000000000, 7}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got parameters %#x, want %#x", got, want)
	}
}
