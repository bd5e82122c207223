package ue_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

type doubling = codegen.Func[int64, int64]

// A failure is a way in which a call gives no result on the edge host.
type failure struct {
	name string
	why  string
	// What is wrong. Nil and zero are as it should be.
	config func(*host.Config)
	fails  error                                                 // of the executor
	serve  func(ctx context.Context, request, dst []byte) []byte // the guest function
	change func(f *doubling)                                     // of the function
	before func(t *testing.T, w *world, h *ue.Handler)           // once the host is ready
	during func(w *world)                                        // 50 ms after the call has begun
	ctx    func(context.Context) (context.Context, func())       // the caller's
	rude   []byte                                                // the host's answer
	// What is told.
	code  offload.Code
	fate  offload.Fate
	final bool // the call runs nowhere else, whatever the function's mark
}

// busy takes until its ctx ends.
func busy(ctx context.Context, _, dst []byte) []byte {
	<-ctx.Done()
	return append(dst, 0)
}

func answer(b ...byte) func(context.Context, []byte, []byte) []byte {
	return func(_ context.Context, _, dst []byte) []byte { return append(dst, b...) }
}

func notStarted(why error) error { return fmt.Errorf("%w: %w", executor.ErrNotStarted, why) }

var failures = []failure{
	{name: "trap", fails: executor.ErrTrap, code: offload.CodeTrapped, fate: offload.Stopped},
	{name: "out of memory", fails: executor.ErrMemory, code: offload.CodeOutOfMemory, fate: offload.Stopped},
	{name: "out of fuel", fails: executor.ErrFuel, code: offload.CodeOutOfFuel, fate: offload.Stopped},
	{name: "reply too large", fails: executor.ErrTooLarge, code: offload.CodeTooLarge, fate: offload.Stopped},
	{name: "host's own fault", fails: errors.New("disk on fire"), code: offload.CodeInternal, fate: offload.Stopped, why: "it cannot say more"},
	{name: "panic", serve: answer(2, 'b', 'o', 'o'), code: offload.CodePanicked, fate: offload.Ended, final: true, why: "it would panic here, too"},
	{name: "reply that does not decode", serve: answer(0, 0xc1), code: offload.CodeProtocol, fate: offload.Ended, final: true, why: "the function ran to its end"},
	{name: "error that does not decode", serve: answer(1, 9), code: offload.CodeProtocol, fate: offload.Ended, final: true},

	{name: "stopped at the executor's deadline", fails: executor.ErrDeadline, code: offload.CodeDeadline, fate: offload.Stopped},
	{name: "stopped at the host's limit", serve: busy, config: func(c *host.Config) { c.CallLimit = 100 * time.Millisecond }, code: offload.CodeDeadline, fate: offload.Stopped},
	{name: "no instance in time", fails: notStarted(context.DeadlineExceeded), code: offload.CodeDeadline, fate: offload.NotStarted},
	{name: "silence", before: func(_ *testing.T, w *world, _ *ue.Handler) { w.air.Silence(true) }, code: offload.CodeDeadline, fate: offload.Unknown},

	{name: "queue full", serve: busy, config: func(c *host.Config) { c.Calls, c.Waiting = 1, 1 }, before: occupy, code: offload.CodeOverloaded, fate: offload.NotStarted},
	{name: "quota", fails: notStarted(executor.ErrQuota), code: offload.CodeOverloaded, fate: offload.NotStarted},
	{name: "buffer refused", fails: notStarted(executor.ErrTooLarge), code: offload.CodeTooLarge, fate: offload.NotStarted},
	{name: "request too large", change: large, code: offload.CodeTooLarge, fate: offload.NotStarted, why: "it is not even sent"},
	{name: "module gone", config: func(c *host.Config) { c.Modules = 1 }, before: other, code: offload.CodeNoModule, fate: offload.NotStarted},
	{name: "draining", fails: &wire.Fail{Code: offload.CodeDraining}, code: offload.CodeDraining, fate: offload.NotStarted, why: "before the go-away has come"},

	{name: "host ends", serve: busy, during: (*world).stopHost, code: offload.CodeLost, fate: offload.Unknown},

	{name: "caller's deadline", serve: busy, ctx: func(ctx context.Context) (context.Context, func()) {
		return context.WithTimeout(ctx, 50*time.Millisecond)
	}, code: offload.CodeDeadline, fate: offload.Unknown, final: true},
	{name: "caller cancels", serve: busy, ctx: func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(50*time.Millisecond, cancel)
		return ctx, cancel
	}, code: offload.CodeCanceled, fate: offload.Unknown, final: true},

	{name: "caller cancels with a reason", serve: busy, ctx: func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancelCause(ctx)
		time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("a new frame has come")) })
		return ctx, func() { cancel(nil) }
	}, code: offload.CodeCanceled, fate: offload.Unknown, final: true},

	{name: "frame that is none", rude: []byte{0xee}, code: offload.CodeProtocol, fate: offload.Unknown},
	{name: "result out of bounds", rude: wire.AppendResult(nil, wire.Result{Size: wire.MaxPayload + 1}), code: offload.CodeProtocol, fate: offload.Unknown},
	{name: "bytes after the answer", rude: append(wire.AppendResult(nil, wire.Result{Size: 2}), 0, 2, 1, 1), code: offload.CodeProtocol, fate: offload.Unknown},
	{name: "half an answer", rude: wire.AppendResult(nil, wire.Result{Size: 9}), code: offload.CodeLost, fate: offload.Unknown},
	{name: "no answer", rude: []byte{}, code: offload.CodeLost, fate: offload.Unknown},
	{name: "code of the UE's", rude: wire.AppendFail(nil, wire.Fail{Code: offload.CodeCanceled, Started: true}), code: offload.CodeInternal, fate: offload.Stopped, why: "only the caller cancels"},
}

