package host_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// network is a provider whose stand-in takes 30 ms, or until it is stopped, for modules that are granted a network.
var network = host.Provider{
	Name:      "network",
	Functions: func(capability.Grant) executor.HostFuncs { return executor.HostFuncs{Name: "network"} },
	StandIn: func(g capability.Grant) host.StandIn {
		if len(g.Models) == 0 {
			return nil
		}
		return func(ctx context.Context) (time.Duration, error) {
			t := time.NewTimer(30 * time.Millisecond)
			defer t.Stop()
			select {
			case <-t.C:
				return 30 * time.Millisecond, nil
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
	},
}

// inNetworkLand runs f with a host of one core that has wasm, whose manifest is given, and a UE that may call it.
func inNetworkLand(t *testing.T, m capability.Manifest, wasm []byte, f func(t *testing.T, b *boss, c *link.Conn)) {
	engine := sleeper
	engine.Manifest = m
	inLandOf(t, func(cfg *host.Config) {
		cfg.Engine, cfg.Calls, cfg.Functions = engine, 1, []host.Provider{network}
		cfg.Policy = policy(t, "[default]\nhost = [\"network\"]\nmodels = [\"*\"]\n")
	}, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", func(l *lease.Lease) { l.Module = sha256.Sum256(wasm) })
		c, err := w.ue("headset", token)
		if err != nil {
			t.Fatal(err)
		}
		if a := ask(t, c, put(wasm), true); wire.Type(a[0]) != wire.TypeLoaded {
			t.Fatalf("put is answered with %q", a)
		}
		f(t, b, c)
	})
}

// usesNetwork is the manifest of a module that names a network.
var usesNetwork = capability.Manifest{Host: []string{"network"}, Models: []string{"net"}}

// A module that does not say what it is probed with, and names a network, is probed with that; the host says so, and counts a tenth more
// for what that leaves out.
func TestProbeOfStandIn(t *testing.T) {
	tests := []struct {
		name     string
		manifest capability.Manifest
		wasm     []byte
		took     time.Duration // 0: it is not known
		standIn  bool
	}{
		{"a network", usesNetwork, []byte(preamble), 33 * time.Millisecond, true},
		{"a network, and a section", usesNetwork, probed(t, capability.Probe{Request: []byte("20ms")}), 20 * time.Millisecond, false},
		{"neither", capability.Manifest{Host: []string{"network"}}, []byte(preamble), 0, false},
	}
	for _, tt := range tests {
		inNetworkLand(t, tt.manifest, tt.wasm, func(t *testing.T, b *boss, _ *link.Conn) {
			did := probe(b, tt.wasm, 3)
			if tt.took == 0 {
				if !did.Failed {
					t.Errorf("%s: %+v, want that nothing is known", tt.name, did)
				}
				return
			}
			if did.Failed || len(did.Samples) != 3 || did.Samples[0] != tt.took || strings.Contains(did.Why, "stand-in") != tt.standIn {
				t.Errorf("%s: %+v, want 3 samples of %v; of a stand-in: %v", tt.name, did, tt.took, tt.standIn)
			}
		})
	}
}

// A call does not wait for a stand-in, which is then answered with the calls that there were.
func TestStandInGivesWay(t *testing.T) {
	wasm := []byte(preamble)
	inNetworkLand(t, usesNetwork, wasm, func(t *testing.T, b *boss, c *link.Conn) {
		alone := time.Now()
		ask(t, c, call(wasm), true)
		want := time.Since(alone)
		answer := make(chan wire.Did, 1)
		go func() { answer <- probe(b, wasm, 1) }()
		time.Sleep(10 * time.Millisecond) // in the run
		begin := time.Now()
		if a := ask(t, c, call(wasm), true); !strings.HasSuffix(string(a), "hi") {
			t.Errorf("a call beside a stand-in is answered with %q", a)
		}
		if took := time.Since(begin); took > want+time.Millisecond {
			t.Errorf("a call beside a stand-in takes %v, and %v alone", took, want)
		}
		if did := <-answer; did.Failed || len(did.Samples) != 1 || did.Samples[0] != 10*time.Millisecond || strings.Contains(did.Why, "stand-in") {
			t.Errorf("a stand-in that was stopped is answered with %+v, want the call of 10ms before", did)
		}
	})
}
