package qos

import (
	"math"
	"testing"
	"time"
)

func TestLink(t *testing.T) {
	var l Link
	if got := l.Distance(); got != (Distance{}) {
		t.Errorf("nothing measured: %+v", got)
	}
	ms := time.Millisecond
	for i, rtt := range []time.Duration{12 * ms, 10 * ms, -ms, 0, 18 * ms} {
		l.RTT(begin.Add(time.Duration(i)*time.Second), rtt)
	}
	// (2 ms)/16 = 125 us; then + (8 ms - 125 us)/16
	if got := l.Distance(); got.RTT != 10*ms || got.N != 3 || got.Jitter.Round(time.Microsecond) != 617*time.Microsecond {
		t.Errorf("got %+v; want 10 ms, 3 times, jitter 617 us", got)
	}
	l.RTT(begin.Add(12*time.Second), 30*ms)
	if got := l.Distance().RTT; got != 10*ms {
		t.Errorf("a window later: %v; the least of the window before counts", got)
	}
	l.RTT(begin.Add(23*time.Second), 30*ms)
	if got := l.Distance().RTT; got != 30*ms {
		t.Errorf("in another network: %v, want 30 ms", got)
	}
}

func TestLinkLoss(t *testing.T) {
	var l Link
	steps := []struct {
		lost, sent uint64
		want       float64
		why        string
	}{
		{0, 0, 0, "nothing sent"},
		{5, 500, 0.01, "so many packets count as all"},
		{5, 500, 0.01, "nothing since then"},
		{5, 1000, 0, "none lost since then"},
		{1, 50, 0.002, "another connection: one in 50, of which a tenth counts"},
		{9, 40, 0.002 + (9.0/40-0.002)*40/500, "a count that goes back is another connection's"},
		{math.MaxUint64, math.MaxUint64, 1, "all lost"},
	}
	for _, s := range steps {
		l.Packets(s.lost, s.sent)
		if got := l.Distance().Loss; math.Abs(got-s.want) > 1e-9 {
			t.Errorf("%d of %d lost: %v, want %v: %s", s.lost, s.sent, got, s.want, s.why)
		}
	}
	l.Packets(10, 5)
	if got := l.Distance().Loss; got < 0 || got > 1 {
		t.Errorf("more lost than sent: %v", got)
	}
}
