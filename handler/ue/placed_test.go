package ue_test

import (
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A handler tells where the manager has placed a module, why, and how far the hosts are that it has measured.
func TestPlacementTellsWhatTheManagerSays(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
		h := w.startManaged(ue.Need{})
		defer h.Close()
		f := same("echo")
		if p := h.Placement(&f.Desc); p.Session != 0 || p.Number != 0 {
			t.Errorf("before anything was asked: %+v", p)
		}
		w.ready(h, &f.Desc)
		session := last[wire.Ask](m).Session
		p := h.Placement(&f.Desc)
		if p.Manager == "" || p.Session != session || p.Number == 0 || p.Primary != "edge-1" || p.Standby != "edge-2" || p.Measured != 1 || len(p.Near) != 2 {
			t.Errorf("%+v; want session %d on edge-1, with edge-2 for standby, and two distances", p, session)
		}
		for _, d := range p.Near {
			if d.RTT < 2*oneWay || d.RTT > 3*oneWay {
				t.Errorf("%+v; want a round trip of %v", d, 2*oneWay)
			}
		}
		before := p.Number
		m.place(session, wire.Place{Why: "all are full", RetryAfter: time.Minute})
		time.Sleep(time.Second)
		if p = h.Placement(&f.Desc); p.Number != before+1 || p.Primary != "" || p.Standby != "" || p.Why != "all are full" || time.Until(p.Retry) < 58*time.Second {
			t.Errorf("after a refusal: %+v; want no host, the reason, and a minute", p)
		}
		m.stop()
		time.Sleep(time.Minute)
		if p = h.Placement(&f.Desc); p.Manager != "" || p.Why != "all are full" {
			t.Errorf("without a manager: %+v; want none, and the rest as it was", p)
		}
	})
}

// Without a manager there is nothing to tell.
func TestPlacementWithoutAManager(t *testing.T) {
	h, err := ue.Start(t.Context(), ue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := same("echo")
	if p := h.Placement(&f.Desc); p.Manager != "" || p.Session != 0 {
		t.Errorf("%+v; want nothing", p)
	}
}
