package host_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// sleeper's function 0 takes as long as its request says, or until it is stopped, and 10 ms for one that says
// nothing. Its function 1 answers with an error, and function 2 panics.
var sleeper = native.Engine{
	Check: func(src executor.Source) error { _, err := src.Read(); return err },
	Functions: func() []native.Func {
		sleep := func(ctx context.Context, request, dst []byte) ([]byte, error) {
			d, err := time.ParseDuration(string(request))
			if err != nil {
				d = 10 * time.Millisecond
			}
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-t.C:
				return append(append(dst, byte(abi.OK)), "hi"...), nil
			case <-ctx.Done():
				return nil, executor.ErrCanceled
			}
		}
		fail := func(_ context.Context, _, dst []byte) ([]byte, error) { return append(dst, byte(abi.Error), 0), nil }
		fall := func(context.Context, []byte, []byte) ([]byte, error) { panic("function 2") }
		return []native.Func{sleep, fail, fall}
	},
}

// preamble is the smallest module.
const preamble = "\x00asm\x01\x00\x00\x00"

func probed(t *testing.T, probes ...capability.Probe) []byte {
	t.Helper()
	wasm, err := capability.AppendProbes([]byte(preamble), probes)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// inProbeLand runs f with a host of so many cores that has wasm, and a UE that may call it.
func inProbeLand(t *testing.T, cores int, wasm []byte, f func(t *testing.T, w *land, b *boss, c *link.Conn)) {
	inLandOf(t, func(cfg *host.Config) { cfg.Engine, cfg.Calls = sleeper, cores }, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", func(l *lease.Lease) { l.Module = sha256.Sum256(wasm) })
		c, err := w.ue("headset", token)
		if err != nil {
			t.Fatal(err)
		}
		if a := ask(t, c, put(wasm), true); wire.Type(a[0]) != wire.TypeLoaded {
			t.Fatalf("put is answered with %q", a)
		}
		f(t, w, b, c)
	})
}

func probe(b *boss, wasm []byte, n int) wire.Did { return probeFor(b, wasm, n, "") }

// probeFor has the host probe a module of the tenant of a UE with that ID.
func probeFor(b *boss, wasm []byte, n int, who string) wire.Did {
	return b.order(wire.Order{Kind: wire.OrderProbe, Module: sha256.Sum256(wasm), N: n, Who: who})
}

// A module says what it is probed with. Its runs are no calls of a UE.
func TestProbe(t *testing.T) {
	wasm := probed(t, capability.Probe{Request: []byte("20ms")}, capability.Probe{Request: []byte("5ms")})
	inProbeLand(t, 2, wasm, func(t *testing.T, w *land, b *boss, _ *link.Conn) {
		for _, n := range []int{1, 4, 1000} {
			did := probe(b, wasm, n)
			if did.Failed || len(did.Samples) != min(n, 16) {
				t.Errorf("%d runs: %+v", n, did)
			}
			for i, s := range did.Samples {
				if want := []time.Duration{20 * time.Millisecond, 5 * time.Millisecond}[i%2]; s != want {
					t.Errorf("run %d took %v, want %v", i, s, want)
				}
			}
		}
		m := b.nextBeat().Modules
		if len(m) != 1 || m[0].Calls != 0 || m[0].S != 0 {
			t.Errorf("the beat has %+v, and no UE has called", m)
		}
		for _, tenant := range w.h.Tenants() {
			if tenant.Bill.Calls != 0 {
				t.Errorf("tenant %q pays for %d calls, and has made none", tenant.Name, tenant.Bill.Calls)
			}
		}
		if did := probe(b, wasm, 0); !did.Failed {
			t.Errorf("no run at all: %+v", did)
		}
	})
}

// A core that a probe has is free to calls, and so it is to the manager.
func TestProbeIsNoLoad(t *testing.T) {
	wasm := probed(t, capability.Probe{Request: []byte("200ms")})
	inProbeLand(t, 2, wasm, func(t *testing.T, _ *land, b *boss, c *link.Conn) {
		b.beat = 100 * time.Millisecond // one comes during the probe
		b.adopt()
		long := append(wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(wasm), Size: 2}), "3s"...)
		called := make(chan struct{})
		for calls := range 2 {
			answer := make(chan wire.Did)
			go func() { answer <- probe(b, wasm, 1) }()
			time.Sleep(20 * time.Millisecond)
			if calls > 0 { // a probe has the first instance
				go func() { ask(t, c, long, true); close(called) }()
				time.Sleep(20 * time.Millisecond)
			}
			beat := b.nextBeat()
			if did := <-answer; beat.Turns != calls || len(did.Samples) != 1 {
				t.Errorf("with %d calls, the host tells of %d turns in use while it is probed, which is answered with %+v", calls, beat.Turns, did)
			}
		}
		<-called
	})
}