// occupy has the host run a call, and have another one wait.
func occupy(t *testing.T, w *world, h *ue.Handler) {
	f := doubler("queue full", true, double)
	for range 2 {
		go f.Call(t.Context(), 1)
	}
	time.Sleep(50 * time.Millisecond)
}

// other has the host load another module.
func other(t *testing.T, w *world, h *ue.Handler) {
	w.ready(h, &doubler("another", true, double).Desc)
}

func large(f *doubling) {
	f.AppendIn = func(b []byte, n int64) []byte { return append(b, make([]byte, wire.MaxPayload+1)...) }
}

// What a call that gives no result on the host is told to be, and whether it runs on the
// UE then, by its function's mark.
func TestCodesOfCalls(t *testing.T) {
	for _, tt := range failures {
		for _, idempotent := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/idempotent=%t", tt.name, idempotent), func(t *testing.T) {
				inBoth(t, func(t *testing.T, w *world) { tt.check(t, w, idempotent) })
			})
		}
	}
}

func (tt failure) check(t *testing.T, w *world, idempotent bool) {
	f := doubler(tt.name, idempotent, double)
	if tt.change != nil {
		tt.change(f)
	}
	h := tt.start(t, w, f)
	ctx := t.Context()
	if tt.ctx != nil {
		c, cancel := tt.ctx(ctx)
		defer cancel()
		ctx = c
	}
	done := make(chan struct{})
	close(done)
	if tt.during != nil {
		done = make(chan struct{})
		time.AfterFunc(50*time.Millisecond, func() { defer close(done); tt.during(w) })
	}
	before := h.Stats()
	var tr offload.Trace
	got, err := f.Call(offload.WithTrace(ctx, &tr), 4)
	<-done
	repeated := !tt.final && (idempotent || tt.fate == offload.NotStarted)
	if fell := h.Stats().Fallbacks > before.Fallbacks; fell != repeated {
		t.Errorf("fell back: %t, want %t: %s", fell, repeated, tt.why)
	}
	if repeated {
		if got != 8 || err != nil {
			t.Fatalf("on the UE: %d, %v; want 8", got, err)
		}
		err = tr.Fallback
	}
	var ce *offload.CallError
	if !errors.As(err, &ce) || ce.Code != tt.code || offload.CodeOf(err) != tt.code || ce.Fate != tt.fate {
		t.Errorf("%v of code %q, %+v; want a CallError of %q, %v: %s", err, offload.CodeOf(err), ce, tt.code, tt.fate, tt.why)
	}
	wantDeadline(t, err, tt.code == offload.CodeDeadline)
}

// wantDeadline checks that an error is a passed deadline to errors.Is, by both names, or
// is not.
func wantDeadline(t *testing.T, err error, late bool) {
	t.Helper()
	for _, name := range []error{context.DeadlineExceeded, offload.ErrDeadline} {
		if errors.Is(err, name) != late {
			t.Errorf("%v is %q: %t, want %t", err, name, !late, late)
		}
	}
}

// start starts a host that fails so, and a UE that is ready to call f there.
func (tt failure) start(t *testing.T, w *world, f *doubling) *ue.Handler {
	serve := tt.serve
	if serve == nil {
		serve = f.Serve
	}
	w.engine.set(serve, tt.fails)
	if tt.rude != nil {
		w.startRude(tt.rude)
	} else {
		w.startHost(tt.config)
	}
	h := w.startUE(policy.Always(policy.OnEdge), nil)
	w.ready(h, &f.Desc)
	if tt.before != nil {
		tt.before(t, w, h)
	}
	return h
}

