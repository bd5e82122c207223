package link

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

// retryRate is how many handshakes a second a host begins with addresses that have not proved
// that they receive what is sent to them. To begin one costs the host a key exchange and a
// signature. Many more of them than UEs make are a flood, whose addresses may be forged: until
// it ends, each has to come again with a token that the host has sent there (RFC 9000 section
// 8.1.2). A UE pays a round trip then.
const retryRate = 100

// A gate counts unverified handshakes over all addresses, in seconds.
type gate struct {
	log        *slog.Logger
	handshakes *allowance // of the listener, and of those that share it

	mu      sync.Mutex
	begin   time.Time // of the second
	count   int       // in it
	flooded bool      // the second before had too many

	retries chan struct{} // those that quic-go is asked for and has not sent
}

// mostRetries is how many Retries quic-go keeps until it has sent them (its server.go): it drops
// those that come beyond.
const mostRetries = 8

// retryPatience is how long a handshake waits until a Retry goes out. They take a few
// microseconds each, except one that quic-go could not send: its place is taken then.
const retryPatience = time.Millisecond

func newGate(log *slog.Logger, handshakes *allowance) *gate {
	return &gate{log: log, handshakes: handshakes, retries: make(chan struct{}, mostRetries)}
}

// admit says whether to begin a handshake with an unverified address, and whether a flood
// begins.
func (g *gate) admit(now time.Time) (ok, begins bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if since := now.Sub(g.begin); since >= time.Second {
		g.flooded = g.count > retryRate && since < 2*time.Second
		g.begin, g.count = now, 0
	}
	g.count++
	return !g.flooded && g.count <= retryRate, !g.flooded && g.count == retryRate+1
}

// verify is a quic.Transport's VerifySourceAddress. It returns true, which asks for a Retry, once
// quic-go has room for one. A handshake that would have to wait is asked for one, too: only verified
// addresses wait, as those that are forged would make the others wait. One goroutine calls it, which only
// begins handshakes: connections do not wait.
func (g *gate) verify(net.Addr) bool {
	now := time.Now()
	ok, begins := g.admit(now)
	ok = ok && g.handshakes.take(now)
	if begins {
		g.log.Info("many handshakes: addresses are verified by Retry", "most", retryRate, "in", time.Second)
	}
	if !ok {
		g.await()
	}
	return !ok
}

// await waits for room for a Retry.
func (g *gate) await() {
	select {
	case g.retries <- struct{}{}:
		return
	default:
	}
	late := time.NewTimer(retryPatience)
	defer late.Stop()
	select {
	case g.retries <- struct{}{}:
	case <-late.C:
	}
}

// sent sees each packet that the host sends.
func (g *gate) sent(b []byte) {
	if len(b) == 0 || b[0]&0xf0 != 0xf0 { // no Retry (RFC 9000 section 17.2.5)
		return
	}
	select {
	case <-g.retries:
	default:
	}
}
