package manager

import (
	"testing"
	"time"
)

// The state says what a host's modules take there, from the first probe on, and the audit who was probed and what it showed.
func TestStateTellsWhatModulesTake(t *testing.T) {
	w := newWorld(t, 1, "edge-1")
	u := w.addUE("headset")
	w.run(5 * time.Second)
	u.is(running, "edge-1")
	hosts := w.l.state(w.now).Hosts
	if len(hosts) != 1 || len(hosts[0].Modules) != 1 {
		t.Fatalf("hosts are %+v; want one, with one module", hosts)
	}
	h, m := hosts[0], hosts[0].Modules[0]
	if m.Module != w.l.state(w.now).Sessions[0].Module || m.Turn != 5 || m.Probe != 5 || m.Inference < m.Turn || !(m.Rate > 0) {
		t.Errorf("the module is %+v; want the session's, with 5 ms in a turn and by the probe, no less in the host, and calls", m)
	}
	if h.Turns != 4 || !(h.Load > 0) {
		t.Errorf("the host is %+v; want 4 turns, some in use", h)
	}
	ordered, probed := w.heard("probe"), w.heard("probed")
	if len(ordered) != 1 || ordered[0].host != "edge-1" {
		t.Errorf("the audit has the probes %+v; want one, of edge-1", ordered)
	}
	if len(probed) != 1 || probed[0].host != "edge-1" || probed[0].why != "module "+m.Module+" took 5.0 ms" {
		t.Errorf("the audit has the answers %+v; want one, of edge-1, with 5.0 ms", probed)
	}
}
