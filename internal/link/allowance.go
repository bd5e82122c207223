package link

import (
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/cores"
)

// An allowance lets something happen once in every, and atOnce times more where it has not happened for long. It may be
// used by many goroutines.
type allowance struct {
	every  time.Duration // constant, as is
	atOnce int

	mu   sync.Mutex // leaf
	next time.Time  // when the next one would come, if each came as early as it may
}

// take says whether one more may happen at now, and counts it then.
func (a *allowance) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetLocked(now)
	if a.next.After(now) {
		return false
	}
	a.next = a.next.Add(a.every)
	return true
}

// reserve counts one more at now, and returns for how long it has to wait.
func (a *allowance) reserve(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetLocked(now)
	wait := max(0, a.next.Sub(now))
	a.next = a.next.Add(a.every)
	return wait
}

// forgetLocked bounds what has been saved up.
func (a *allowance) forgetLocked(now time.Time) {
	if full := now.Add(-time.Duration(a.atOnce) * a.every); a.next.Before(full) {
		a.next = full
	}
}

// Handshakes of each listener, and of those that it was asked for with Also, get an eighth of the cores. Whoever has a certificate, or the patience to prove an
// address, can ask for any number of them; those who are connected have the rest. A host whose UEs come back
// all together serves 83 a second for each core.
const (
	handshakeCost    = 1500 * time.Microsecond // of a core: key exchange, two signatures, a connection
	handshakeShare   = 8
	handshakesAtOnce = 16
)

// newHandshakes returns the allowance of listeners.
func newHandshakes() *allowance {
	return &allowance{every: handshakeCost * handshakeShare / time.Duration(cores.N()), atOnce: handshakesAtOnce}
}