// startRude starts a host that has every module and answers each call with b.
func (w *world) startRude(b []byte) {
	conf, err := w.ca.TLS(identity.Host, "host")
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := link.Listen(w.air.Endpoint(hostAddr), conf)
	if err != nil {
		w.t.Fatal(err)
	}
	over := link.ListenTCP(w.air.Listen(tcp(hostAddr)), conf, nil)
	for _, ln := range []interface {
		Accept(context.Context) (*link.Conn, error)
		Close() error
	}{ln, over} {
		w.t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept(context.Background())
				if err != nil {
					return
				}
				go serveRudely(c, b)
			}
		}()
	}
}

func serveRudely(c *link.Conn, b []byte) {
	for {
		st, err := c.Accept(context.Background())
		if err != nil {
			return
		}
		go func() {
			switch typ, _ := control.Begin(st); typ {
			case wire.TypeHello:
				control.ReadHello(st)
				control.Welcome(st, wire.Welcome{Name: "rude"})
			case wire.TypeHave:
				control.ReadHave(st)
				control.Loaded(st, true)
			case wire.TypeCall:
				call, _ := wire.ReadCall(st)
				io.CopyN(io.Discard, st, int64(call.Size))
				st.Write(b)
				st.Close()
			default:
				st.Reset()
			}
		}()
	}
}

// Why a host does not get a module, and calls of it run on the UE.
func TestCodesOfModules(t *testing.T) {
	tests := []struct {
		name   string
		engine native.Engine
		code   offload.Code
	}{
		{"not granted", native.Engine{Manifest: capability.Manifest{Host: []string{"sensor.lidar"}}}, offload.CodeDenied},
		{"malformed", native.Engine{Check: func(executor.Source) error { return executor.ErrABI }}, offload.CodeBadModule},
		{"over the quota", native.Engine{Check: func(executor.Source) error { return executor.ErrQuota }}, offload.CodeOverloaded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, w *world) {
				w.startHost(func(c *host.Config) { c.Engine = tt.engine })
				h := w.startUE(policy.Always(policy.OnEdge), nil)
				f := doubler(tt.name, false, double)
				if err := h.Prepare(t.Context(), &f.Desc); offload.CodeOf(err) != tt.code {
					t.Errorf("prepare: %v of code %q, want %q", err, offload.CodeOf(err), tt.code)
				}
				wantFallback(t, f, tt.code)
			})
		})
	}
}

// wantFallback checks that a call runs on the UE, and what kept it from the host.
func wantFallback(t *testing.T, f *doubling, code offload.Code) {
	t.Helper()
	var tr offload.Trace
	if got, err := f.Call(offload.WithTrace(t.Context(), &tr), 4); got != 8 || err != nil {
		t.Errorf("call: %d, %v; want 8", got, err)
	}
	if offload.CodeOf(tr.Fallback) != code {
		t.Errorf("fallback because %v of code %q, want %q", tr.Fallback, offload.CodeOf(tr.Fallback), code)
	}
}

// What keeps calls from a host that is not there: none of them begins.
func TestCodesOfAbsence(t *testing.T) {
	t.Run("no host", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			w.startUEWith(ue.Config{Policy: policy.Always(policy.OnEdge)})
			wantFallback(t, doubler("no host", false, double), offload.CodeUnavailable)
		})
	})
	t.Run("not connected", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			w.startUE(policy.Always(policy.OnEdge), nil)
			wantFallback(t, doubler("not connected", false, double), offload.CodeUnavailable)
		})
	})
	t.Run("missed a deadline", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			f := doubler("missed", true, double)
			w.engine.set(f.Serve, nil)
			w.startHost(nil)
			h := w.startUE(policy.Always(policy.OnEdge), nil)
			w.ready(h, &f.Desc)
			w.air.Silence(true)
			wantFallback(t, f, offload.CodeDeadline)
			wantFallback(t, f, offload.CodeUnavailable)
		})
	})
	t.Run("ended", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			f := doubler("ended", false, double)
			w.engine.set(f.Serve, nil)
			w.startHost(nil)
			h := w.startUE(policy.Always(policy.OnEdge), nil)
			w.ready(h, &f.Desc)
			w.stopHost()
			time.Sleep(50 * time.Millisecond)
			wantFallback(t, f, offload.CodeUnavailable)
		})
	})
	t.Run("draining", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			f := doubler("draining", false, double)
			running := doubler("draining", true, double)
			w.engine.set(busy, nil)
			w.startHost(nil)
			h := w.startUE(policy.Always(policy.OnEdge), nil)
			w.ready(h, &f.Desc)
			go running.Call(t.Context(), 1) // keeps the session until then
			time.Sleep(20 * time.Millisecond)
			host, ended := w.host, make(chan struct{})
			go func() { defer close(ended); host.Shutdown(context.Background()) }()
			time.Sleep(20 * time.Millisecond)
			wantFallback(t, f, offload.CodeDraining)
			<-ended
		})
	})
}