// A probe is answered within the 500 ms that a manager waits.
func TestProbeIsShort(t *testing.T) {
	tests := []struct {
		run     string
		samples int
	}{{"70ms", 6}, {"249ms", 1}, {"449ms", 1}, {"1h", 0}}
	for _, tt := range tests {
		wasm := probed(t, capability.Probe{Request: []byte(tt.run)})
		inProbeLand(t, 2, wasm, func(t *testing.T, _ *land, b *boss, c *link.Conn) {
			begin := time.Now()
			did := probe(b, wasm, 16)
			if took := time.Since(begin); took > 500*time.Millisecond || len(did.Samples) != tt.samples {
				t.Errorf("runs of %s: %+v after %v, want %d samples", tt.run, did, took, tt.samples)
			}
			if tt.samples > 0 {
				return
			}
			if !did.Failed || did.Code != offload.CodeDeadline {
				t.Errorf("a run that does not end, of a module that was never called: %+v", did)
			}
			ask(t, c, call(wasm), true)
			if did := probe(b, wasm, 16); did.Failed || len(did.Samples) != 1 || did.Samples[0] != 10*time.Millisecond {
				t.Errorf("a run that does not end, of a module that was called: %+v", did)
			}
		})
	}
}

// A call does not wait for a probe: neither for its core nor for its instance.
func TestProbeGivesWay(t *testing.T) {
	for _, cores := range []int{1, 2} {
		wasm := probed(t, capability.Probe{Request: []byte("100ms")})
		inProbeLand(t, cores, wasm, func(t *testing.T, _ *land, b *boss, c *link.Conn) {
			alone := time.Now()
			ask(t, c, call(wasm), true)
			want := time.Since(alone)
			answers := make(chan wire.Did)
			go func() { answers <- probe(b, wasm, 16) }()
			time.Sleep(150 * time.Millisecond) // in the second run
			begin := time.Now()
			done := make(chan bool)
			for range cores {
				go func() { done <- strings.HasSuffix(string(ask(t, c, call(wasm), true)), "hi") }()
			}
			for range cores {
				if !<-done {
					t.Error("a call beside a probe is not answered")
				}
			}
			if took := time.Since(begin); took > want+time.Millisecond {
				t.Errorf("%d calls on as many cores beside a probe took %v, and without %v", cores, took, want)
			}
			if did := <-answers; did.Failed || len(did.Samples) != 1 || did.Samples[0] != 100*time.Millisecond {
				t.Errorf("a probe that was stopped in its second run is answered with %+v", did)
			}
		})
	}
}

// Where all cores are in use a probe is answered at once, with what there is.
func TestProbeOfBusyHost(t *testing.T) {
	wasm := probed(t, capability.Probe{})
	inProbeLand(t, 1, wasm, func(t *testing.T, _ *land, b *boss, c *link.Conn) {
		long := append(wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(wasm), Size: 2}), "1s"...)
		for i := range 2 {
			done := make(chan struct{})
			go func() { ask(t, c, long, true); close(done) }()
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			begin := time.Now()
			did := probe(b, wasm, 3)
			if took := time.Since(begin); took > 10*time.Millisecond {
				t.Errorf("it is answered after %v", took)
			}
			if i == 0 && (!did.Failed || did.Code != offload.CodeOverloaded) {
				t.Errorf("before a call has ended: %+v", did)
			}
			if i == 1 && (len(did.Samples) != 1 || did.Samples[0] != time.Second) {
				t.Errorf("after a call has ended: %+v", did)
			}
			<-done
		}
	})
}

