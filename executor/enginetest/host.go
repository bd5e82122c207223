package enginetest

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Functions of the guest host.wat, each after the host function it calls.
const (
	fnSum = iota
	fnFill
	fnFail
	fnCrash
	fnWait
)

var errHost = errors.New("out of paper")

// hostModule is what host.wat imports. open counts the instances of it.
func hostModule(open *int) executor.HostFuncs {
	return executor.HostFuncs{Name: "test", New: func() ([]executor.HostFunc, func()) {
		*open++
		calls := uint64(0)
		funcs := []executor.HostFunc{
			{Name: "sum", Params: "iil", Results: "l", Call: func(_ context.Context, mem executor.Memory, stack []uint64) error {
				calls++
				return sum(mem, stack, calls)
			}},
			{Name: "fill", Params: "ii", Call: func(ctx context.Context, mem executor.Memory, stack []uint64) error {
				executor.AddSpan(ctx, "fill", time.Millisecond)
				return fill(mem, stack)
			}},
			{Name: "fail", Call: func(context.Context, executor.Memory, []uint64) error { return errHost }},
			{Name: "crash", Call: func(context.Context, executor.Memory, []uint64) error { panic("paper jam") }},
			{Name: "wait", Call: func(ctx context.Context, _ executor.Memory, _ []uint64) error {
				if waits, ok := ctx.Value(waitsKey{}).(chan struct{}); ok {
					close(waits)
				}
				<-ctx.Done()
				return ctx.Err()
			}},
		}
		return funcs, func() { *open-- }
	}}
}

// waitsKey is the key of a channel in the context of a call that function "wait" closes
// once it is called.
type waitsKey struct{}

// sum adds the bytes at stack[0], stack[2] and the calls so far.
func sum(mem executor.Memory, stack []uint64, calls uint64) error {
	b, ok := mem.Bytes(uint32(stack[0]), uint32(stack[1]))
	if !ok {
		return errors.New("outside")
	}
	total := stack[2] + calls
	for _, c := range b {
		total += uint64(c)
	}
	stack[0] = total
	return nil
}

// fill writes over the bytes at stack[0], after it has tried pointers that
// must be refused.
func fill(mem executor.Memory, stack []uint64) error {
	for _, bad := range [][2]uint32{{0xffffffff, 1}, {0xffffffff, 0xffffffff}, {0, 0xffffffff}, {3 << 16, 1}} {
		if _, ok := mem.Bytes(bad[0], bad[1]); ok {
			return errors.New("pointer outside the memory accepted")
		}
	}
	b, ok := mem.Bytes(uint32(stack[0]), uint32(stack[1]))
	if !ok {
		return errors.New("outside")
	}
	for i := range b {
		b[i] = 'z'
	}
	return nil
}

// host checks host functions.
func (s suite) host(t *testing.T) {
	open := 0
	m := s.module(t, Guest(t, "host"))
	cfg := executor.InstanceConfig{Host: []executor.HostFuncs{hostModule(&open)}}
	t.Run("Values", func(t *testing.T) {
		in, other := instance(t, m, cfg), instance(t, m, cfg)
		for calls := uint64(1); calls <= 2; calls++ {
			got := binary.LittleEndian.Uint64([]byte(call(t, in, fnSum, "\x01\xff", abi.OK)))
			if want := 0x100 - 3 + calls; got != want {
				t.Errorf("call %d: got %d, want %d", calls, int64(got), want)
			}
		}
		if got := binary.LittleEndian.Uint64([]byte(call(t, other, fnSum, "\x05", abi.OK))); got != 3 {
			t.Errorf("another instance: got %d, want 3: each has host functions of its own", got)
		}
	})
	t.Run("MemoryAndSpans", func(t *testing.T) {
		c := &executor.Call{}
		in := instance(t, m, cfg)
		r, err := in.Call(executor.WithCall(t.Context(), c), fnFill, []byte("abc"))
		if err != nil || string(r.Payload) != "zzz" {
			t.Errorf("got %q, %v; want %q", r.Payload, err, "zzz")
		}
		if spans := c.Spans; len(spans) != 1 || spans[0] != (executor.Span{Name: "fill", Time: time.Millisecond}) {
			t.Errorf("got spans %v, want one of fill", spans)
		}
	})
	t.Run("Error", func(t *testing.T) {
		in := instance(t, m, cfg)
		_, err := in.Call(t.Context(), fnFail, nil)
		mentions(t, err, executor.ErrTrap, "fail", "out of paper")
		mentions(t, err, errHost)
		mustDiscard(t, in)
	})
	t.Run("Panic", func(t *testing.T) {
		in := instance(t, m, cfg)
		_, err := in.Call(t.Context(), fnCrash, nil)
		mentions(t, err, executor.ErrTrap, "crash", "paper jam")
		mustDiscard(t, in)
	})
	t.Run("Deadline", func(t *testing.T) {
		in := instance(t, m, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), spinTime)
		defer cancel()
		_, err := in.Call(ctx, fnWait, nil)
		mentions(t, err, executor.ErrDeadline, "wait")
	})
	if open != 0 {
		t.Errorf("%d sets of host functions not closed with their instances", open)
	}
}

// log checks what guests log, their start function included.
func (s suite) log(t *testing.T) {
	var lines []string
	cfg := executor.InstanceConfig{Log: func(line string) { lines = append(lines, line) }}
	instance(t, s.module(t, Guest(t, "start")), cfg)
	ctx, cancel := context.WithCancel(t.Context())
	in := instance(t, s.module(t, Guest(t, "basic")), executor.InstanceConfig{
		Log: func(line string) { cfg.Log(line); cancel() },
	})
	_, err := in.Call(ctx, fnLogSpin, make([]byte, 2*abi.MaxLog))
	mentions(t, err, executor.ErrCanceled)
	if len(lines) != 2 || lines[0] != "hello" || len(lines[1]) != abi.MaxLog {
		t.Errorf("got %d lines, %.40q; want hello, then %d bytes", len(lines), lines, abi.MaxLog)
	}
}
