package qos

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
)

var module1 = Digest{1}

// steady gives h the beats of a host of 2 turns, of which calls of 10 ms use one: 100 a second, which wait. It returns the time of the last one.
func steady(h *Host, seconds int, wait time.Duration) time.Time {
	return evenly(h, seconds, Beat{Turns: 2, InFlight: 100}, ModuleBeat{Calls: 100, S: 10 * ms, R: 10*ms + wait, R99: 30 * ms})
}

// evenly gives h a beat each second that is b with one module, of which there are so many calls a second that take R, and S of it in a turn.
func evenly(h *Host, seconds int, b Beat, each ModuleBeat) (now time.Time) {
	for i := range seconds {
		now = begin.Add(time.Duration(i) * time.Second)
		n := each.Calls * uint64(i)
		b.Modules = []ModuleBeat{{Module: module1, Calls: n, R: time.Duration(n) * each.R, S: time.Duration(n) * each.S, R99: each.R99}}
		h.Beat(now, b)
	}
	return now
}

func TestHost(t *testing.T) {
	var h Host
	if got := h.Capacity(); got != (Capacity{Stretch: 1}) {
		t.Errorf("nothing heard: %+v", got)
	}
	wait := time.Duration((Stretch(2, 1, 100) - 1) * float64(10*ms))
	now := steady(&h, 60, wait)
	c, s := h.Capacity(), h.Service(now, module1)
	if c.Turns != 2 || math.Abs(c.Load-1) > 1e-6 || math.Abs(c.Learned-2) > 0.01 {
		t.Errorf("%+v; want 2 turns, a load of 1, and 2 learned", c)
	}
	if s.Time.Round(time.Microsecond) != 10*ms || math.Abs(s.Rate-100) > 1e-6 || s.Age != 0 {
		t.Errorf("%+v; want 10 ms, 100 a second", s)
	}
	if mean := 10*ms + wait; math.Abs(s.Tail-float64(30*ms)/float64(mean)) > 0.02 {
		t.Errorf("tail %v, want about 30 ms of %v", s.Tail, mean)
	}
}

// Long waits are those of fewer turns, and missing ones those of more, up to a bound.
func TestHostLearns(t *testing.T) {
	var waits, none Host
	steady(&waits, 120, 90*ms)
	if got := waits.Capacity().Learned; got > 1.2 || got < 1 {
		t.Errorf("calls of 10 ms that wait for 90, at a load of 1: it seems to have %.2f turns of 2; want 1 to 1.2", got)
	}
	steady(&none, 120, 0)
	if got := none.Capacity().Learned; got < 2.5 || got > maxLearned*2 {
		t.Errorf("calls that never wait at half of the turns: it seems to have %.2f turns; want more than the 2 it says", got)
	}
}

// That a few calls did not wait says little: by chance they need not.
func TestHostLearnsSlowlyFromFewCalls(t *testing.T) {
	var h Host
	evenly(&h, 30, Beat{Turns: 1, InFlight: 100}, ModuleBeat{Calls: 10, R: 10 * ms, S: 10 * ms})
	if got := h.Capacity().Learned; got < 1 || got > 1.6 {
		t.Errorf("300 calls that use a tenth of a turn do not wait: it seems to have %.2f turns; want 1 to 1.6", got)
	}
	h.Beat(begin.Add(time.Minute), Beat{Turns: 0.1})
	if got := h.Capacity().Learned; got > 0.1*maxLearned {
		t.Errorf("it has a tenth of a turn left, and seems to have %.2f", got)
	}
}

// A session that is alone waits for nobody, whatever the host has: that it does not says nothing of how many turns there are.
func TestHostLearnsNothingFromOne(t *testing.T) {
	for _, tt := range []struct {
		wait        time.Duration
		least, most float64
	}{{0, 1, 1}, {10 * ms, 0.5, 0.9}} { // who does wait is slowed down by something
		var h Host
		evenly(&h, 60, Beat{Turns: 1, InFlight: 1}, ModuleBeat{Calls: 40, R: 10*ms + tt.wait, S: 10 * ms})
		if got := h.Capacity(); got.Learned < tt.least || got.Learned > tt.most {
			t.Errorf("one call at a time waits for %v: %+v; want %v to %v turns", tt.wait, got, tt.least, tt.most)
		}
	}
}

