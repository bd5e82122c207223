package host

import (
	"math"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/cores"
)

// A pacer shares between tenants what the host does for them outside the turns of guests: streams that are opened, and
// given up at once; frames that are read, and answered. No turn bounds that, and the runtime runs goroutines in the order in which
// they became ready; so where many wait, those who ask most wait, too, before more is read from them.
//
// Each tenant has a purse of time, which fills at the same rate for all. The rate is so high that nobody notices, until
// goroutines wait for cores; then it is halved, again and again, down to an equal part of a quarter of the cores. It
// rises when they wait no longer. A tenant that uses less than the rate is never held back.
type pacer struct {
	cores float64

	mu      sync.Mutex           // leaf
	waiting func() time.Duration // that goroutines have waited for cores, in all, since the process began
	rate    float64              // cores for each tenant
	begin   time.Time            // of the window
	waited  time.Duration
	uses    map[*purse]time.Duration // since then; of all tenants that were active in the last paceMemory
}

// A purse is what a tenant may use at once. What is not constant is guarded by the pacer's mu.
type purse struct {
	first chan struct{} // capacity 1: held by the one that looks at the level, of all that wait for it

	level float64   // ns; negative: it owes
	at    time.Time // of level; zero: it is full
}

// Rough estimates of what the host does for a tenant. A call of 1 KB costs some 60 us outside its guest. Tenants are compared
// with each other, so that only what one kind of work costs beside another one matters.
const (
	streamEffort = 15 * time.Microsecond // to open a stream and to end it
	frameEffort  = 20 * time.Microsecond // to read what has come, or to write
	byteEffort   = 3 * time.Nanosecond
)

const (
	// paceWindow is how long the pacer looks before it changes the rate.
	paceWindow = 20 * time.Millisecond
	// paceMemory is how long a tenant counts as active: most call some times a second.
	paceMemory = time.Second
	// fullPurse is what a tenant may use at once: some hundred calls.
	fullPurse = 5 * time.Millisecond
	// mostWaiting is how many goroutines may wait for each core, on average, before tenants are held back. In
	// a siege some two hundred did.
	mostWaiting = 4
	// A pause has bounds: a shorter one costs more than it saves, and in a longer one the rate may have risen.
	shortestPause = time.Millisecond
	longestPause  = 100 * time.Millisecond
)

func newPacer() *pacer {
	n := float64(cores.N())
	return &pacer{cores: n, rate: n, waiting: schedulerWaits(), uses: map[*purse]time.Duration{}}
}

// spend counts what was done for the tenant whose purse u is.
func (p *pacer) spend(u *purse, effort time.Duration) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookLocked(now)
	u.fill(now, p.rate)
	u.level -= float64(effort)
	p.uses[u] += effort
}

func newPurse() *purse { return &purse{first: make(chan struct{}, 1)} }

// await waits until u owes nothing, or done is closed. Of all that wait only one has a timer: an attacker has thousands.
func (p *pacer) await(u *purse, done <-chan struct{}) {
	if p.pause(u, time.Now()) <= 0 {
		return
	}
	select {
	case u.first <- struct{}{}:
		defer func() { <-u.first }()
	case <-done:
		return
	}
	for {
		pause := p.pause(u, time.Now())
		if pause <= 0 {
			return
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-done:
			t.Stop()
			return
		}
	}
}

// pause returns how long u is to wait before it asks again; 0 where it owes nothing.
func (p *pacer) pause(u *purse, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookLocked(now)
	u.fill(now, p.rate)
	if u.level >= 0 {
		return 0
	}
	return min(max(time.Duration(-u.level/p.rate), shortestPause), longestPause)
}

func (u *purse) fill(now time.Time, rate float64) {
	if u.at.IsZero() {
		u.level = float64(fullPurse)
	} else {
		u.level = min(float64(fullPurse), u.level+rate*float64(now.Sub(u.at)))
	}
	u.at = now
}

// lookLocked sets the rate when a window has ended.
func (p *pacer) lookLocked(now time.Time) {
	long := now.Sub(p.begin)
	if long < paceWindow {
		return
	}
	waited := p.waiting()
	busy := float64(waited-p.waited) > mostWaiting*p.cores*float64(long)
	var most time.Duration
	for u, used := range p.uses {
		most = max(most, used)
		if p.uses[u] = 0; now.Sub(u.at) > paceMemory {
			delete(p.uses, u)
		}
	}
	p.rate = nextRate(p.rate, p.cores, busy, len(p.uses), float64(most)/float64(long))
	p.begin, p.waited = now, waited
}

// nextRate returns the rate after a window, when so many tenants are active, and one of them used most cores in it. It falls at once, and rises by a
// twentieth, in seconds: else attackers have most of the core between its falls. A lone
// tenant is not held back: nobody would have what it does not get.
func nextRate(rate, cores float64, busy bool, tenants int, most float64) float64 {
	if !busy || tenants < 2 {
		return min(cores, rate*1.05)
	}
	return max(cores/4/float64(tenants), min(rate, most)/2)
}

// schedulerWaits returns a function, for one goroutine at a time, that says how long goroutines have waited for cores.
func schedulerWaits() func() time.Duration {
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}} // its histogram is reused
	return func() time.Duration {
		metrics.Read(sample)
		if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
			return 0
		}
		h := sample[0].Value.Float64Histogram()
		return sumOf(h.Counts, h.Buckets)
	}
}

// sumOf is about the sum of what a histogram of seconds has counted.
func sumOf(counts []uint64, bounds []float64) time.Duration {
	var sum float64
	for i, n := range counts {
		from, to := max(bounds[i], 0), bounds[i+1]
		if math.IsInf(to, 1) {
			to = from
		}
		sum += float64(n) * (from + to) / 2
	}
	return time.Duration(sum * float64(time.Second))
}
