package host_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

func policy(t *testing.T, text string) *capability.Policy {
	t.Helper()
	p, err := capability.ParsePolicy("edge.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What one tenant has brought is not there for another, who cannot even learn that
// it is there.
func TestTenantsShareNothing(t *testing.T) {
	var loaded []string
	engine := echoEngine
	engine.Check = func(src executor.Source) error {
		if _, err := src.Read(); err != nil {
			return err
		}
		loaded = append(loaded, src.Tenant)
		return nil
	}
	serveOver(t, link.QUIC, host.Config{Engine: engine}, []string{"ann", "bob", "ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ann, bob, again := conns[0], conns[1], conns[2]
		ask(t, ann, put(wasm), true)
		wantEcho(t, "its owner", ask(t, ann, call(wasm), true))
		wantEcho(t, "another connection of the owner", ask(t, again, call(wasm), true))
		wantFail(t, "another tenant", ask(t, bob, call(wasm), true), offload.CodeNoModule)
		have := wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: sha256.Sum256(wasm)})
		var m wire.Loaded
		if err := wire.ExpectControl(bytes.NewReader(ask(t, bob, have, true)), wire.TypeLoaded, &m); err != nil || m.Ready {
			t.Errorf("another tenant asked for it and got %+v, %v; want that it is not there", m, err)
		}
		ask(t, bob, put(wasm), true)
		wantEcho(t, "another tenant that brought its own", ask(t, bob, call(wasm), true))
		if fmt.Sprint(loaded) != "[ann bob]" {
			t.Errorf("loaded for %v, want once for each tenant", loaded)
		}
	})
}

// The bills of sessions, tenants and the host add up, also when a session has ended.
func TestBillsAddUp(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	serve(t, host.Config{Logger: logger}, []string{"ann", "bob"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		for i, c := range conns {
			greet(t, c, 7)
			ask(t, c, put(wasm), true)
			for range 3 + i {
				wantEcho(t, "call", ask(t, c, call(wasm), true))
			}
		}
		far, fail := attach(t, conns[0], 1)
		if fail != nil {
			t.Fatal(fail)
		}
		message(t, far, 1, "hello")
		tenants := h.Tenants()
		if len(tenants) != 2 || tenants[0].Name != "ann" || tenants[0].Bill.Calls != 4 || tenants[1].Bill.Calls != 4 {
			t.Fatalf("tenants %+v; want ann with 3 calls and a message, bob with 4 calls", tenants)
		}
		if b := tenants[0].Bill; b.BytesIn != 3*2+5 || b.BytesOut != 3*2+5 {
			t.Errorf("ann's bill is %+v; want 11 bytes in and out", b)
		}
		if n := tenants[0].Channels; n != 1 {
			t.Errorf("ann has %d channels, want 1", n)
		}
		conns[0].Close("")
		sleep()
		if sum := h.Bill(); sum.Calls != 8 {
			t.Errorf("the host counted %d calls, want 8", sum.Calls)
		}
		if !strings.Contains(log.String(), "msg=bill tenant=ann session=ann/ann/7 bill.calls=4 bill.bytes_in=11 bill.bytes_out=11") {
			t.Errorf("the log has no bill of ann's session:\n%s", log.String())
		}
	})
}

func TestPolicyDecides(t *testing.T) {
	engine := echoEngine
	engine.Manifest = capability.Manifest{Host: []string{"sensor.lidar"}}
	cfg := host.Config{Engine: engine, Policy: policy(t, "[[tenant]]\nname = \"ann\"\nhost = [\"sensor.*\"]\n")}
	serve(t, cfg, []string{"ann", "bob"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ask(t, conns[0], put(wasm), true)
		wantEcho(t, "who is granted it", ask(t, conns[0], call(wasm), true))
		answer := ask(t, conns[1], put(wasm), true)
		wantFail(t, "who is not", answer, offload.CodeDenied)
		for _, word := range []string{"sensor.lidar", "bob", "policy"} {
			if !bytes.Contains(answer, []byte(word)) {
				t.Errorf("the refusal %q does not say %q", answer, word)
			}
		}
	})
}

func TestQuotasOfATenant(t *testing.T) {
	cfg := host.Config{Policy: policy(t, "[default.quota]\nmodules = 1\nchannels = 1\n")}
	serve(t, cfg, []string{"ann", "bob"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ann, bob := conns[0], conns[1]
		greet(t, ann, 7)
		greet(t, bob, 7)
		ask(t, ann, put(module(0)), true)
		ask(t, bob, put(module(0)), true)
		if _, fail := attachTo(t, ann, 1, module(0)); fail != nil {
			t.Fatal(fail)
		}
		if _, fail := attachTo(t, ann, 2, module(0)); fail == nil || fail.Code != offload.CodeOverloaded {
			t.Errorf("second channel of one: %v", fail)
		}
		if _, fail := attachTo(t, bob, 1, module(0)); fail != nil {
			t.Errorf("the other tenant's channel: %v", fail)
		}
		wantFail(t, "second module of one, the first in use", ask(t, ann, put(module(1)), true), offload.CodeOverloaded)
		wantEcho(t, "the first", ask(t, ann, call(module(0)), true))
	})
}

// A tenant that floods the host with modules evicts its own, not those of others.
func TestTenantsKeepTheirModules(t *testing.T) {
	serve(t, host.Config{}, []string{"ann", "bob"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		ask(t, conns[1], put(wasm), true)
		for i := range 5 {
			ask(t, conns[0], put(module(i)), true)
		}
		wantEcho(t, "the neighbour's module", ask(t, conns[1], call(wasm), true))
		wantEcho(t, "the flood's last module", ask(t, conns[0], call(module(4)), true))
	})
}

// A flood of one tenant's calls fills its own queue.
func TestTenantsQueueForThemselves(t *testing.T) {
	var release chan struct{} // made in the bubble of its test
	engine := native.Engine{Functions: func() []native.Func {
		return []native.Func{func(ctx context.Context, request, dst []byte) ([]byte, error) {
			<-release
			return append(append(dst, byte(executor.StatusOK)), request...), nil
		}}
	}}
	cfg := host.Config{Engine: engine, Calls: 1, Waiting: 1}
	serve(t, cfg, []string{"ann", "bob"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		release = make(chan struct{})
		ask(t, conns[0], put(wasm), true)
		ask(t, conns[1], put(wasm), true)
		answers := make(chan []byte)
		for range 2 {
			go func() { answers <- ask(t, conns[0], call(wasm), true) }()
		}
		sleep()
		wantFail(t, "third call of a tenant that may have two", ask(t, conns[0], call(wasm), true), offload.CodeOverloaded)
		go func() { answers <- ask(t, conns[1], call(wasm), true) }()
		sleep()
		close(release)
		for range 3 {
			wantEcho(t, "a call within its bounds", <-answers)
		}
	})
}

// sleep lets a second pass, in virtual time: all that can happen has.
func sleep() { time.Sleep(time.Second) }
