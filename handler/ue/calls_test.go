package ue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
)

func TestTraceAddsUp(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("trace", true, double)
		w.engine.set(func(ctx context.Context, req, dst []byte) []byte {
			time.Sleep(30 * time.Millisecond) // the function's work, in virtual time
			return f.Serve(ctx, req, dst)
		}, nil)
		w.startHost(nil)
		h := w.startUE(policy.Always(policy.OnEdge), nil)
		w.ready(h, &f.Desc)
		var tr offload.Trace
		if _, err := f.Call(offload.WithTrace(t.Context(), &tr), 1); err != nil {
			t.Fatal(err)
		}
		if tr.Run != 30*time.Millisecond || tr.Queue != 0 || tr.Network != 2*oneWay {
			t.Errorf("run %v, queue %v, network %v; want 30ms, 0, %v", tr.Run, tr.Queue, tr.Network, 2*oneWay)
		}
		if tr.BytesUp < 40 || tr.BytesDown < 15 {
			t.Errorf("%d bytes up, %d down", tr.BytesUp, tr.BytesDown)
		}
	})
}

// A host that falls silent costs one deadline; until it answers again, calls do
// not wait for it; then it is used again.
func TestSilentHostCostsOneDeadline(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("silent", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUE(policy.Always(policy.OnEdge), nil)
		w.ready(h, &f.Desc)
		w.air.Silence(true)

		begin := time.Now()
		var tr offload.Trace
		got, err := f.Call(offload.WithTrace(t.Context(), &tr), 4)
		if took := time.Since(begin); got != 8 || err != nil || took != f.Deadline {
			t.Errorf("first call: %d, %v after %v; want 8 after %v", got, err, took, f.Deadline)
		}
		if !errors.Is(tr.Fallback, offload.ErrDeadline) {
			t.Errorf("fallback because %v, want ErrDeadline", tr.Fallback)
		}
		begin = time.Now()
		for n := range int64(20) {
			if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
				t.Errorf("call %d: %d, %v", n, got, err)
			}
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("20 calls to a silent host waited %v, want none", took)
		}
		if s := h.Stats(); s.Fallbacks != 21 || s.Edge != 0 {
			t.Errorf("stats %+v, want 21 fallbacks", s)
		}

		time.Sleep(time.Minute) // longer than every timeout of the connection
		w.air.Silence(false)
		w.ready(h, &f.Desc)
		if _, err := f.Call(t.Context(), 1); err != nil || h.Stats().Edge != 1 {
			t.Errorf("after its return: %v, %d calls on the host, want 1", err, h.Stats().Edge)
		}
		if n := w.engine.loads.Load(); n != 1 {
			t.Errorf("a host that has the module was sent it %d times", n)
		}
	})
}

func TestDrainingHostEndsItsCalls(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("drain", true, double)
		w.engine.set(func(ctx context.Context, req, dst []byte) []byte {
			time.Sleep(200 * time.Millisecond)
			return f.Serve(ctx, req, dst)
		}, nil)
		w.startHost(nil)
		h := w.startUE(policy.Always(policy.OnEdge), nil)
		w.ready(h, &f.Desc)
		var wg sync.WaitGroup
		var tr offload.Trace
		wg.Go(func() {
			if got, err := f.Call(offload.WithTrace(context.Background(), &tr), 5); got != 10 || err != nil {
				t.Errorf("call in flight: %d, %v", got, err)
			}
		})
		time.Sleep(50 * time.Millisecond)
		var shut sync.WaitGroup
		host := w.host
		shut.Go(func() {
			if err := host.Shutdown(context.Background()); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
		time.Sleep(50 * time.Millisecond) // the go-away has arrived
		begin := time.Now()
		if got, err := f.Call(t.Context(), 6); got != 12 || err != nil || time.Since(begin) != 0 {
			t.Errorf("new call: %d, %v after %v; want 12 at once", got, err, time.Since(begin))
		}
		wg.Wait()
		if tr.Host != "edge-1" {
			t.Errorf("the call in flight ended on %q because %v, want edge-1", tr.Host, tr.Fallback)
		}
		shut.Wait()
	})
}

var errKnown = errors.New("known")

func init() { offload.RegisterError("ue_test.known", errKnown) }

