package ue_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
)

func Example() {
	ctx := context.Background()
	h, err := ue.Start(ctx, ue.Config{}) // no edge host: every call runs here
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()

	f := doubler("example", true, double) // generated code declares it
	fmt.Println(f.Call(ctx, 21))
	fmt.Println(h.Stats().Calls, "call,", h.Stats().Edge, "on an edge host")
	// Output:
	// 42 <nil>
	// 1 call, 0 on an edge host
}

// The experiment of paper 001: 600 frames, 12 stretches of 50, 11 moves.
func TestToggleMovesWithoutLossOrDouble(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("toggle", true, double)
		var native, there atomic.Int64
		f.Native = func(ctx context.Context, n int64) (int64, error) { native.Add(1); return double(ctx, n) }
		w.engine.set(func(ctx context.Context, req, dst []byte) []byte {
			there.Add(1)
			native.Add(-1) // Serve runs Native
			return f.Serve(ctx, req, dst)
		}, nil)
		w.startHost(nil)
		h := w.startUE(ue.Toggle{Every: 50}, nil)
		w.ready(h, &f.Desc)
		for n := range int64(600) {
			var tr offload.Trace
			got, err := f.Call(offload.WithTrace(t.Context(), &tr), n)
			if err != nil || got != 2*n {
				t.Fatalf("frame %d: %d, %v; want %d", n, got, err, 2*n)
			}
			if wantEdge := n/50%2 == 1; (tr.Host == "edge-1") != wantEdge {
				t.Errorf("frame %d ran on %q; on the edge host: want %v", n, tr.Host, wantEdge)
			}
		}
		s := h.Stats()
		if s.Edge != 300 || s.Fallbacks != 0 || s.Moves != 11 || native.Load() != 300 || there.Load() != 300 {
			t.Errorf("stats %+v, native %d, on the host %d; want 300 on each side, 11 moves, no fallback", s, native.Load(), there.Load())
		}
		if n := w.engine.loads.Load(); n != 1 {
			t.Errorf("the module was loaded %d times, want once", n)
		}
	})
}

func TestTraceAddsUp(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("trace", true, double)
		w.engine.set(func(ctx context.Context, req, dst []byte) []byte {
			time.Sleep(30 * time.Millisecond) // the function's work, in virtual time
			return f.Serve(ctx, req, dst)
		}, nil)
		w.startHost(nil)
		h := w.startUE(ue.Always(ue.OnEdge), nil)
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
		h := w.startUE(ue.Always(ue.OnEdge), nil)
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

// A short silence, such as a radio fade, is over with the first pong.
func TestShortFadeNeedsNoNewConnection(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("fade", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUE(ue.Always(ue.OnEdge), nil)
		w.ready(h, &f.Desc)
		before := w.connections()
		w.air.Silence(true)
		f.Call(t.Context(), 1) // 500 ms
		time.Sleep(100 * time.Millisecond)
		w.air.Silence(false)
		w.ready(h, &f.Desc)
		if n := w.connections() - before; n != 0 {
			t.Errorf("%d connections were made anew", n)
		}
	})
}

