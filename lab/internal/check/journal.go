package check

import (
	"sync"
	"sync/atomic"
)

// A journal is what one channel's far endpoints did, wherever they stood. It is
// for a far endpoint of a seed's one process; of several processes each has its own.
type journal struct {
	once      bool // no message may be handled twice
	fail      func(format string, args ...any)
	instances atomic.Uint64

	mu      sync.Mutex
	times   map[uint64]int      // how often each message was handled
	repeats int                 // handlings of a message after its first one
	states  map[uint64]struct{} // hashes of all states that there were; nil: not known
}

func newJournal(once bool, fail func(string, ...any)) *journal {
	return &journal{once: once, fail: fail, times: map[uint64]int{}, states: map[uint64]struct{}{0: {}}}
}

// instance returns the number of a far endpoint that is made.
func (j *journal) instance() uint64 { return j.instances.Add(1) }

// handled takes note that an instance in state s has been given m.
func (j *journal) handled(g *ground, instance uint64, s state, m message) {
	if m.seq <= s.last {
		j.fail("instance %d on %s was given message %d after message %d", instance, g.host, m.seq, s.last)
	}
	j.mu.Lock()
	j.times[m.seq]++
	n := j.times[m.seq]
	if n > 1 {
		j.repeats++
	}
	_, known := j.states[s.hash]
	if j.states == nil {
		known = true
	} else {
		j.states[s.after(m).hash] = struct{}{}
	}
	j.mu.Unlock()
	if !known {
		j.fail("instance %d on %s has state %016x before message %d, which no far endpoint left", instance, g.host, s.hash, m.seq)
	}
	if n > 1 && j.once {
		j.fail("message %d of an endpoint that is not idempotent was handled %d times, at last by instance %d on %s", m.seq, n, instance, g.host)
	}
}