// A host whose core calls want is not probed again for a while, and says how long: each probe that is stopped costs an
// instance, and a moment until the call has the core. So it is where probes have had their part of the host.
func TestProbesArePaced(t *testing.T) {
	wasm := probed(t, capability.Probe{Request: []byte("100ms")})
	inProbeLand(t, 1, wasm, func(t *testing.T, _ *land, b *boss, c *link.Conn) {
		answers := make(chan wire.Did)
		go func() { answers <- probe(b, wasm, 16) }()
		time.Sleep(10 * time.Millisecond) // in the first run
		ask(t, c, call(wasm), true)
		if did := <-answers; did.RetryAfter < 900*time.Millisecond || did.RetryAfter > time.Second {
			t.Errorf("a probe that gave way is answered with %+v, want that nothing is run for 1s", did)
		}
		for range 10 {
			begin := time.Now()
			did := probe(b, wasm, 16)
			if took := time.Since(begin); did.RetryAfter == 0 || len(did.Samples) != 1 || took > 10*time.Millisecond {
				t.Errorf("right after one that gave way, another is answered after %v with %+v, want the call of before at once", took, did)
			}
		}
		begin, ran := time.Now(), time.Duration(0)
		for time.Since(begin) < 20*time.Second {
			asked := time.Now()
			did := probe(b, wasm, 16)
			if took := time.Since(asked); took > 50*time.Millisecond {
				ran += took
			}
			time.Sleep(did.RetryAfter)
		}
		if ran < time.Second || ran > 3*time.Second {
			t.Errorf("probes without pause ran for %v in 20s, want a tenth", ran)
		}
	})
}

// A module whose probes are wrong is served, and its host says what is wrong with them.
func TestProbesThatAreWrong(t *testing.T) {
	section := func(body string) []byte {
		name := capability.ProbeSection
		return []byte(preamble + "\x00" + string(rune(1+len(name)+len(body))) + string(rune(len(name))) + name + body)
	}
	tests := []struct {
		name string
		wasm []byte
		code offload.Code
		says string
	}{
		{"cut off", section("\x00\x00\x00\x00\x09\x00\x00\x00x"), offload.CodeBadModule, "cut off"},
		{"too many", section(strings.Repeat("\x00\x00\x00\x00\x00\x00\x00\x00", 9)), offload.CodeBadModule, "more than 8"},
		{"of a function that there is not", probed(t, capability.Probe{Fn: 1 << 31}), offload.CodeInternal, "no function"},
		{"with an error", probed(t, capability.Probe{Fn: 1}), offload.CodeTrapped, "function 1"},
		{"with a panic", probed(t, capability.Probe{Fn: 2}), offload.CodeTrapped, "function 2"},
	}
	for _, tt := range tests {
		inProbeLand(t, 1, tt.wasm, func(t *testing.T, _ *land, b *boss, c *link.Conn) {
			for range 2 {
				did := probe(b, tt.wasm, 4)
				if !did.Failed || did.Code != tt.code || !strings.Contains(did.Why, tt.says) || len(did.Samples) != 0 {
					t.Errorf("%s: %+v, want code %v: %s", tt.name, did, tt.code, tt.says)
				}
			}
			if a := ask(t, c, call(tt.wasm), true); !strings.HasSuffix(string(a), "hi") {
				t.Errorf("%s: a call is answered with %q", tt.name, a)
			}
		})
	}
}

// keeping is an engine whose cache has one module, and what that is to be probed with.
type keeping struct {
	executor.Engine
	wasm []byte
}

func (e keeping) Load(ctx context.Context, src executor.Source) (executor.Module, error) {
	if src.Digest != sha256.Sum256(e.wasm) {
		return e.Engine.Load(ctx, src)
	}
	src.Wasm = func() ([]byte, error) { return e.wasm, nil }
	if src.Probes != nil {
		src.Probes(capability.OnlyProbes(e.wasm))
	}
	return e.Engine.Load(ctx, src)
}

// A host that has begun anew, with a module in its cache, is probed as before.
func TestProbeOfCachedModule(t *testing.T) {
	wasm := probed(t, capability.Probe{Request: []byte("20ms")})
	change := func(cfg *host.Config) { cfg.Engine = keeping{sleeper, wasm} }
	inLandOf(t, change, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", func(l *lease.Lease) { l.Module = sha256.Sum256(wasm) })
		if did := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: token}); did.Failed {
			t.Fatalf("prepare: %+v", did)
		}
		if did := probe(b, wasm, 2); did.Failed || len(did.Samples) != 2 || did.Samples[0] != 20*time.Millisecond {
			t.Errorf("it is answered with %+v", did)
		}
		if got := w.h.Tenants()[0].Holding.Memory; got != 4 {
			t.Errorf("the tenant holds %d bytes, want those of the request", got)
		}
	})
}

