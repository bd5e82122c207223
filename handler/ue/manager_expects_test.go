package ue_test

import (
	"context"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A host is asked for when the policy would use one, and given back a minute after it would not.
func TestManagerGivesBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.engine.set(doubler("echo", true, func(_ context.Context, n int64) (int64, error) { return n, nil }).Serve, nil)
		a := w.start("edge-1", hostAddr, nil)
		defer a.stop()
		m := w.startManager(func(m *offloadManager, _ *control.Conversation, f wire.ManagerFrame) {
			if f, ok := f.(wire.Ask); ok {
				m.place(f.Session, wire.Place{Primary: placed("edge-1", hostAddr)})
			}
		})
		defer m.stop()
		h := w.startManaged(ue.Need{})
		defer h.Close()
		f := same("echo")
		run := func(d time.Duration) {
			for begin := time.Now(); time.Since(begin) < d; time.Sleep(100 * time.Millisecond) {
				if _, err := f.Call(t.Context(), 5); err != nil {
					t.Fatal(err)
				}
			}
		}
		h.SetPolicy(policy.Always(policy.OnUE))
		run(10 * time.Second)
		if n := len(all[wire.Ask](m)); n != 0 {
			t.Errorf("asked %d times for what the policy never uses", n)
		}
		h.SetPolicy(policy.WhenReady{})
		run(5 * time.Second)
		calls(t, f, true)
		h.SetPolicy(policy.Always(policy.OnUE))
		run(50 * time.Second)
		if n := len(all[wire.Bye](m)); n != 0 || len(h.Stats().Links) == 0 {
			t.Errorf("given back after less than a minute: %d times", n)
		}
		run(30 * time.Second)
		if n := len(all[wire.Bye](m)); n != 1 || len(h.Stats().Links) != 0 {
			t.Errorf("given back %d times, and %d connections are left", n, len(h.Stats().Links))
		}
		asks := len(all[wire.Ask](m))
		h.SetPolicy(policy.WhenReady{})
		run(5 * time.Second)
		if n := len(all[wire.Ask](m)); n != asks+1 {
			t.Errorf("asked %d times again, want once", n-asks)
		}
		calls(t, f, true)
		if err := h.Require(&f.Desc, policy.Requirements{Private: true}); err != nil {
			t.Error(err)
		}
		run(2 * time.Minute)
		if n := len(all[wire.Bye](m)); n != 2 {
			t.Errorf("given back %d times; want that private calls need no host", n)
		}
	})
}

// What functions require is asked of the manager.
func TestManagerHearsWhatIsRequired(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
		h, f := w.startPlaced()
		defer h.Close()
		h.Require(&f.Desc, policy.Requirements{Latency: 77 * time.Millisecond, Rate: 30, Price: 2})
		time.Sleep(time.Second)
		if n := last[wire.Ask](m).Need; n.Latency != 77*time.Millisecond || n.Rate != 30 || n.Price != 2 {
			t.Errorf("asked for %+v", n)
		}
	})
}
