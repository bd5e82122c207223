package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/quic-go/quic-go"
)

// sessions keeps the TLS sessions of one host apart from those of others: all hosts
// have the same name in their certificates, and a ticket is valid only at the host that
// gave it.
type sessions struct {
	tls.ClientSessionCache
	host string
}

func (s sessions) key(name string) string { return name + " " + s.host }

// Get implements tls.ClientSessionCache. Each caller gets a copy of its own: quic-go v0.65 writes to the
// state that it resumes with, and a UE may make two connections with one ticket at once.
func (s sessions) Get(name string) (*tls.ClientSessionState, bool) {
	cs, ok := s.ClientSessionCache.Get(s.key(name))
	if !ok || cs == nil {
		return nil, false
	}
	own, err := copySession(cs)
	return own, err == nil // without a session the handshake is a whole one
}

func copySession(cs *tls.ClientSessionState) (*tls.ClientSessionState, error) {
	ticket, state, err := cs.ResumptionState()
	if err != nil {
		return nil, err
	}
	bytes, err := state.Bytes()
	if err != nil {
		return nil, err
	}
	if state, err = tls.ParseSessionState(bytes); err != nil {
		return nil, err
	}
	return tls.NewResumptionState(ticket, state)
}

// Put implements tls.ClientSessionCache.
func (s sessions) Put(name string, cs *tls.ClientSessionState) {
	s.ClientSessionCache.Put(s.key(name), cs)
}

// withSessions returns conf for use with the host at addr.
func withSessions(conf *tls.Config, addr net.Addr) *tls.Config {
	if conf.ClientSessionCache == nil {
		return conf
	}
	conf = conf.Clone()
	conf.ClientSessionCache = sessions{conf.ClientSessionCache, addr.String()}
	return conf
}

// Confirmed is closed when the handshake is done: then both ends are live, and what
// the peer sent is not a repetition by an attacker. When the handshake fails it stays
// open, and Done is closed.
func (c *Conn) Confirmed() <-chan struct{} { return c.confirmed() }

func (c *quicConn) confirmed() <-chan struct{} { return c.qc.HandshakeComplete() }

// Resumed says whether the host took data that was sent before Confirmed. Until
// Confirmed a UE cannot know, and gets false.
func (c *Conn) Resumed() bool { return c.resumed() }

func (c *quicConn) resumed() bool { return c.connectionState().Used0RTT }

// connectionState returns what the handshake agreed on. quic-go's own method must not be
// called while a path is switched: it reads without a lock what the switch writes.
func (c *quicConn) connectionState() quic.ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != nil {
		return *c.state
	}
	done := isDone(c.confirmed())
	s := c.qc.ConnectionState()
	if done {
		c.state = &s
	}
	return s
}

// Early opens a stream and calls f with it, before Confirmed where that is
// possible. f must do nothing but send frames that may be repeated, and read
// their answers; it returns the stream's error, wrapped or not. If the host
// has refused the early data, f runs a second time, after Confirmed.
func (c *Conn) Early(ctx context.Context, f func(Stream) error) error { return c.early(ctx, f) }

func (c *quicConn) early(ctx context.Context, f func(Stream) error) error {
	err := c.onStream(ctx, f)
	if errors.Is(err, quic.Err0RTTRejected) {
		return c.onStream(ctx, f)
	}
	return err
}

func (c *quicConn) onStream(ctx context.Context, f func(Stream) error) error {
	st, err := c.openNow(ctx)
	if err != nil {
		return err
	}
	return f(st)
}

// refused says whether err means that the host has refused the early data. If so, the
// connection goes on without it.
func (c *quicConn) refused(ctx context.Context, err error) bool {
	if !errors.Is(err, quic.Err0RTTRejected) {
		return false
	}
	qc, err := c.qc.NextConnection(ctx)
	c.isStale.Store(true)
	return err == nil && checkVersion(qc, c.conf, true) == nil
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Stale says that the host has refused the early data, because it was restarted.
// Such a connection works but cannot change its path: quic-go v0.65 sent the
// connection IDs for that with the early data, and does not send them again. Dial anew.
func (c *Conn) Stale() bool { return c.stale() }

func (c *quicConn) stale() bool { return c.isStale.Load() }