// A module that is called anew was not before: its calls use as many turns as they did on average over the window, and those who
// count what its session needs until then do not count it twice.
func TestHostLoadRises(t *testing.T) {
	var h Host
	now, calls := begin, uint64(0)
	second := func(n int) float64 {
		now, calls = now.Add(time.Second), calls+uint64(n)
		took := time.Duration(calls) * 10 * ms
		h.Beat(now, Beat{Turns: 2, InFlight: 2, Modules: []ModuleBeat{{Module: module1, Calls: calls, R: took, S: took}}})
		return h.Capacity().Load
	}
	for range 30 {
		if got := second(0); got != 0 {
			t.Fatalf("nobody calls, and the load is %v", got)
		}
	}
	for i := 1; i <= 20; i++ {
		if got, want := second(50), 0.5*min(1, float64(i)/10); math.Abs(got-want) > 1e-6 {
			t.Errorf("after %d s of 50 calls of 10 ms: load %.3f, want %.3f", i, got, want)
		}
	}
	if got := h.Service(now, module1).Rate; math.Abs(got-50) > 1e-6 {
		t.Errorf("%v calls a second, want 50", got)
	}
}

// What a host did before it is first heard of is not known: its load is that of what it has shown.
func TestHostLoadOfTheFirstBeats(t *testing.T) {
	var h Host
	evenly(&h, 3, Beat{Turns: 2, InFlight: 2}, ModuleBeat{Calls: 50, R: 10 * ms, S: 10 * ms})
	if got := h.Capacity().Load; math.Abs(got-0.5) > 1e-6 {
		t.Errorf("load %v after 2 s, want 0.5", got)
	}
}

// Counts that go back, or that fit no call, are those of another process: nothing is learned from them, and the next ones count from there.
func TestHostOfBadBeats(t *testing.T) {
	for _, bad := range []ModuleBeat{
		{Calls: 0},
		{Calls: 5899, R: time.Hour, S: time.Hour},
		{Calls: 1 << 60, R: 58 * time.Second, S: time.Hour},
		{Calls: 1 << 60, R: time.Hour, S: 58 * time.Second},
		{Calls: 1 << 61, R: -1, S: -1},
		{Calls: 5900, R: time.Hour, S: 59 * time.Second},
		{Calls: 5901, R: time.Hour, S: 2 * time.Hour},
		{Calls: math.MaxUint64, R: math.MinInt64, S: math.MaxInt64, R99: math.MinInt64},
	} {
		var h Host
		now := steady(&h, 60, 0)
		before := h.Service(now, module1)
		bad.Module = module1
		h.Beat(now.Add(time.Second), Beat{Turns: 2, InFlight: 100, Modules: []ModuleBeat{bad}})
		next := ModuleBeat{Module: module1, Calls: bad.Calls + 100, R: max(0, bad.R) + time.Second, S: max(0, bad.S) + time.Second}
		if next.Calls > bad.Calls && next.R > 0 && next.S > 0 {
			h.Beat(now.Add(2*time.Second), Beat{Turns: 2, InFlight: 100, Modules: []ModuleBeat{next}})
		}
		got := h.Service(now.Add(2*time.Second), module1)
		if got.Time.Round(time.Microsecond) != before.Time.Round(time.Microsecond) || math.Abs(got.Rate-before.Rate) > 1 {
			t.Errorf("after %+v: %+v; before it %+v", bad, got, before)
		}
	}
}

// What was heard is forgotten after a minute, and a clock that goes back is no news.
func TestHostForgets(t *testing.T) {
	var h Host
	now := steady(&h, 60, 0)
	h.Beat(now.Add(-time.Hour), Beat{Turns: 2, Modules: []ModuleBeat{{Module: module1, Calls: 7}}})
	if got := h.Service(now, module1); got.Time.Round(time.Microsecond) != 10*ms {
		t.Errorf("after a beat of an hour ago: %+v", got)
	}
	h.Beat(now.Add(time.Hour), Beat{Turns: math.NaN(), InFlight: math.Inf(-1)})
	if got := h.Capacity(); got.Load != 0 || got.Turns != 0 || got.Learned != 0 {
		t.Errorf("an hour later: %+v, want nothing", got)
	}
	if got := h.Service(now.Add(time.Hour), module1); got.Time != 0 || got.Tail != FirstTail || got.Rate != 0 {
		t.Errorf("an hour later: %+v, want nothing", got)
	}
}

