package host_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// grants are those of the modules that were linked.
type grants struct {
	mu  sync.Mutex
	all []capability.Grant
}

func (g *grants) provider() host.Provider {
	return host.Provider{Name: "sensor.lidar", Functions: func(grant capability.Grant) executor.HostFuncs {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.all = append(g.all, grant)
		return executor.HostFuncs{Name: "sensor.lidar", New: func() ([]executor.HostFunc, func()) { return nil, nil }}
	}}
}

// last returns the region that the last module was granted.
func (g *grants) last() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[len(g.all)-1].Env["REGION"]
}

const (
	lidar  = "[[tenant]]\nname = \"ann\"\nhost = [\"sensor.*\"]\nenv = {REGION = \"eu\"}\n"
	lidars = "[[tenant]]\nname = \"ann\"\nhost = [\"sensor.*\"]\nenv = {REGION = \"us\"}\n"
	none   = "[default]\nhost = []\n"
	metred = lidar + "meter = true\n"
)

// askingForLidar is an engine whose modules ask for a sensor and a variable. Calls that say "hi" wait
// for hold where it is not nil.
func askingForLidar(hold *chan struct{}) native.Engine {
	engine := echoEngine
	engine.Manifest = capability.Manifest{Host: []string{"sensor.lidar"}, Env: []string{"REGION"}}
	engine.Functions = func() []native.Func {
		echo := func(_ context.Context, request, dst []byte) ([]byte, error) {
			if *hold != nil {
				<-*hold
			}
			return append(append(dst, byte(abi.OK)), request...), nil
		}
		return []native.Func{echo, echo, echo}
	}
	return engine
}

// A policy that changes holds for the modules of living tenants: calls that run end as they began, and
// later ones have what is granted then.
func TestPolicyChangesUnderCalls(t *testing.T) {
	var hold chan struct{}
	var g grants
	cfg := host.Config{Engine: askingForLidar(&hold), Policy: policy(t, lidar), Functions: []host.Provider{g.provider()}}
	serve(t, cfg, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ann := conns[0]
		ask(t, ann, put(wasm), true)
		wantEcho(t, "before", ask(t, ann, call(wasm), true))
		h.SetPolicy(policy(t, lidars))
		wantEcho(t, "with another value", ask(t, ann, call(wasm), true))
		if got := g.last(); got != "us" {
			t.Errorf("the module was granted %q, want us", got)
		}
		if m := h.Tenants()[0].Holding.Modules; m != 1 {
			t.Errorf("%d modules are counted, want 1", m)
		}

		hold = make(chan struct{})
		running := make(chan []byte)
		for range 3 {
			go func() { running <- ask(t, ann, call(wasm), true) }()
		}
		sleep()
		h.SetPolicy(policy(t, none))
		wantFail(t, "once it is not granted", ask(t, ann, call(wasm), true), offload.CodeNoModule)
		answer := ask(t, ann, put(wasm), true)
		wantFail(t, "brought again", answer, offload.CodeDenied)
		if !bytes.Contains(answer, []byte("edge.toml:2")) {
			t.Errorf("the refusal %q does not name the line that decides now", answer)
		}
		close(hold)
		for range 3 {
			wantEcho(t, "that was running", <-running)
		}
		hold = nil
		h.SetPolicy(policy(t, lidar))
		ask(t, ann, put(wasm), true)
		wantEcho(t, "granted again", ask(t, ann, call(wasm), true))
		h.SetPolicy(policy(t, metred))
		wantFail(t, "once it must be metered", ask(t, ann, call(wasm), true), offload.CodeNoModule)
		ask(t, ann, put(wasm), true)
		wantEcho(t, "metered", ask(t, ann, call(wasm), true))
		if m := h.Tenants()[0].Holding; m.Modules != 1 {
			t.Errorf("%+v is held; want 1 module", m)
		}
	})
}

