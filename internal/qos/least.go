package qos

import "time"

// A Least keeps the least round-trip time of the last 10 to 20 s, and nothing else, in 24 bytes: an offload manager has one for each
// host that a session has measured. Its times are those of any clock that does not go back. The zero Least knows nothing. It belongs to one goroutine.
type Least struct {
	mins  [2]time.Duration // of the window before, and of this one; 0: none
	since time.Duration    // when this window began
}

// minWindow is how long the least round-trip time counts, at least; twice that at most. A UE that moves to another network is
// further from its host than it was.
const minWindow = 10 * time.Second

// Add adds a round-trip time, measured at now. One that is not positive is left out.
func (l *Least) Add(now, rtt time.Duration) {
	if rtt <= 0 {
		return
	}
	if l.mins[1] == 0 || now-l.since >= minWindow {
		l.mins, l.since = [2]time.Duration{l.mins[1], rtt}, now
	}
	l.mins[1] = min(l.mins[1], rtt)
}

// RTT returns the least one, 0 if none is known.
func (l *Least) RTT() time.Duration {
	if l.mins[0] > 0 {
		return min(l.mins[0], l.mins[1])
	}
	return l.mins[1]
}