func TestHostProbes(t *testing.T) {
	var h Host
	h.Probe(begin, module1, []time.Duration{9 * ms, -ms, 0, 7 * ms, 30 * ms})
	got := h.Service(begin.Add(time.Second), module1)
	if got.Probe != 9*ms || got.Time != 9*ms || got.Age != time.Second {
		t.Errorf("%+v; want the median 9 ms, a second old", got)
	}
	if got := h.Service(begin.Add(time.Hour), module1); got.Time != 9*ms {
		t.Errorf("an hour later: %+v; want the last probe's", got)
	}
	h.Probe(begin, Digest{2}, nil)
	if got := h.Service(begin, Digest{2}); got != (Service{Tail: FirstTail}) {
		t.Errorf("a probe without samples: %+v", got)
	}
}

// Of probes that vary the median over a minute counts: neither the first one, which is cold, nor the one that happened to be fast.
func TestHostProbesAgain(t *testing.T) {
	var h Host
	for i, p := range []struct{ probe, want time.Duration }{
		{300 * ms, 300 * ms},
		{140 * ms, 210 * ms},
		{160 * ms, 160 * ms},
		{100 * ms, 150 * ms},
		{150 * ms, 150 * ms},
		{90 * ms, 135 * ms},
	} {
		now := begin.Add(time.Duration(i) * 5 * time.Second)
		h.Probe(now, module1, []time.Duration{p.probe})
		if got := h.Service(now, module1); got.Time != p.want || got.Probe != p.probe {
			t.Errorf("after probe %d, of %v: %v in all, %v the last; want %v", i, p.probe, got.Time, got.Probe, p.want)
		}
	}
	late := begin.Add(serviceWindow + 15*time.Second)
	if got := h.Service(late, module1); got.Time != 120*ms {
		t.Errorf("of the last minute: %v, want the median of 90 and 150 ms", got.Time)
	}
	for i := range 1000 {
		h.Probe(late.Add(time.Duration(i)), module1, []time.Duration{ms, ms})
	}
	if n := len(h.modules[module1].probes); n > maxSamples {
		t.Errorf("%d samples are kept, want %d at most", n, maxSamples)
	}
}

// The load of calls that come no more counts no more, though they are in what was measured for 10 s.
func TestHostIsLeft(t *testing.T) {
	var h Host
	now := steady(&h, 60, 0)
	load := h.Capacity().Load
	if load <= 0 {
		t.Fatal("there is no load")
	}
	h.Left(now, load)
	h.Left(now, math.NaN())
	h.Left(now, -1)
	m := h.modules[module1]
	for i := range 12 {
		if got := h.Capacity().Load; got > 0.02*load {
			t.Errorf("%d s after all have left, the load is %.3f of what it was", i, got/load)
		}
		now = now.Add(time.Second)
		h.Beat(now, Beat{Turns: 2, Modules: []ModuleBeat{{Module: module1, Calls: m.calls, R: m.r, S: m.s}}})
	}
	var half Host
	now = steady(&half, 60, 0)
	half.Left(now, load/2)
	if got := half.Capacity().Load; got < 0.45*load || got > 0.55*load {
		t.Errorf("when half have left, the load is %.2f of what it was", got/load)
	}
	for range 1000 {
		half.Left(now, load)
	}
	if n := len(half.left); n > maxLeft || half.Capacity().Load != 0 {
		t.Errorf("%d departures are kept, want %d at most; the load is %g, want none", n, maxLeft, half.Capacity().Load)
	}
}