// What a call that gave no result comes to, by its cause and its function's mark.
func TestCallsThatFailOnTheHost(t *testing.T) {
	tests := []struct {
		name       string
		idempotent bool
		native     func(context.Context, int64) (int64, error)
		engine     error
		fallback   bool
		check      func(error) bool
		why        string
	}{
		{"trap", true, double, executor.ErrTrap, true, isNil, "an idempotent function may run again"},
		{"trap of a function that is not idempotent", false, double, executor.ErrTrap, false, hasFate(offload.Stopped), "it may have had effects"},
		{"not entered", false, double, fmt.Errorf("no instance: %w", executor.ErrNotStarted), true, isNil, "it cannot have had effects"},
		{"error", true, fails(errKnown), nil, false, func(err error) bool { return errors.Is(err, errKnown) && err.Error() == "known" }, "the function's own error is its result, and keeps its identity"},
		{"panic", true, nil, nil, false, hasFate(offload.Ended), "it would panic here, too"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, w *world) {
				f := doubler(tt.name, tt.idempotent, tt.native)
				serve := f.Serve
				if tt.native == nil {
					f.Native = func(context.Context, int64) (int64, error) { t.Error("ran natively"); return 0, nil }
					serve = func(_ context.Context, _, dst []byte) []byte { return append(dst, 2, 'b', 'o', 'o') }
				}
				w.engine.set(serve, tt.engine)
				w.startHost(nil)
				h := w.startUE(policy.Always(policy.OnEdge), nil)
				w.ready(h, &f.Desc)
				_, err := f.Call(t.Context(), 1)
				if !tt.check(err) {
					t.Errorf("error %v; %s", err, tt.why)
				}
				if got := h.Stats().Fallbacks == 1; got != tt.fallback {
					t.Errorf("fell back: %v, want %v; %s", got, tt.fallback, tt.why)
				}
			})
		})
	}
}

func fails(err error) func(context.Context, int64) (int64, error) {
	return func(context.Context, int64) (int64, error) { return 0, err }
}

func isNil(err error) bool { return err == nil }

func hasFate(want offload.Fate) func(error) bool {
	return func(err error) bool {
		var ce *offload.CallError
		return errors.As(err, &ce) && ce.Fate == want
	}
}

func TestOverloadedHostFallsBack(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("overload", true, double)
		w.engine.set(func(ctx context.Context, req, dst []byte) []byte {
			time.Sleep(100 * time.Millisecond)
			return f.Serve(ctx, req, dst)
		}, nil)
		w.startHost(func(c *host.Config) { c.Calls, c.Waiting = 1, 1 })
		h := w.startUE(policy.Always(policy.OnEdge), nil)
		w.ready(h, &f.Desc)
		var wg sync.WaitGroup
		for n := range int64(5) {
			wg.Go(func() {
				if got, err := f.Call(context.Background(), n); got != 2*n || err != nil {
					t.Errorf("call %d: %d, %v", n, got, err)
				}
			})
		}
		wg.Wait()
		if s := h.Stats(); s.Edge != 2 || s.Fallbacks != 3 {
			t.Errorf("stats %+v; want one call run, one waiting, three refused", s)
		}
	})
}

// A slow guest is stopped at the function's deadline, on both sides.
func TestDeadlineReachesTheHost(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("slow", true, double)
		var asked atomic.Int64
		w.engine.set(func(ctx context.Context, _, dst []byte) []byte {
			d, _ := ctx.Deadline()
			asked.Store(int64(time.Until(d)))
			<-ctx.Done() // where Wasm has its epoch
			return append(dst, 0)
		}, nil)
		w.startHost(nil)
		h := w.startUE(policy.Always(policy.OnEdge), nil)
		w.ready(h, &f.Desc)
		begin := time.Now()
		got, err := f.Call(t.Context(), 7)
		if got != 14 || err != nil || time.Since(begin) > f.Deadline {
			t.Errorf("%d, %v after %v; want 14 within %v", got, err, time.Since(begin), f.Deadline)
		}
		if left := time.Duration(asked.Load()); left <= 0 || left > f.Deadline {
			t.Errorf("the guest had %v; want what is left of %v", left, f.Deadline)
		}
	})
}

func TestCancelledCallDoesNotFallBack(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("cancel", true, double)
		ended := make(chan struct{})
		w.engine.set(func(ctx context.Context, _, dst []byte) []byte {
			<-ctx.Done()
			close(ended)
			return append(dst, 0)
		}, nil)
		w.startHost(nil)
		h := w.startUE(policy.Always(policy.OnEdge), nil)
		w.ready(h, &f.Desc)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := f.Call(ctx, 1)
		if !errors.Is(err, context.DeadlineExceeded) || h.Stats().Fallbacks != 0 {
			t.Errorf("%v with %d fallbacks; want the context's end and none", err, h.Stats().Fallbacks)
		}
		<-ended // the host's side ends, too
	})
}
