package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// What the UE is told of a call, and of a message, that the executor gave no reply for.
func TestCodesOfTheExecutor(t *testing.T) {
	tests := []struct {
		err     error
		code    offload.Code
		started bool
		why     string
	}{
		{executor.ErrTrap, offload.CodeTrapped, true, ""},
		{executor.ErrMemory, offload.CodeOutOfMemory, true, "it is a trap, too"},
		{executor.ErrFuel, offload.CodeOutOfFuel, true, ""},
		{executor.ErrStack, offload.CodeOutOfStack, true, "it is a trap, too"},
		{fmt.Errorf("%w: %w", executor.ErrTrap, &wasi.ExitError{Code: 3}), offload.CodeExited, true, "os.Exit"},
		{fmt.Errorf("%w: %w", executor.ErrTrap, &wasi.ExitError{Code: 2, Fatal: "all goroutines are asleep - deadlock!"}), offload.CodeDeadlocked, true, "in the words of Go's runtime"},
		{fmt.Errorf("%w: %w", executor.ErrTrap, &wasi.ExitError{Code: 2, Fatal: "stack overflow"}), offload.CodeOutOfStack, true, "likewise"},
		{fmt.Errorf("%w: %w", executor.ErrMemory, &wasi.ExitError{Code: 2, Fatal: "out of memory"}), offload.CodeOutOfMemory, true, "it was refused memory before"},
		{executor.ErrDeadline, offload.CodeDeadline, true, ""},
		{executor.ErrABI, offload.CodeTrapped, true, "the guest broke, in whatever way"},
		{executor.ErrDiscarded, offload.CodeTrapped, true, "an earlier call broke it"},
		{executor.ErrTooLarge, offload.CodeTooLarge, true, "its reply is over its bound"},
		{fmt.Errorf("%w: %w", executor.ErrNotStarted, executor.ErrTooLarge), offload.CodeTooLarge, false, "it has no buffer for the request"},
		{fmt.Errorf("%w: %w", executor.ErrNotStarted, context.DeadlineExceeded), offload.CodeDeadline, false, "no instance came free in time"},
		{fmt.Errorf("%w: %w", executor.ErrNotStarted, executor.ErrQuota), offload.CodeOverloaded, false, "its tenant has no fuel left"},
		{fmt.Errorf("%w: make an instance: %w", executor.ErrNotStarted, executor.ErrMemory), offload.CodeOutOfMemory, false, "it cannot initialise itself"},
		{fmt.Errorf("%w: make an instance: %w", executor.ErrNotStarted, executor.ErrTrap), offload.CodeTrapped, false, "likewise"},
		{errors.New("disk on fire"), offload.CodeInternal, true, "the host's own fault"},
	}
	for _, tt := range tests {
		fail := func(context.Context, []byte, []byte) ([]byte, error) { return nil, tt.err }
		engine := native.Engine{Functions: func() []native.Func { return []native.Func{fail, fail, fail} }}
		serve(t, host.Config{Engine: engine}, []string{"ue"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
			c := conns[0]
			greet(t, c, 7)
			ask(t, c, put(wasm), true)
			got := failOf(t, ask(t, c, call(wasm), true))
			if got.Code != tt.code || got.Started != tt.started {
				t.Errorf("call that fails with %q: %+v; want %q, started: %t: %s", tt.err, got, tt.code, tt.started, tt.why)
			}
			st, refused := attach(t, c, 1)
			if refused != nil {
				t.Fatal(refused)
			}
			st.Write(append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: 2}), "hi"...))
			typ, err := wire.ReadType(st)
			halt, haltErr := wire.ReadHalt(st)
			if typ != wire.TypeHalt || errors.Join(err, haltErr) != nil || halt.Seq != 1 || halt.Fail.Code != tt.code {
				t.Errorf("message that fails with %q: frame 0x%02x, %+v, %v; want a halt of message 1 with %q", tt.err, typ, halt, errors.Join(err, haltErr), tt.code)
			}
			if got := h.Refusals(); len(got) != 1 || got[tt.code] != 2 {
				t.Errorf("after a call and a message that fail with %q: %v are counted; want two of %q", tt.err, got, tt.code)
			}
		})
	}
}

// failOf returns the Fail that a request was answered with.
func failOf(t *testing.T, answer []byte) *wire.Fail {
	t.Helper()
	r := bytes.NewReader(answer)
	typ, err := wire.ReadType(r)
	if err != nil || typ != wire.TypeFail {
		t.Fatalf("answered with %.40x, want a Fail", answer)
	}
	f, err := wire.ReadFail(r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A far endpoint whose module cannot make one more instance is refused, and has not
// begun.
func TestCodesOfAnAttach(t *testing.T) {
	tests := []struct {
		err  error
		code offload.Code
	}{
		{executor.ErrMemory, offload.CodeOutOfMemory},
		{executor.ErrTrap, offload.CodeTrapped},
		{executor.ErrQuota, offload.CodeOverloaded},
		{context.DeadlineExceeded, offload.CodeDeadline},
	}
	for _, tt := range tests {
		engine := &scarce{err: tt.err}
		serve(t, host.Config{Engine: engine}, []string{"ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
			greet(t, conns[0], 7)
			ask(t, conns[0], put(wasm), true)
			if _, got := attach(t, conns[0], 1); got == nil || got.Code != tt.code || got.Started {
				t.Errorf("attach that fails with %q: %+v, want %q, not started", tt.err, got, tt.code)
			}
		})
	}
}

// scarce is an engine whose modules have one instance.
type scarce struct {
	native.Engine
	err error // of the next one
}

func (e *scarce) Load(ctx context.Context, src executor.Source) (executor.Module, error) {
	m, err := e.Engine.Load(ctx, src)
	return &scarceModule{Module: m, err: e.err}, err
}

type scarceModule struct {
	executor.Module
	made bool
	err  error
}

func (m *scarceModule) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	if m.made {
		return nil, m.err
	}
	m.made = true
	return m.Module.Instantiate(ctx, cfg)
}
