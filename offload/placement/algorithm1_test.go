package placement

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The lines of Algorithm 1 of paper 000, and the filter before it.
func TestAlgorithm1(t *testing.T) {
	probe := func(d time.Duration) func(*Host) { return func(h *Host) { h.Modules[0].Probe = d } }
	limit := func(n int) func(*Host) { return func(h *Host) { h.Limit = n } }
	ms := time.Millisecond
	three := []string{"edge-1 2ms", "edge-2 2ms", "edge-3 2ms"}
	tests := []struct {
		name    string
		hosts   []Host
		links   []string
		others  []Session
		want    string // "": rejected
		because string
	}{
		{"the least L_inf", []Host{edge("edge-1", probe(9*ms)), edge("edge-2", probe(7*ms)), edge("edge-3", probe(8*ms))}, three, nil, "edge-2", ""},
		{"the first of equal ones", []Host{edge("edge-1", probe(7*ms)), edge("edge-2", probe(7*ms))}, []string{"edge-2 2ms", "edge-1 2ms"}, nil, "edge-2", ""},
		{"L_inf is theta_inf", []Host{edge("edge-1", probe(40*ms))}, three, nil, "edge-1", ""},
		{"L_inf over theta_inf", []Host{edge("edge-1", probe(40*ms+1))}, three, nil, "", "edge-1 infers in 40.0 ms, over 40.0"},
		{"RTT is theta_net", []Host{edge("edge-1")}, []string{"edge-1 20ms"}, nil, "edge-1", ""},
		{"RTT over theta_net", []Host{edge("edge-1")}, []string{"edge-1 21ms"}, nil, "", "edge-1 is 21.0 ms away, over 20.0"},
		{"not filtered by the UE", []Host{edge("edge-1")}, nil, nil, "", "no host"},
		{"one below the limit", []Host{edge("edge-1", limit(2))}, three, []Session{headset("a", nil, on("edge-1"))}, "edge-1", ""},
		{"at the limit", []Host{edge("edge-1", limit(1))}, three, []Session{headset("a", nil, on("edge-1"))}, "", "edge-1 has 1 sessions of 1"},
		{"full, the next best", []Host{edge("edge-1", limit(1)), edge("edge-2", probe(30*ms))}, three, []Session{headset("a", nil, on("edge-1"))}, "edge-2", ""},
		{"no probe", []Host{edge("edge-1", probe(0))}, three, nil, "", "edge-1 has answered no probe"},
		{"draining", []Host{edge("edge-1", func(h *Host) { h.State = Draining })}, three, nil, "", "edge-1 is draining"},
		{"loaded, which it does not look at", []Host{edge("edge-1", func(h *Host) { h.Load = 100 })}, three, nil, "edge-1", ""},
	}
	decide := Thresholds{Net: 20 * ms, Inf: 40 * ms}.Decide
	for _, tt := range tests {
		s := world(tt.hosts, append(tt.others, headset("ue", tt.links))...)
		d := decide(now, s, "ue")
		if d.Primary != tt.want || (d.Verdict == Placed) != (tt.want != "") || !strings.Contains(d.String(), tt.because) {
			t.Errorf("%s: %v; want %q, because %q", tt.name, d, tt.want, tt.because)
		}
	}
}

// A session that is placed stays, until its host is gone.
func TestAlgorithm1PlacesOnce(t *testing.T) {
	decide := Thresholds{Inf: 40 * time.Millisecond}.Decide
	x := headset("ue", []string{"edge-1 2ms", "edge-2 2ms"}, on("edge-1"))
	s := world([]Host{edge("edge-1", func(h *Host) { h.Modules[0].Probe = time.Second }), edge("edge-2")}, x)
	if d := decide(now, s, "ue"); d.Verdict != Stays || d.Primary != "edge-1" {
		t.Errorf("its host is slow: %v", d)
	}
	s.SetHost(edge("edge-1", func(h *Host) { h.State = Silent }))
	if d := decide(now, s, "ue"); d.Verdict != Moves || d.Primary != "edge-2" {
		t.Errorf("its host is silent: %v", d)
	}
	s.RemoveHost("edge-2")
	if d := decide(now, s, "ue"); d.Verdict != Local || d.RetryAfter == 0 {
		t.Errorf("there is no other: %v, retry after %v", d, d.RetryAfter)
	}
	if d := decide(now, s, "nobody"); d.Verdict != Local || d.Cause != UnknownHere {
		t.Errorf("a session that is not there: %v", d)
	}
}

// A limit by name goes before the host's own.
func TestAlgorithm1Limits(t *testing.T) {
	decide := Thresholds{Inf: time.Second, Limits: map[string]int{"edge-1": 1}}.Decide
	s := world([]Host{edge("edge-1"), edge("edge-2", func(h *Host) { h.Limit = 1 })}, headset("a", nil, on("edge-1")), headset("ue", []string{"edge-1 2ms"}))
	if d := decide(now, s, "ue"); d.Verdict != Local || d.Rejected[0].Most != 1 {
		t.Errorf("edge-1 has as many as it may: %v", d)
	}
	s.SetSession(headset("ue", []string{"edge-2 2ms"}))
	if d := decide(now, s, "ue"); d.Primary != "edge-2" {
		t.Errorf("edge-2 has its own limit: %v", d)
	}
}

// The candidates of Algorithm 1 are all hosts that are ready, also those that our own decisions would leave out.
func TestAlgorithm1Candidates(t *testing.T) {
	loaded := func(h *Host) { h.Memory = 1 }
	s := world([]Host{edge("edge-3", loaded), edge("edge-1"), edge("edge-2"), edge("edge-4", func(h *Host) { h.State = Cordoned })}, headset("ue", nil))
	if got := Candidates(now, s, "ue", nil); slices.Contains(got, "edge-3") {
		t.Fatalf("%v; want none that is full, or there is nothing to test", got)
	}
	near := map[string]time.Duration{"edge-3": time.Millisecond, "edge-2": time.Minute}
	c := Thresholds{Net: time.Second}.Candidates
	if got, want := c(now, s, "ue", near), []string{"edge-3", "edge-1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: the nearest first, none too far, none that takes no sessions", got, want)
	}
	if got := c(now, s, "nobody", near); got != nil {
		t.Errorf("of a session that is not there: %v", got)
	}
}