// A policy that comes while a module is being loaded decides about it.
func TestPolicyChangesUnderALoad(t *testing.T) {
	unlisted := lidar + "modules = []\n"
	for text, want := range map[string]offload.Code{none: offload.CodeDenied, unlisted: offload.CodeDenied, metred: offload.CodeNoModule} {
		var hold chan struct{}
		loading := make(chan struct{})
		engine := askingForLidar(&hold)
		engine.Check = func(executor.Source) error {
			<-loading
			return nil
		}
		var g grants
		cfg := host.Config{Engine: engine, Policy: policy(t, lidar), Functions: []host.Provider{g.provider()}}
		serveOver(t, link.QUIC, cfg, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
			loading = make(chan struct{})
			answer := make(chan []byte)
			go func() { answer <- ask(t, conns[0], put(wasm), true) }()
			sleep()
			h.SetPolicy(policy(t, text))
			loading <- struct{}{}
			if want == offload.CodeNoModule { // it was loaded without a meter, and is loaded again
				go func() { loading <- struct{}{} }()
				var m wire.Loaded
				if err := wire.ExpectControl(bytes.NewReader(<-answer), wire.TypeLoaded, &m); err != nil || !m.Ready {
					t.Errorf("%+v, %v; want that it is loaded with a meter", m, err)
				}
				return
			}
			wantFail(t, "a module that is not granted any more", <-answer, want)
		})
	}
}

// A module that the policy does not have its tenant run is refused before it is loaded, and is
// unloaded when a later policy has it no more.
func TestPolicySaysWhichModules(t *testing.T) {
	digest := fmt.Sprintf("%x", sha256.Sum256(wasm))
	refusal := `tenant "ann" is not granted modules "` + digest + `": edge.toml:3 decides; it could have modules = ["` + digest + `"]`
	without, with := onlyFor("ffffffffffffffff"), onlyFor(digest[:16])
	var loads atomic.Int32
	engine := echoEngine
	engine.Check = func(executor.Source) error { loads.Add(1); return nil }
	cfg := host.Config{Engine: engine, Policy: policy(t, without)}
	serve(t, cfg, []string{"ann", "bob"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ann, bob := conns[0], conns[1]
		loads.Store(0)
		refused := func(what string) {
			t.Helper()
			have := wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: sha256.Sum256(wasm)})
			for frame, request := range map[string][]byte{"Have": have, "Put": put(wasm)} {
				answer := ask(t, ann, request, true)
				wantFail(t, what+": "+frame, answer, offload.CodeDenied)
				if !bytes.Contains(answer, []byte(refusal)) {
					t.Errorf("%s: %s is refused with %q; want %s", what, frame, answer, refusal)
				}
			}
			wantFail(t, what+": a call", ask(t, ann, call(wasm), true), offload.CodeNoModule)
		}
		greet(t, ann, 7)
		refused("at first")
		if n := loads.Load(); n != 0 {
			t.Errorf("the module was loaded %d times before it was refused", n)
		}
		ask(t, bob, put(wasm), true)
		wantEcho(t, "another tenant", ask(t, bob, call(wasm), true))

		h.SetPolicy(policy(t, with))
		ask(t, ann, put(wasm), true)
		wantEcho(t, "once it is granted", ask(t, ann, call(wasm), true))
		wantFail(t, "another module", ask(t, ann, put(module(1)), true), offload.CodeDenied)
		far, fail := attach(t, ann, 1)
		if fail != nil {
			t.Fatal(fail)
		}

		h.SetPolicy(policy(t, without))
		refused("not any more")
		wantEcho(t, "the other tenant", ask(t, bob, call(wasm), true))
		typ, err := wire.ReadType(far)
		halt, err2 := wire.ReadHalt(far)
		if typ != wire.TypeHalt || err != nil || err2 != nil || halt.Fail.Code != offload.CodeDraining {
			t.Errorf("frame 0x%02x with %+v, %v, %v; want a Halt that tells the channel to move", typ, halt, err, err2)
		}
		if _, fail := attach(t, ann, 2); fail == nil {
			t.Error("the channel came back to a module that is not granted")
		}
		time.Sleep(11 * time.Second)
		for _, tenant := range h.Tenants() {
			if tenant.Name == "ann" && (tenant.Holding.Modules != 0 || tenant.Channels != 0) {
				t.Errorf("%+v is left of what is not granted", tenant)
			}
		}
	})
}

// onlyFor is a policy by which ann runs one module only.
func onlyFor(digest string) string {
	return "[[tenant]]\nname = \"ann\"\nmodules = [\"" + digest + "\"]\n"
}