func TestHostIsBounded(t *testing.T) {
	var h Host
	for i := range uint32(3 * MaxModules) {
		var d Digest
		binary.BigEndian.PutUint32(d[:], i)
		h.Probe(begin.Add(time.Duration(i)*time.Second), d, []time.Duration{ms})
	}
	if got := len(h.modules); got != MaxModules {
		t.Errorf("%d modules are kept, want %d", got, MaxModules)
	}
	h.Beat(begin, Beat{Turns: 1, Modules: []ModuleBeat{{Module: module1}}})
	for i := range 1000 {
		n := time.Duration(i)
		h.Beat(begin.Add(n), Beat{Turns: 1, Modules: []ModuleBeat{{Module: module1, Calls: uint64(i), R: n, S: n}}})
	}
	if m := h.modules[module1]; m != nil && len(m.beats) > maxBeats {
		t.Errorf("%d beats are kept, want %d at most", len(m.beats), maxBeats)
	}
}

// A module that is called no more costs nothing but its name.
func TestHostForgetsIdleModules(t *testing.T) {
	var h Host
	now := steady(&h, 60, 0)
	m := h.modules[module1]
	if len(m.beats) < 50 {
		t.Fatalf("%d beats are kept", len(m.beats))
	}
	for range 61 {
		now = now.Add(time.Second)
		h.Beat(now, Beat{Turns: 2, InFlight: 100, Modules: []ModuleBeat{{Module: module1, Calls: m.calls, R: m.r, S: m.s}}})
	}
	if m.beats != nil {
		t.Errorf("%d beats are kept a minute later", len(m.beats))
	}
	if got := h.Service(now, module1); got.Age < time.Minute || got.Rate != 0 {
		t.Errorf("a minute later: %+v", got)
	}
}

// Whatever a host says, nothing is negative, no number, or beyond its bound.
func FuzzHost(f *testing.F) {
	f.Add(2.0, 8.0, uint64(100), int64(time.Second), int64(time.Second), int64(20*ms), uint64(300), int64(4*time.Second), int64(3*time.Second), int64(time.Second))
	f.Add(math.NaN(), math.Inf(1), uint64(math.MaxUint64), int64(-1), int64(math.MaxInt64), int64(math.MinInt64), uint64(0), int64(0), int64(0), int64(-1))
	f.Add(1e300, 1e-300, uint64(1), int64(math.MaxInt64), int64(math.MaxInt64), int64(1), uint64(2), int64(math.MaxInt64), int64(math.MaxInt64), int64(1))
	f.Fuzz(func(t *testing.T, turns, inFlight float64, n1 uint64, r1, s1, p1 int64, n2 uint64, r2, s2, step int64) {
		var h Host
		now := begin
		for range 3 {
			for _, m := range []ModuleBeat{
				{Module: module1, Calls: n1, R: time.Duration(r1), S: time.Duration(s1), R99: time.Duration(p1)},
				{Module: module1, Calls: n2, R: time.Duration(r2), S: time.Duration(s2), R99: time.Duration(p1)},
			} {
				h.Beat(now, Beat{Turns: turns, InFlight: inFlight, Modules: []ModuleBeat{m}})
				now = now.Add(time.Duration(step % int64(time.Hour)))
				check(t, &h, now)
			}
		}
		h.Probe(now, module1, []time.Duration{time.Duration(r1), time.Duration(s2)})
		check(t, &h, now)
	})
}

func check(t *testing.T, h *Host, now time.Time) {
	t.Helper()
	c, s := h.Capacity(), h.Service(now, module1)
	for _, x := range []float64{c.Turns, c.Learned, c.Load, c.Stretch, s.Tail, s.Rate, float64(s.Time), float64(s.Probe), float64(s.Age)} {
		if x < 0 || math.IsNaN(x) || math.IsInf(x, 0) {
			t.Fatalf("%+v, %+v", c, s)
		}
	}
	if c.Learned > maxLearned*c.Turns || s.Tail > MaxTail || c.Stretch < 1 {
		t.Fatalf("%+v, %+v", c, s)
	}
	stretch := Stretch(c.Learned, c.Load, 3)
	if p := P99(s.Time.Seconds(), s.Tail, c.Stretch, stretch); p < 0 || math.IsNaN(p) {
		t.Fatalf("%+v, %+v: stretch %v, p99 %v", c, s, stretch, p)
	}
}
