package placement

import (
	"slices"
	"testing"
	"time"
)

func TestSnapshot(t *testing.T) {
	s := world([]Host{edge("edge-1")}, headset("b", nil, on("edge-1")), headset("a", nil, on("edge-1")), headset("c", nil, on("edge-2")))
	if got := s.On("edge-1"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("on edge-1: %v", got)
	}
	if h, ok := s.Host("edge-1"); !ok || h.Turns != 4 {
		t.Errorf("edge-1: %+v, %v", h, ok)
	}
	if h, ok := s.Host("edge-2"); !ok || h.State != Silent {
		t.Errorf("a host that only a session names: %+v, %v; want a silent one", h, ok)
	}
	s.RemoveHost("edge-1")
	if h, ok := s.Host("edge-1"); !ok || h.State != Silent {
		t.Errorf("a host that went while sessions are there: %+v, %v; want a silent one", h, ok)
	}
	for _, id := range []string{"a", "b", "c", "nobody"} {
		s.RemoveSession(id)
	}
	s.RemoveHost("nowhere")
	if len(s.hosts)+len(s.sessions) != 0 {
		t.Errorf("all went, and %d hosts and %d sessions are there", len(s.hosts), len(s.sessions))
	}
	if _, ok := s.Session("a"); ok {
		t.Error("a is a session")
	}
	if got := s.On("edge-1"); got != nil {
		t.Errorf("on no host: %v", got)
	}
}

// What a caller changes afterwards in what it gave changes nothing.
func TestSnapshotCopies(t *testing.T) {
	h, x := edge("edge-1", func(h *Host) { h.Labels = []string{"a=b"} }), headset("ue", []string{"edge-1 2ms", "edge-1 9ms"})
	x.Need.Labels = []string{"a=b"}
	s := world([]Host{h}, x)
	before := Decide(now, s, "ue")
	h.Labels[0], h.Modules[0].Service, x.Links[0].RTT, x.Need.Labels[0] = "", time.Hour, time.Hour, ""
	if after := Decide(now, s, "ue"); after.String() != before.String() || after.Verdict != Placed {
		t.Errorf("%v; before %v", after, before)
	}
	if got := s.sessions["ue"].Links; len(got) != 1 || got[0].RTT != 2*time.Millisecond {
		t.Errorf("two links to a host: %v are kept, want the first", got)
	}
}

// A session counts by what it needs until its host's counts show its usual calls: all of it until a beat shows it, and less and less
// in the time after that.
func TestReservationsFade(t *testing.T) {
	x := headset("ue", nil, on("edge-1"), func(x *Session) { x.Shown = time.Time{}; x.Need.Rate = 100 }) // 0.5 turns
	old := headset("old", nil, on("edge-1"))
	for _, tt := range []struct {
		shown time.Time
		want  float64
	}{{time.Time{}, 0.5}, {now.Add(time.Second), 0.5}, {now, 0.5}, {now.Add(-Settle / 2), 0.25}, {now.Add(-Settle), 0}, {now.Add(-2 * Settle), 0}} {
		x.Shown = tt.shown
		s := world([]Host{edge("edge-1")}, old, x)
		load, ahead := s.hosts["edge-1"].reserved(now)
		if load != tt.want || ahead != tt.want/100 { // one call of 5 ms is before another
			t.Errorf("shown at %v: %v turns are reserved and %v s are ahead, want %v and %v", tt.shown, load, ahead, tt.want, tt.want/100)
		}
	}
}

// Memory is taken at the standby, too, and turns are not.
func TestStandbyTakesMemory(t *testing.T) {
	one := func(x *Session) { x.Need.Memory, x.Need.Instances = 600<<20, 1 }
	s := world([]Host{edge("edge-1"), edge("edge-2")}, headset("a", nil, on("edge-1"), one, func(x *Session) { x.Standby = "edge-2" }))
	s.SetSession(headset("b", []string{"edge-2 2ms"}, one))
	d := Decide(now, s, "b")
	if d.Verdict != Local || d.Rejected[0].Bound != Memory {
		t.Errorf("%v; want no room at edge-2", d)
	}
	if got := s.hosts["edge-2"].inFlight; got != 0 {
		t.Errorf("a standby has %v calls in flight", got)
	}
}
