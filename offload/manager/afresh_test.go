package manager

import (
	"testing"
	"time"

	"github.com/bungee-xr/bungee/offload/placement"
)

// afreshWorld is a world of Algorithm 1, which probes afresh for each session.
func afreshWorld(t *testing.T) *world {
	w := newWorld(t, 1)
	th := placement.Thresholds{Net: 20 * time.Millisecond, Inf: time.Second}
	w.limits.decide, w.limits.candidates, w.limits.afresh = th.Decide, th.Candidates, true
	w.anew()
	for _, name := range []string{"edge-1", "edge-2", "edge-3"} {
		w.addHost(name)
	}
	w.run(2 * time.Second)
	return w
}

// Each session has all candidates probed, also where a probe of late is known, and has its host after that.
func TestProbesAfresh(t *testing.T) {
	w := afreshWorld(t)
	for n := uint64(1); n <= 2; n++ {
		u := w.addUE([]string{"", "headset-1", "headset-2"}[n])
		w.run(2 * time.Second)
		if u.place.Primary.Host == "" || w.l.count.Probes != 3*n {
			t.Errorf("session %d is at %q after %d probes in all; want a host, and %d", n, u.place.Primary.Host, w.l.count.Probes, 3*n)
		}
	}
}

// The candidates are probed one after the other: one that does not answer holds up the next by the time that a probe has, and the decision.
func TestProbesOneAfterTheOther(t *testing.T) {
	w := afreshWorld(t)
	for _, h := range w.hosts {
		h.deaf = true
	}
	w.addUE("headset-1")
	begun := w.now
	for w.l.count.Probes == 0 && w.now.Sub(begun) < time.Minute {
		w.run(10 * time.Millisecond)
	}
	began := w.now
	for n := uint64(1); n <= 3; n++ {
		if w.l.count.Probes != n || w.l.count.Decided[placement.Local] > 0 {
			t.Fatalf("%v after the first: %d probes, %d decisions; want %d, and none", w.now.Sub(began), w.l.count.Probes, w.l.count.Decided[placement.Local], n)
		}
		w.run(probeTime + tickEvery)
	}
	w.run(probeTime)
	if w.l.count.Decided[placement.Local] == 0 {
		t.Error("no host has answered, and nothing is decided")
	}
}

// A host that a probe has made look slow, and that therefore gets no calls which could show better, is probed again with the next session.
func TestSlowProbeIsNotForEver(t *testing.T) {
	w := newWorld(t, 1, "edge-1")
	h := w.host("edge-1")
	h.service = time.Second
	w.run(2 * time.Second)
	first := w.addUE("headset-1")
	w.run(time.Second)
	first.is(local, "")
	h.service = 5 * time.Millisecond
	w.run(probeAlone)
	second := w.addUE("headset-2")
	w.run(2 * time.Second)
	second.is(running, "edge-1")
	if w.l.count.Probes < 2 {
		t.Errorf("%d probes, want another one", w.l.count.Probes)
	}
}

// A session that leaves makes room at once, though what its host has measured still has its calls for ten seconds.
func TestPlaceOfOneThatHasLeft(t *testing.T) {
	w := newWorld(t, 1, "edge-1")
	w.host("edge-1").service = 100 * time.Millisecond // of which 30 a second are 3 of 4 turns
	large := func(name string) *modelUE {
		u := w.addUE(name)
		u.need.Latency, u.need.InFlight = 500*time.Millisecond, 8
		return u
	}
	w.run(2 * time.Second)
	first := large("headset-1")
	w.run(30 * time.Second)
	first.is(running, "edge-1")
	second := large("headset-2")
	w.run(time.Second)
	second.is(local, "")
	second.bye()
	first.bye()
	w.run(200 * time.Millisecond)
	third := large("headset-3")
	w.run(2 * time.Second)
	third.is(running, "edge-1")
}

// A lease's rate is that of its last 10 to 20 s, and a host that has begun anew counts from there.
func TestRateOfLease(t *testing.T) {
	var le lease
	if got := le.rate(epoch); got != 0 {
		t.Errorf("not shown: %g calls a second", got)
	}
	now, calls := epoch, uint64(7000)
	beats := func(seconds int, each uint64) {
		for range seconds {
			now, calls = now.Add(time.Second), calls+each
			le.count(now, calls)
		}
	}
	for _, tt := range []struct {
		seconds     int
		each        uint64
		least, most float64
	}{{6, 10, 4, 6}, {60, 10, 9.9, 10.1}, {40, 3, 2.9, 3.1}, {30, 0, 0, 0}} {
		beats(tt.seconds, tt.each)
		if got := le.rate(now); got < tt.least || got > tt.most {
			t.Errorf("after %d s of %d calls each: %g a second, want %g to %g", tt.seconds, tt.each, got, tt.least, tt.most)
		}
	}
	calls = 0
	beats(30, 5)
	if got := le.rate(now); got < 4.9 || got > 5.1 {
		t.Errorf("after another run: %g a second, want 5", got)
	}
}
