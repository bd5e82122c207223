package link

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// strangers logs the handshakes that fail at a listener: each address and cause once in ten
// minutes, and at most twenty a minute. Whoever wants to can make any number of them fail.
type strangers struct {
	log *slog.Logger

	mu     sync.Mutex
	since  time.Time // when the minute of left began
	left   int       // lines
	hidden int       // not logged, and not counted in the log yet
	said   map[stranger]time.Time
	failed HandshakeFailures
}

// HandshakeFailures are how many handshakes have failed at a listener, by what was wrong. Those of
// peers that gave up, or were gone, do not count.
type HandshakeFailures struct {
	Identity uint64 // a certificate, of either end
	Version  uint64 // the peer speaks no protocol of ours
	Other    uint64
}

// Add adds other to f.
func (f *HandshakeFailures) Add(other HandshakeFailures) {
	f.Identity += other.Identity
	f.Version += other.Version
	f.Other += other.Other
}

// count counts a failed handshake.
func (s *strangers) count(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(why, ErrIdentity):
		s.failed.Identity++
	case errors.Is(why, ErrVersion):
		s.failed.Version++
	default:
		s.failed.Other++
	}
}

func (s *strangers) failures() HandshakeFailures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// HandshakeFailures returns how many handshakes have failed.
func (l *Listener) HandshakeFailures() HandshakeFailures { return l.strangers.failures() }

// HandshakeFailures returns how many handshakes have failed.
func (l *TCPListener) HandshakeFailures() HandshakeFailures { return l.strangers.failures() }

// A stranger is an address without its port, and a cause.
type stranger struct{ addr, cause string }

const (
	strangerMemory = 10 * time.Minute
	strangerLines  = 20 // a minute
	strangersKept  = 1024
)

// add counts and logs that the handshake of a peer has failed.
func (s *strangers) add(from net.Addr, why error) {
	s.count(why)
	cause := why.Error()
	if c := (*CertificateError)(nil); errors.As(why, &c) {
		cause = c.Reason() // what else it says changes with the time
	}
	if hidden, ok := s.admit(stranger{host(from), cause}, time.Now()); ok {
		s.log.Warn("handshake failed", "addr", from.String(), "why", why)
		if hidden > 0 {
			s.log.Warn("handshakes failed that are not logged", "count", hidden)
		}
	}
}

// admit says whether to log f, and how many were not logged before it.
func (s *strangers) admit(f stranger, now time.Time) (hidden int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.since) >= time.Minute {
		s.left, s.since = strangerLines, now
	}
	if last, said := s.said[f]; said && now.Sub(last) < strangerMemory {
		return 0, false
	}
	if s.left == 0 {
		s.hidden++
		return 0, false
	}
	s.left--
	if s.said == nil || len(s.said) == strangersKept {
		s.said = map[stranger]time.Time{}
	}
	s.said[f] = now
	hidden, s.hidden = s.hidden, 0
	return hidden, true
}

func host(a net.Addr) string {
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return ap.Addr().String()
	}
	return a.String()
}

// isRefused says whether err is that of a peer with which no handshake is possible. One that
// has given up, or is gone, is everyday.
func isRefused(err error) bool {
	return errors.Is(err, ErrIdentity) || errors.Is(err, ErrVersion) || errors.Is(err, ErrHandshake)
}

// watch counts the connection of ctx until its peer is known, and notes how it ends. A handshake with a verified address
// waits for its turn where TLS begins; it is refused at once where there is no room for that. watch is a
// quic.Transport's ConnContext.
func (l *Listener) watch(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	if info.AddrVerified {
		from := network(info.RemoteAddr)
		if !l.opening.handshakes.hasRoom(from) {
			return nil, errCrowded
		}
		ctx = context.WithValue(ctx, queueKey{}, from)
	}
	known, ok := l.young.enter(info)
	if !ok {
		return nil, errCrowded
	}
	l.wg.Add(1)
	context.AfterFunc(ctx, func() {
		defer l.wg.Done()
		known()
		why := context.Cause(ctx)
		if app := (*quic.ApplicationError)(nil); errors.As(why, &app) && isDismissal(uint64(app.ErrorCode)) {
			return // the handshake was long ago
		}
		if err := Explain(why); isRefused(err) {
			l.strangers.add(info.RemoteAddr, err)
		}
	})
	return context.WithValue(ctx, knownKey{}, known), nil
}
