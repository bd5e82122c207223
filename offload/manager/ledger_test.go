package manager

import (
	"context"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/cluster"
)

// A UE asks, measures, is placed with a standby, and its host shows it.
func TestPlaced(t *testing.T) {
	w := newWorld(t, 1, names("edge", 3)...)
	w.host("edge-2").rtt = time.Millisecond
	w.host("edge-3").rtt = 5 * time.Millisecond
	u := w.addUE("headset")
	w.run(3 * time.Second)
	s := u.known()
	if s == nil || s.state != running || s.standby == nil || s.standby.state != used {
		t.Fatalf("the session is %+v", s)
	}
	if len(u.attach) != 2 || u.answered != 1 || u.place.Standby.Host == "" {
		t.Errorf("the UE is at %v, was asked %d times and placed at %+v", u.attach, u.answered, u.place)
	}
	u.bye()
	w.run(3 * time.Second)
	if len(w.l.sessions)+len(w.l.leases)+len(w.l.ues)+len(w.l.byPeer)+len(w.l.waiting) > 0 {
		t.Errorf("after Bye there are %d sessions and %d leases", len(w.l.sessions), len(w.l.leases))
	}
	for _, h := range w.hosts {
		if len(h.table) > 0 || len(w.l.hosts[h.id.Name].orders) > 0 {
			t.Errorf("%s has %d leases, and %d orders wait", h.id.Name, len(h.table), len(w.l.hosts[h.id.Name].orders))
		}
	}
}