func TestHostThatDiedAndCameBack(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("back", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUE(ue.Always(ue.OnEdge), nil)
		w.ready(h, &f.Desc)
		w.air.Silence(true) // a killed process says no good-bye
		w.stopHost()
		time.Sleep(time.Second)
		w.air.Silence(false)
		if got, err := f.Call(t.Context(), 3); got != 6 || err != nil {
			t.Errorf("with the host gone: %d, %v", got, err)
		}
		synctest.Wait()
		w.startHost(nil) // has no modules
		w.ready(h, &f.Desc)
		var tr offload.Trace
		if _, err := f.Call(offload.WithTrace(t.Context(), &tr), 3); err != nil || tr.Host != "edge-1" {
			t.Errorf("after the return: %v, on %q", err, tr.Host)
		}
		if n := w.engine.loads.Load(); n != 2 {
			t.Errorf("loaded %d times, want 2: once in each life of the host", n)
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
		h := w.startUE(ue.Always(ue.OnEdge), nil)
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
				h := w.startUE(ue.Always(ue.OnEdge), nil)
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

// A host without room for a module has it later.
func TestModuleIsSentAgain(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("again", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(func(c *host.Config) {
			full := time.Now().Add(time.Second)
			c.Engine = native.Engine{Functions: w.engine.functions, Check: func(executor.Source) error {
				if time.Now().Before(full) {
					return executor.ErrQuota
				}
				return nil
			}}
		})
		h := w.startUE(ue.Always(ue.OnEdge), nil)
		if err := h.Prepare(t.Context(), &f.Desc); offload.CodeOf(err) != offload.CodeOverloaded {
			t.Errorf("prepare gave %v, want it refused: overloaded", err)
		}
		time.Sleep(10 * time.Second)
		w.ready(h, &f.Desc)
		if got, err := f.Call(t.Context(), 4); got != 8 || err != nil || h.Stats().Edge != 1 {
			t.Errorf("%d, %v, %+v; want 8 from the edge host", got, err, h.Stats())
		}
	})
}

func TestOverloadedHostFallsBack(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("overload", true, double)
		w.engine.set(func(ctx context.Context, req, dst []byte) []byte {
			time.Sleep(100 * time.Millisecond)
			return f.Serve(ctx, req, dst)
		}, nil)
		w.startHost(func(c *host.Config) { c.Calls, c.Waiting = 1, 1 })
		h := w.startUE(ue.Always(ue.OnEdge), nil)
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
		h := w.startUE(ue.Always(ue.OnEdge), nil)
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
		h := w.startUE(ue.Always(ue.OnEdge), nil)
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

func TestPeersThatCannotTalk(t *testing.T) {
	stranger, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		ue   func(*tls.Config)
		host func(*host.Config)
		want error
	}{
		{"another version", func(c *tls.Config) { c.NextProtos = []string{"bungee/0"} }, nil, link.ErrVersion},
		{"the host is of another authority", nil, func(c *host.Config) { c.TLS = mustTLS(t, stranger, identity.Host) }, link.ErrIdentity},
		{"the UE is of another authority", func(c *tls.Config) { c.Certificates = mustTLS(t, stranger, identity.UE).Certificates }, nil, link.ErrIdentity},
		{"a UE's certificate on the host", nil, func(c *host.Config) { c.TLS.Certificates = nil }, link.ErrIdentity},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, w *world) {
				f := doubler(tt.name, true, double)
				w.startHost(func(c *host.Config) {
					if tt.host != nil {
						tt.host(c)
					}
					if c.TLS.Certificates == nil {
						c.TLS.Certificates = mustTLS(t, w.ca, identity.UE).Certificates
					}
				})
				h := w.startUE(ue.Always(ue.OnEdge), tt.ue)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if err := h.Prepare(ctx, &f.Desc); !errors.Is(err, tt.want) {
					t.Errorf("prepare gave %v, want %v", err, tt.want)
				}
				if got, err := f.Call(t.Context(), 2); got != 4 || err != nil || h.Stats().Fallbacks != 1 {
					t.Errorf("call: %d, %v, stats %+v; want a fallback", got, err, h.Stats())
				}
			})
		})
	}
}

func mustTLS(t *testing.T, ca *identity.Authority, role identity.Role) *tls.Config {
	t.Helper()
	c, err := ca.TLS(role, "stranger")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNobodyThere(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("nobody", true, double)
		h := w.startUE(ue.Always(ue.OnEdge), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := h.Prepare(ctx, &f.Desc); !errors.Is(err, link.ErrNoAnswer) {
			t.Errorf("prepare gave %v, want %v", err, link.ErrNoAnswer)
		}
		w.engine.set(f.Serve, nil)
		w.startHost(nil) // late
		w.ready(h, &f.Desc)
	})
}

