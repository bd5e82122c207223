package check

import (
	"slices"
	"sync"
	"time"
)

// A fault is what a script did to an edge host, as far as it excuses channels.
type fault int

const (
	// laggard: what is sent to it and comes from it may take long.
	laggard fault = iota
	// unwilling: it may refuse to take far endpoints.
	unwilling
	// refusing: it may break at a state that it is given.
	refusing
	// withholding: it may not give its state.
	withholding
	// doomed: it may be lost, with its far endpoints.
	doomed
	// gone: it is lost.
	gone
	faults // how many there are
)

// grace is for how long a fault excuses what comes after its end. A connection is given up
// after 5 s of silence, and a dial takes 3 s to fail.
const grace = 10 * time.Second

// forever is longer than a script may take.
const forever = 2 * limit

// A blame knows which edge hosts have had faults, and what may have made a run slow. It
// may be used by many goroutines at once.
type blame struct {
	mu      sync.Mutex
	until   map[Host][faults]time.Time
	slowest time.Duration // that a host took for each message
	rate    int           // bits a second of the slowest link; 0: none was slow
	pauses  time.Duration // of all receivers
}

// excuse takes note that h has fault f for a time of d from now on.
func (b *blame) excuse(h Host, f fault, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until == nil {
		b.until = map[Host][faults]time.Time{}
	}
	until := b.until[h]
	if end := time.Now().Add(d); end.After(until[f]) {
		until[f] = end
	}
	b.until[h] = until
}

// forgive ends a fault of h, but for the time of grace.
func (b *blame) forgive(h Host, f fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	until, now := b.until[h], time.Now()
	if until[f].After(now) {
		until[f] = now
		b.until[h] = until
	}
}

// has says whether h has one of these faults, or had it until a short while ago.
func (b *blame) has(h Host, any ...fault) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range any {
		if end := b.until[h][f]; !end.IsZero() && time.Since(end) < grace {
			return true
		}
	}
	return false
}

// lost says whether the far endpoints of h may be lost.
func (b *blame) lost(h Host) bool { return b.has(h, doomed, gone) }

// someLost says whether those of any host may be.
func (b *blame) someLost() bool { return slices.ContainsFunc(hosts, b.lost) }

// ever says whether h has had any fault.
func (b *blame) ever(h Host) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.until[h]
	return ok
}

func (b *blame) slowed(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slowest = max(b.slowest, d)
}

func (b *blame) paused(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pauses += d
}

func (b *blame) throttled(rate int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rate > 0 && (b.rate == 0 || rate < b.rate) {
		b.rate = rate
	}
}

// pace is how long each byte takes at a connection's begin, on any link.
const pace = 2 * time.Microsecond

// takes is how long messages in a row and bytes may take.
func (b *blame) takes(messages, bytes int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := time.Duration(messages)*b.slowest + time.Duration(bytes)*pace
	if b.rate > 0 { // twice: others share the link, and packets are lost when its queue is full
		d += 2 * time.Duration(8*bytes) * time.Second / time.Duration(b.rate)
	}
	return d
}