// A module that no lease has had loaded since the host began is taken from the cache for a probe, as its tenant's. It takes no other
// module's place for that.
func TestProbeLoadsCachedModule(t *testing.T) {
	wasm := probed(t, capability.Probe{Request: []byte("20ms")})
	change := func(cfg *host.Config) { cfg.Engine, cfg.Modules = keeping{sleeper, wasm}, 1 }
	inLandOf(t, change, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		for who, code := range map[string]offload.Code{"": offload.CodeNoModule, "spiffe://x/none": offload.CodeDenied} {
			if did := probeFor(b, wasm, 2, who); !did.Failed || did.Code != code {
				t.Errorf("for %q it is answered with %+v, want code %v", who, did, code)
			}
		}
		who := ueID(w, "headset").String()
		if did := probeFor(b, wasm, 2, who); did.Failed || len(did.Samples) != 2 || did.Samples[0] != 20*time.Millisecond {
			t.Fatalf("it is answered with %+v", did)
		}
		if m := b.nextBeat().Modules; len(m) != 1 || m[0].State != wire.ModuleCompiled || m[0].Calls != 0 {
			t.Errorf("the beat has %+v", m)
		}
		if got := w.h.Tenants()[0]; got.Name != "headset" || got.Holding.Modules != 1 || got.Bill.Calls != 0 {
			t.Errorf("the tenant has %+v, want one module, and no calls", got)
		}
		if did := probeFor(b, []byte("another"), 1, who); !did.Failed || did.Code != offload.CodeOverloaded {
			t.Errorf("where there is no room, it is answered with %+v", did)
		}
		if did := probeFor(b, wasm, 1, who); len(did.Samples) != 1 {
			t.Errorf("the first one has made room: %+v", did)
		}
	})
}

// A tenant holds what its modules are probed with, and no longer than these.
func TestProbesAreHeld(t *testing.T) {
	wasm := probed(t, capability.Probe{Request: make([]byte, 1000)})
	inProbeLand(t, 1, wasm, func(t *testing.T, w *land, b *boss, _ *link.Conn) {
		held := func() int64 { return w.h.Tenants()[0].Holding.Memory }
		if got := held(); got != 1000 {
			t.Errorf("the tenant holds %d bytes, want 1000", got)
		}
		w.h.SetPolicy(policy(t, "[default]\nlimits.deadline = \"1s\"\n")) // a successor shares them
		if did := probe(b, wasm, 1); held() != 1000 {
			t.Errorf("after another policy it holds %d bytes, want 1000; a probe says %+v", held(), did)
		}
		w.h.SetPolicy(policy(t, "[default]\nmeter = true\n")) // the module is unloaded
		if did := probe(b, wasm, 1); !did.Failed || did.Code != offload.CodeNoModule || held() != 0 {
			t.Errorf("without the module it holds %d bytes, want 0; a probe says %+v", held(), did)
		}
	})
}

// Where calls have all cores, no module is loaded for a probe.
func TestProbeOfBusyHostLoadsNothing(t *testing.T) {
	wasm := probed(t, capability.Probe{Request: []byte("20ms")})
	change := func(cfg *host.Config) { cfg.Engine, cfg.Calls = keeping{sleeper, wasm}, 1 }
	inLandOf(t, change, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		c, l := b.comes("headset", []byte(preamble), 0)
		done := make(chan struct{})
		go func() {
			ask(t, c, append(wire.AppendCall(nil, wire.Call{Module: l.Module, Size: 2}), "1s"...), true)
			close(done)
		}()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if did := probeFor(b, wasm, 2, l.UE); !did.Failed || did.Code != offload.CodeOverloaded || did.RetryAfter == 0 {
			t.Errorf("it is answered with %+v", did)
		}
		if m := b.nextBeat().Modules; len(m) != 1 || m[0].Module != l.Module {
			t.Errorf("the beat has modules %+v, want the one that is called", m)
		}
		<-done
		time.Sleep(time.Second)
		if did := probeFor(b, wasm, 2, l.UE); len(did.Samples) != 2 {
			t.Errorf("once the core is free it is answered with %+v", did)
		}
	})
}