// A channel whose module's grant has changed is told to move, may come back at once, and is ended if it
// stays. One whose grant is the same stays.
func TestPolicySendsChannelsAway(t *testing.T) {
	var hold chan struct{}
	var g grants
	cfg := host.Config{Engine: askingForLidar(&hold), Policy: policy(t, lidar), Functions: []host.Provider{g.provider()}}
	serve(t, cfg, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ann := conns[0]
		greet(t, ann, 7)
		ask(t, ann, put(wasm), true)
		old, fail := attach(t, ann, 1)
		if fail != nil {
			t.Fatal(fail)
		}
		h.SetPolicy(policy(t, "# a line more\n"+lidar+"quota.modules = 3\n")) // of the grant itself nothing changes
		if got := message(t, old, 1, "stays"); got != "stays" {
			t.Errorf("a channel whose grant is the same answers %q", got)
		}
		h.SetPolicy(policy(t, lidars))
		typ, err := wire.ReadType(old)
		halt, err2 := wire.ReadHalt(old)
		if typ != wire.TypeHalt || err != nil || err2 != nil || halt.Fail.Code != offload.CodeDraining {
			t.Fatalf("frame 0x%02x with %+v, %v, %v; want a Halt that tells it to move", typ, halt, err, err2)
		}
		if got := message(t, old, 2, "still"); got != "still" {
			t.Errorf("while it leaves it answers %q", got)
		}
		again, fail := attach(t, ann, 2)
		if fail != nil {
			t.Fatal(fail)
		}
		if got := g.last(); got != "us" {
			t.Errorf("it came back to a module that was granted %q, want us", got)
		}
		begin := time.Now()
		if _, err := io.ReadAll(old); err == nil {
			t.Error("the channel that stays was closed in order, want a reset")
		}
		if took := time.Since(begin); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("it was ended after %v, want 10 s", took)
		}
		if got := message(t, again, 1, "here"); got != "here" {
			t.Errorf("the one that came back answers %q", got)
		}
		if m := h.Tenants()[0]; m.Channels != 1 || m.Holding.Modules != 1 {
			t.Errorf("%+v; want 1 channel and 1 module", m)
		}
	})
}

// Quotas hold at once, in both directions, and nothing that is held is taken away.
func TestQuotasChange(t *testing.T) {
	cfg := host.Config{Policy: policy(t, "[default.quota]\nchannels = 1\nconnections = 2\n"), Channels: 16}
	serve(t, cfg, []string{"ann", "ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ann := conns[0]
		greet(t, ann, 7)
		ask(t, ann, put(wasm), true)
		channel := func(id uint64, ok bool, why string) {
			t.Helper()
			if _, fail := attach(t, ann, id); (fail == nil) != ok {
				t.Errorf("%s: %v", why, fail)
			}
		}
		channel(1, true, "the first of one")
		channel(2, false, "the second of one")
		h.SetPolicy(policy(t, "[default.quota]\nchannels = 3\n"))
		channel(2, true, "the second of three")
		channel(3, true, "the third of three")
		channel(4, false, "the fourth of three")
		h.SetPolicy(policy(t, "[default.quota]\nchannels = 2\nconnections = 1\n"))
		channel(4, false, "another of two, with three there")
		if n := h.Tenants()[0].Channels; n != 3 {
			t.Errorf("%d channels are left, want the 3 that there were", n)
		}
		wantEcho(t, "the connection over the quota", ask(t, conns[1], call(wasm), true))
	})
}

// SetPolicy beside calls, loads and the end of the host.
func TestPolicyHammer(t *testing.T) {
	var hold chan struct{}
	var g grants
	cfg := host.Config{Engine: askingForLidar(&hold), Policy: policy(t, lidar), Functions: []host.Provider{g.provider()}}
	serve(t, cfg, []string{"ann", "ann", "bob"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		greet(t, conns[0], 7)
		policies := []*capability.Policy{policy(t, lidars), policy(t, none), policy(t, lidar), policy(t, metred)}
		var wg sync.WaitGroup
		for i, c := range conns {
			wg.Go(func() {
				for n := range 40 {
					ask(t, c, put(module(n%2)), true)
					ask(t, c, call(module(n%2)), true)
					if i == 0 {
						attachTo(t, c, uint64(n)+1, module(n%2))
					}
				}
			})
		}
		wg.Go(func() {
			for n := range 60 {
				h.SetPolicy(policies[n%len(policies)])
				time.Sleep(time.Millisecond)
			}
		})
		wg.Wait()
		go h.SetPolicy(policies[0])
		h.Close()
		h.SetPolicy(policies[1])
	})
}
