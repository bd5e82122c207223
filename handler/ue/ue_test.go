package ue_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/route"
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
		h := w.startUE(policy.Toggle{Every: 50}, nil)
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

// A short silence, such as a radio fade, is over with the first pong.
func TestShortFadeNeedsNoNewConnection(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("fade", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUE(policy.Always(policy.OnEdge), nil)
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
		h := w.startUE(policy.Always(policy.OnEdge), nil)
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
		h := w.startUE(policy.Always(policy.OnEdge), nil)
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

// A policy that changes takes a module away from the host, with nothing that the application sees, and
// gives it back.
func TestPolicyTakesAModuleAndGivesItBack(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("region", true, double)
		w.engine.set(f.Serve, nil)
		parsed := func(text string) *capability.Policy {
			p, err := capability.ParsePolicy("edge.toml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		granted := parsed("[default]\nenv = {REGION = \"eu\"}\n")
		w.startHost(func(c *host.Config) {
			c.Policy = granted
			c.Engine = native.Engine{Functions: w.engine.functions, Manifest: capability.Manifest{Env: []string{"REGION"}}}
		})
		h := w.startUE(policy.Always(policy.OnEdge), nil)
		w.ready(h, &f.Desc)
		calls := func(edge uint64, when string) {
			t.Helper()
			before := h.Stats().Edge
			for n := range int64(5) {
				if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
					t.Errorf("%s: %d, %v; want %d", when, got, err, 2*n)
				}
			}
			if n := h.Stats().Edge - before; n != edge {
				t.Errorf("%s: %d of 5 calls ran on the edge host, want %d", when, n, edge)
			}
		}
		calls(5, "granted")
		w.edge.h.SetPolicy(parsed(""))
		time.Sleep(10 * time.Millisecond)
		calls(0, "taken away")
		time.Sleep(time.Second)
		calls(0, "refused")
		w.edge.h.SetPolicy(granted)
		time.Sleep(2 * time.Minute)
		w.ready(h, &f.Desc)
		calls(5, "given back")
	})
}

func TestPeersThatCannotTalk(t *testing.T) {
	tests := []struct {
		name string
		ue   func(*tls.Config)
		host func(*host.Config)
		want error
	}{
		{"another version", func(c *tls.Config) { c.NextProtos = []string{"bungee/0"} }, nil, link.ErrVersion},
		{"the host is of another authority", nil, func(c *host.Config) { c.TLS = mustTLS(t, stranger(t), identity.Host) }, link.ErrIdentity},
		{"the UE is of another authority", func(c *tls.Config) { c.Certificates = mustTLS(t, stranger(t), identity.UE).Certificates }, nil, link.ErrIdentity},
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
				h := w.startUE(policy.Always(policy.OnEdge), tt.ue)
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
		h := w.startUE(policy.Always(policy.OnEdge), nil)
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
		h := w.startUE(policy.Always(policy.OnEdge), nil)
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
		h := w.startUE(policy.Toggle{Every: 7}, nil)
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
		h := w.startUE(policy.Always(policy.OnEdge), nil)
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

// The native path costs some tens of nanoseconds over the plain call (BenchmarkLocalCall) and allocates nothing.
func TestNativePathAllocatesNothing(t *testing.T) {
	for _, p := range []policy.Policy{policy.Toggle{}, policy.Always(policy.OnUE), policy.WhenReady{}, policy.Threshold{}, policy.Adaptive{}} {
		f := doubler("allocs", true, double)
		h, err := ue.Start(t.Context(), ue.Config{Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if n := testing.AllocsPerRun(1000, func() { f.Call(ctx, 1) }); n != 0 {
			t.Errorf("%T: %v allocations a call, want 0", p, n)
		}
		h.Close()
	}
}

// Calls share how they run for as long as the decision is the same, and no longer.
func TestCallsShareAWay(t *testing.T) {
	f := doubler("shared", true, double)
	h, err := ue.Start(t.Context(), ue.Config{Policy: policy.Toggle{Every: 3}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	r := route.Use(nil)
	route.Use(r)
	var ways [9]*route.Way
	for i := range ways {
		ways[i] = r.Route(&f.Desc)
		turn := i / 3
		if fell := ways[i].Fallback != nil; fell != (turn == 1) || ways[i].Caller != nil || ways[i].Why.A != float32(turn) {
			t.Errorf("call %d runs by %+v; want turn %d, without an edge host", i, ways[i], turn)
		}
	}
	if ways[0] != ways[2] || ways[6] != ways[8] || ways[0] == ways[6] {
		t.Errorf("the ways are %p; want one for each turn here", ways)
	}
}

// A broken policy breaks no call: what it leaves undecided runs natively, and the log names it once.
func TestPolicyThatPanicsIsReplaced(t *testing.T) {
	f := doubler("broken", true, double)
	var log strings.Builder
	h, err := ue.Start(t.Context(), ue.Config{Policy: brokenPolicy{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for n := range int64(10) {
		if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
			t.Errorf("call %d: %d, %v", n, got, err)
		}
	}
	if got := h.Stats(); got.Calls != 10 || got.Fallbacks != 0 {
		t.Errorf("%+v; want 10 calls, no fallback", got)
	}
	if n := strings.Count(log.String(), "ue_test.brokenPolicy"); n != 1 || !strings.Contains(log.String(), "seven") {
		t.Errorf("the policy is named %d times, want once:\n%s", n, log.String())
	}
}

// brokenPolicy panics at the seventh call.
type brokenPolicy struct{}

func (brokenPolicy) Decide(c policy.Call, v *policy.View) policy.Decision {
	if v.Functions[c.Function].Name == "broken" && c.Number == 7 {
		panic("seven")
	}
	return policy.Decision{}
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
		h, err := ue.Start(ctx, ue.Config{Policy: policy.Toggle{}})
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