// A host that drains lets go of its sessions, without a time in which they have none.
func TestDrain(t *testing.T) {
	w := newWorld(t, 1, names("edge", 2)...)
	u := w.addUE("headset")
	w.run(5 * time.Second)
	from := hostOf(u.known().primary)
	to := map[string]string{"edge-1": "edge-2", "edge-2": "edge-1"}[from]
	if err := w.backend.Set(context.Background(), cluster.Member{Name: from, Want: cluster.Drain, By: w.now.Add(30 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	w.run(3 * time.Second)
	u.is(running, to)
	if w.run(30 * time.Second); len(w.host(from).table) > 0 {
		t.Errorf("%s has %d leases after its drain", from, len(w.host(from).table))
	}
	if len(w.heard("host is draining")) != 1 {
		t.Errorf("the audit says %d times that the host drains", len(w.heard("host is draining")))
	}
}

// A host that is cut off, silent or crashed is left, and its session runs elsewhere.
func TestHostFails(t *testing.T) {
	for name, fail := range map[string]func(*modelHost){
		"its process ends": (*modelHost).crash,
		"it says nothing":  func(h *modelHost) { h.mute = true },
		"its network ends": func(h *modelHost) { h.up = false; h.disconnect() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, names("edge", 2)...)
			u := w.addUE("headset")
			w.run(15 * time.Second)
			from := hostOf(u.known().primary)
			to := map[string]string{"edge-1": "edge-2", "edge-2": "edge-1"}[from]
			fail(w.host(from))
			w.run(5 * time.Second)
			u.is(running, to)
		})
	}
}

// A UE that does not come to its standby in time has another host for it at once, and not that one again.
func TestStandbyThatNobodyComesTo(t *testing.T) {
	w := newWorld(t, 1, names("edge", 3)...)
	u := w.addUE("headset")
	w.check = func(w *world) { // it has measured all by then
		if s := u.known(); s != nil && s.standby != nil && len(u.far) == 0 {
			u.far[hostOf(s.standby)] = true
		}
	}
	w.run(2 * time.Second)
	first := hostOf(u.known().standby)
	if !u.far[first] || len(u.attach) != 1 {
		t.Fatalf("the UE is at %v, with %v as its standby", u.attach, first)
	}
	w.run(20 * time.Second)
	if s := u.known(); s.standby == nil || s.standby.state != used || hostOf(s.standby) == first {
		t.Errorf("the standby is on %q, after nobody had come to %s", hostOf(s.standby), first)
	}
}

// Without a host the UE is told why, and asks again.
func TestNoHost(t *testing.T) {
	w := newWorld(t, 1)
	u := w.addUE("headset")
	w.run(2 * time.Second)
	u.is(local, "")
	if u.place.Why == "" || u.place.RetryAfter <= 0 {
		t.Errorf("the UE was told %+v", u.place)
	}
	w.addHost("edge-1")
	w.run(20 * time.Second)
	u.is(running, "edge-1")
}

// After a restart leases are the record: sessions go on where they are, and no UE moves.
func TestRestart(t *testing.T) {
	w := newWorld(t, 1, names("edge", 3)...)
	for _, n := range names("headset", 5) {
		w.addUE(n)
	}
	w.run(20 * time.Second)
	was := map[string]string{}
	for _, u := range w.ues {
		was[u.id.Name] = hostOf(u.known().primary)
		u.places = 0
	}
	w.down = true
	for _, h := range w.hosts {
		h.peer = nil
	}
	w.run(10 * time.Second)
	w.restart()
	w.run(10 * time.Second)
	for _, u := range w.ues {
		u.is(running, was[u.id.Name])
		if len(u.attach) != 2 {
			t.Errorf("%s is at %v", u.id.Name, u.attach)
		}
	}
	if w.l.count.Adopted < 5 || w.l.count.Moves > 0 {
		t.Errorf("%d leases were adopted, and %d sessions moved", w.l.count.Adopted, w.l.count.Moves)
	}
}

// A decision waits for the hosts that there were, as long as they take to find the manager.
func TestSettles(t *testing.T) {
	w := newWorld(t, 1)
	w.backend = cluster.Static("edge-1", "edge-2")
	w.epoch = 4
	w.restart()
	w.addHost("edge-1")
	u := w.addUE("headset")
	w.run(2 * time.Second)
	u.is(asked, "")
	w.run(returning)
	u.is(running, "edge-1")
	w.restart()
	for _, h := range w.hosts {
		h.peer = nil
	}
	w.addHost("edge-2")
	w.run(time.Second)
	if !w.l.settled {
		t.Error("all hosts are back, and the manager waits")
	}
}

// A host that was too busy for a probe is asked again when it says so, and any other after some seconds, as no call
// shows how it is.
func TestProbeIsAskedAgain(t *testing.T) {
	for _, tt := range []struct {
		did   wire.Did
		after time.Duration
	}{
		{wire.Did{Failed: true, Code: offload.CodeOverloaded, RetryAfter: time.Second}, time.Second},
		{wire.Did{Failed: true, Code: offload.CodeOverloaded}, probeAlone},
		{wire.Did{Failed: true, Code: offload.CodeOverloaded, RetryAfter: 24 * time.Hour}, probeFresh}, // it lies
		{wire.Did{Samples: []time.Duration{time.Millisecond}, RetryAfter: time.Second}, probeAlone},
	} {
		w := newWorld(t, 1, "edge-1")
		u := w.addUE("headset")
		w.run(5 * time.Second)
		s, h, peer := u.known(), w.l.hosts["edge-1"], w.host("edge-1").peer
		s.ask.Module = [32]byte{9} // which nobody has called
		asked := func(after time.Duration) (number uint64) {
			w.l.probe(w.now.Add(after), h, s)
			for _, f := range peer.take() {
				number = f.(wire.Order).Number
			}
			return number
		}
		if tt.did.Number = asked(0); tt.did.Number == 0 {
			t.Fatal("the host is not asked")
		}
		w.l.did(w.now, "edge-1", peer, tt.did)
		if asked(tt.after-time.Millisecond) != 0 || asked(tt.after) == 0 {
			t.Errorf("after %+v the host is not asked again in just %v", tt.did, tt.after)
		}
	}
}
