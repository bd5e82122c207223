package qos

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	// RateWindow is what rates and waits are taken over.
	RateWindow = 10 * time.Second
	// serviceWindow is what the time in a turn is taken over.
	serviceWindow = 60 * time.Second
	// MaxModules bounds the modules that a Host keeps. Of further ones those go that were called last the longest ago.
	MaxModules = 128
	// maxBeats bounds the beats of the longest window, however often they come: it has those of a minute, one each second.
	maxBeats = 64
	// coldTimes is how many times longer than the shortest sample of probes their median may be.
	coldTimes = 1.5
	// maxLeft bounds the departures that are kept; of further ones the oldest go, and what they left counts a little longer.
	maxLeft = 256
	// maxSamples bounds what is kept of a module's probes.
	maxSamples = 32
	// prior is how many calls say as much as what was taken for true before them.
	prior = 50
	// priorWaits is how many waits must be missing to say as much. That calls do not wait is learned more slowly than
	// that they do, since the next session depends on it.
	priorWaits = 20
	// maxLearned bounds how many times the turns that a host says it may seem to have.
	maxLearned = 4
)

// A Digest names a module.
type Digest [32]byte

// A Beat is what a host says of itself. The counts and sums of a module begin with the host's process.
type Beat struct {
	Turns    float64 // that the host has
	InFlight float64 // calls that its sessions may have at once, as they said
	Modules  []ModuleBeat
}

// A ModuleBeat is what the calls of a module took.
type ModuleBeat struct {
	Module Digest
	Calls  uint64        // that have ended
	R, S   time.Duration // sums over them: in the host, and of these in a turn
	R99    time.Duration // 99th percentile of R lately; 0: not known
}

// A Host learns from beats what a host can take. The zero Host knows nothing. It belongs to one goroutine.
//
// What the host can take is how many turns it seems to have, as far as calls wait: with so many, [Stretch] gives the waits that there
// were in the last 10 s. Those of regular calls are short, as if there were more turns; those of bursts are long, as if there were
// fewer. Few calls say little: their waits are averaged with those of further calls that waited as expected. Each beat moves
// what is learned by an eighth.
type Host struct {
	since           time.Time // of the first beat
	turns, inFlight float64
	learned         float64
	load, stretch   float64
	modules         map[Digest]*module
	left            []departure // of the last RateWindow, in order of time
}

// A departure is the load of calls that come no more.
type departure struct {
	at   time.Time
	load float64
}

// A module is what is known of a module at a host.
type module struct {
	calls  uint64 // as last said
	r, s   time.Duration
	r99    time.Duration
	seen   time.Time // when it was first or last heard of
	called time.Time
	beats  []calls // of the last minute, in order of time
	probe  time.Duration
	probed time.Time
	probes []sample // of the last minute, in order of time
}

// A sample is the time in the host of one of a probe's runs, in s.
type sample struct {
	at time.Time
	s  float64
}

// calls are those between two beats.
type calls struct {
	at, since time.Time
	n         float64
	r, s      float64 // s
}

// Beat adds what a host said at now. Modules that it does not name stay as they are.
func (h *Host) Beat(now time.Time, b Beat) {
	h.turns, h.inFlight = sane(b.Turns), sane(b.InFlight)
	if h.modules == nil {
		h.modules = map[Digest]*module{}
	}
	if h.since.IsZero() {
		h.since = now
	}
	for _, m := range b.Modules {
		h.module(now, m.Module).beat(now, m)
	}
	h.trim()
	h.learn(now)
}

// Probe adds the times in the host of a probe's calls: L_inf. One probe says little, as the first run is cold and an idle machine is fast, and
// a session that is refused brings the next probe. So the median over a minute counts, not the luckiest probe.
func (h *Host) Probe(now time.Time, d Digest, samples []time.Duration) {
	all := slices.DeleteFunc(slices.Clone(samples), func(s time.Duration) bool { return s <= 0 })
	if len(all) == 0 {
		return
	}
	if h.modules == nil {
		h.modules = map[Digest]*module{}
	}
	m := h.module(now, d)
	for _, s := range all {
		m.probes = append(m.probes, sample{now, s.Seconds()})
	}
	first := slices.IndexFunc(m.probes, func(p sample) bool { return now.Sub(p.at) < serviceWindow })
	m.probes = slices.Delete(m.probes, 0, max(first, len(m.probes)-maxSamples))
	slices.Sort(all)
	m.probe, m.probed = all[(len(all)-1)/2], now
	h.trim()
}