// Prepare ends with its ctx, and with the handler; Close does not wait for a host that
// nobody answers for. Elastic functions and channels have the same hosts.
func TestPrepareEnds(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("nobody", true, double)
		h := w.startUE(ue.Always(ue.OnEdge), nil)
		prepare := map[string]func(ctx context.Context) error{
			"function": func(ctx context.Context) error { return h.Prepare(ctx, &f.Desc) },
			"channel":  func(ctx context.Context) error { _, err := h.Target("").Prepare(ctx, &tally().Desc); return err },
		}
		for what, prepare := range prepare {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if err := prepare(ctx); err == nil {
				t.Errorf("%s: prepared a host that does not exist", what)
			}
			if took := time.Since(begin); took > 300*time.Millisecond {
				t.Errorf("%s: Prepare took %v, want its ctx's 300ms", what, took)
			}
		}
		ended := make(chan time.Time, len(prepare))
		for _, prepare := range prepare {
			go func() {
				prepare(t.Context())
				ended <- time.Now()
			}()
		}
		time.Sleep(time.Second)
		begin := time.Now()
		h.Close()
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("Close took %v while hosts were prepared", took)
		}
		for range prepare {
			if after := (<-ended).Sub(begin); after > 100*time.Millisecond {
				t.Errorf("Prepare ended %v after Close", after)
			}
		}
	})
}

// Many callers while the policy toggles under them and the network goes and
// comes: each call gets its own result.
func TestHammer(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("hammer", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUE(ue.Toggle{Every: 7}, nil)
		w.ready(h, &f.Desc)
		stop := make(chan struct{})
		var fader, callers sync.WaitGroup
		fader.Go(func() {
			silent := false
			for {
				select {
				case <-stop:
					w.air.Silence(false)
					return
				case <-time.After(700 * time.Millisecond):
					silent = !silent
					w.air.Silence(silent)
				}
			}
		})
		const each = 300
		for c := range int64(8) {
			callers.Go(func() {
				for n := range int64(each) {
					v := c*each + n
					if got, err := f.Call(context.Background(), v); got != 2*v || err != nil {
						t.Errorf("call %d: %d, %v", v, got, err)
					}
					time.Sleep(3 * time.Millisecond)
				}
			})
		}
		callers.Wait()
		close(stop)
		fader.Wait()
		if s := h.Stats(); s.Calls != 8*each || s.Edge == 0 || s.Fallbacks == 0 {
			t.Errorf("stats %+v; want %d calls, some on the host, some fallbacks", s, 8*each)
		}
	})
}

func TestCloseGivesTheFunctionsBack(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("close", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUE(ue.Always(ue.OnEdge), nil)
		w.ready(h, &f.Desc)
		h.Close()
		if _, err := f.Call(t.Context(), 1); err != nil || h.Stats().Calls != 0 {
			t.Errorf("after Close: %v, %d calls routed", err, h.Stats().Calls)
		}
		synctest.Wait()
	})
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := ue.Start(t.Context(), ue.Config{Edge: "x:1"}); err == nil {
		t.Error("an edge host without TLS was accepted")
	}
}

// The native path costs less than 1 µs over the plain call and allocates nothing.
func TestNativePathAllocatesNothing(t *testing.T) {
	f := doubler("allocs", true, double)
	h, err := ue.Start(t.Context(), ue.Config{Policy: ue.Toggle{}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { f.Call(ctx, 1) }); n != 0 {
		t.Errorf("%v allocations a call, want 0", n)
	}
}

func BenchmarkNative(b *testing.B) {
	f := doubler("bench", true, double)
	ctx := b.Context()
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Native(ctx, 1)
		}
	})
	b.Run("elastic", func(b *testing.B) {
		h, err := ue.Start(ctx, ue.Config{Policy: ue.Toggle{}})
		if err != nil {
			b.Fatal(err)
		}
		defer h.Close()
		b.ReportAllocs()
		for b.Loop() {
			f.Call(ctx, 1)
		}
	})
}