// Left takes note that calls which used load turns, on average over the last [RateWindow], come no more. What was measured has them for as long,
// and less from beat to beat.
func (h *Host) Left(now time.Time, load float64) {
	if load = sane(load); load == 0 {
		return
	}
	h.left = append(h.left, departure{now, load})
	first := slices.IndexFunc(h.left, func(d departure) bool { return now.Sub(d.at) < RateWindow })
	h.left = slices.Delete(h.left, 0, max(first, len(h.left)-maxLeft))
	h.load = max(0, h.load-load)
}

// gone returns the turns that what has left still has of what was measured.
func (h *Host) gone(now time.Time) (load float64) {
	for _, d := range h.left {
		load += d.load * max(0, 1-max(0, now.Sub(d.at)).Seconds()/RateWindow.Seconds())
	}
	return load
}

// module returns what is known of d.
func (h *Host) module(now time.Time, d Digest) *module {
	m := h.modules[d]
	if m == nil {
		m = &module{seen: now, called: now}
		h.modules[d] = m
	}
	return m
}

// trim forgets the modules that are too many.
func (h *Host) trim() {
	if len(h.modules) <= MaxModules {
		return
	}
	all := make([]Digest, 0, len(h.modules))
	for d := range h.modules {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Digest) int {
		return cmp.Or(h.modules[b].called.Compare(h.modules[a].called), slices.Compare(a[:], b[:]))
	})
	for _, d := range all[MaxModules:] {
		delete(h.modules, d)
	}
}

// beat adds what was said of m. Counts that go back, or that fit no call, are those of another process: they are where the
// next ones begin.
func (m *module) beat(now time.Time, b ModuleBeat) {
	c := calls{at: now, since: m.seen}
	good := b.Calls >= m.calls && b.R >= m.r && b.S >= m.s && now.After(m.seen)
	if good {
		c.n, c.r, c.s = float64(b.Calls-m.calls), (b.R - m.r).Seconds(), (b.S - m.s).Seconds()
		good = c.s <= c.r && (c.n > 0 || c.r == 0)
	}
	if now.Before(m.seen) {
		return
	}
	m.calls, m.r, m.s, m.r99, m.seen = b.Calls, max(0, b.R), max(0, b.S), max(0, b.R99), now
	if !good {
		return
	}
	if c.n > 0 {
		m.called = now
	}
	m.beats = append(m.beats, c)
	first, _ := slices.BinarySearchFunc(m.beats, now.Add(-serviceWindow), func(c calls, t time.Time) int { return c.at.Compare(t) })
	m.beats = slices.Delete(m.beats, 0, max(first, len(m.beats)-maxBeats))
	if sum, _ := m.over(time.Time{}); sum.n == 0 {
		m.beats = nil // most modules of a host are not called
	}
}

// over sums the calls since t, and says how long they took to come.
func (m *module) over(t time.Time) (sum calls, seconds float64) {
	for _, c := range m.beats {
		if !c.at.After(t) {
			continue
		}
		sum.n += c.n
		sum.r += c.r
		sum.s += c.s
		seconds += c.at.Sub(c.since).Seconds()
	}
	return sum, seconds
}

// service returns the mean time of a call in a turn in the last minute, or that of the probes, in s. It is 0 when nothing is known.
func (m *module) service(now time.Time) float64 {
	if sum, _ := m.over(now.Add(-serviceWindow)); sum.n > 0 && sum.s > 0 {
		return sum.s / sum.n
	}
	return m.median(now)
}

// median returns the median of the probes of the last minute, or the last probe's, in s. It is 0 where there was none. A probe that
// is much longer than the shortest was cold, and does not count.
func (m *module) median(now time.Time) float64 {
	var all []float64
	for _, p := range m.probes {
		if now.Sub(p.at) < serviceWindow {
			all = append(all, p.s)
		}
	}
	if len(all) == 0 {
		return m.probe.Seconds()
	}
	slices.Sort(all)
	return min((all[(len(all)-1)/2]+all[len(all)/2])/2, all[0]*coldTimes)
}

// tail returns the p99 of a call's time in the host over its mean.
func (m *module) tail(now time.Time) float64 {
	sum, _ := m.over(now.Add(-serviceWindow / 2))
	tail := float64(FirstTail)
	if sum.n > 0 && sum.r > 0 && m.r99 > 0 {
		q := m.r99.Seconds() * sum.n / sum.r
		tail = (q*sum.n + FirstTail*prior) / (sum.n + prior)
	}
	return min(max(tail, 1), MaxTail)
}

// learn makes the sums of the host, and moves what it seems to have.
func (h *Host) learn(now time.Time) {
	var load, wait, weight float64 // turns; calls that wait on average, or are slowed down; calls
	var used float64               // turns, on average over the window: a module that is called anew was not before
	window := min(RateWindow, now.Sub(h.since)).Seconds()
	for _, d := range h.sorted() {
		m := h.modules[d]
		sum, seconds := m.over(now.Add(-RateWindow))
		service := m.service(now)
		if seconds <= 0 || sum.n == 0 || service <= 0 {
			continue
		}
		load += sum.n / seconds * service
		used += sum.n / max(seconds, window) * service
		wait += (sum.r - sum.s) / seconds
		weight += sum.n
	}
	h.load = max(0, used-h.gone(now))
	if h.learned <= 0 || h.turns <= 0 {
		h.learned = h.turns
	}
	h.learned = min(h.learned, maxLearned*h.turns)
	if load <= 0 || h.turns <= 0 {
		h.stretch = 1
		return
	}
	h.stretch = 1 + wait/load
	if h.inFlight <= 1 && h.stretch <= 1 {
		return // a call that is alone does not wait, however few turns there are
	}
	expected := Stretch(h.learned, load, h.inFlight)
	before := float64(prior)
	if h.stretch < expected {
		before += priorWaits / (expected - 1)
	}
	blended := h.stretch + (expected-h.stretch)*before/(weight+before)
	h.learned += (unstretch(blended, load, h.inFlight, maxLearned*h.turns) - h.learned) / 8
}

// sorted returns the modules in the order of their digests: sums of floats depend on the order.
func (h *Host) sorted() []Digest {
	all := make([]Digest, 0, len(h.modules))
	for d := range h.modules {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Digest) int { return slices.Compare(a[:], b[:]) })
	return all
}

// unstretch returns with how many turns Stretch is so much, most of them at most.
func unstretch(stretch, load, inFlight, most float64) float64 {
	low, high := most/1024, most
	if Stretch(high, load, inFlight) >= stretch {
		return high
	}
	for range 40 {
		middle := math.Sqrt(low * high)
		if Stretch(middle, load, inFlight) > stretch {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// A Capacity is what a host can take.
type Capacity struct {
	Turns   float64 // that it says it has
	Learned float64 // that it seems to have, as far as calls wait
	Load    float64 // turns in use by calls, on average, without those that have left
	Stretch float64 // how many times longer than in a turn calls took in the host
}

// Capacity returns what is learned.
func (h *Host) Capacity() Capacity {
	return Capacity{Turns: h.turns, Learned: h.learned, Load: h.load, Stretch: max(1, h.stretch)}
}

// A Service is what a module's calls are like at a host.
type Service struct {
	Time  time.Duration // S, mean time of a call in a turn; 0: not known
	Tail  float64       // p99 of the time in the host over its mean
	Probe time.Duration // L_inf of the last probe; 0: none
	Rate  float64       // calls a second
	Age   time.Duration // since a call or a probe last said so
}

// Service returns what is known of a module.
func (h *Host) Service(now time.Time, d Digest) Service {
	m := h.modules[d]
	if m == nil {
		return Service{Tail: FirstTail}
	}
	s := Service{Time: duration(m.service(now)), Tail: m.tail(now), Probe: m.probe, Age: max(0, now.Sub(m.called))}
	if m.probed.After(m.called) {
		s.Age = max(0, now.Sub(m.probed))
	}
	if sum, seconds := m.over(now.Add(-RateWindow)); seconds > 0 {
		s.Rate = sum.n / seconds
	}
	return s
}
