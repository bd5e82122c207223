package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/internal/identity"
)

// A quicConn carries streams over QUIC.
type quicConn struct {
	qc   *quic.Conn
	addr net.Addr // the peer's, of a dialled connection; nil for an accepted one

	windows *windows // of the listener; nil for a dialled one

	conf    *tls.Config                      // says whom to accept
	refusal atomic.Pointer[CertificateError] // why this end has ended the connection

	isStale atomic.Bool // see Stale

	turn chan struct{} // held by the one that switches paths; cap 1
	path *path         // in use; for the holder of turn

	inUse atomic.Pointer[path] // the same, for metrics; nil for an accepted connection

	mu     sync.Mutex
	paths  []*path // of a dialled connection; appended to by the holder of turn only
	closed bool
	state  *quic.ConnectionState // once the handshake is done
}

// A quicStream is a stream of a quicConn. It has one pointer, so that a Stream holds it
// without a further allocation.
type quicStream struct{ *quic.Stream }

func (s quicStream) Reset() {
	s.CancelRead(0)
	s.CancelWrite(0)
}

func (s quicStream) CloseRead() { s.CancelRead(0) }

func (s quicStream) Number() int64 { return int64(s.StreamID()) }

func (c *quicConn) open(ctx context.Context) (Stream, error) {
	select {
	case <-c.confirmed():
		return c.openNow(ctx)
	case <-c.done():
		return nil, c.err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// openNow opens a stream also before the handshake is done.
func (c *quicConn) openNow(ctx context.Context) (Stream, error) {
	st, err := c.qc.OpenStreamSync(ctx)
	if err != nil && c.refused(ctx, err) {
		st, err = c.qc.OpenStreamSync(ctx)
	}
	return streamOf(st, err)
}

func (c *quicConn) accept(ctx context.Context) (Stream, error) {
	st, err := c.qc.AcceptStream(ctx)
	if err != nil && c.refused(ctx, err) {
		st, err = c.qc.AcceptStream(ctx)
	}
	return streamOf(st, err)
}

func streamOf(st *quic.Stream, err error) (Stream, error) {
	if err != nil {
		return nil, err
	}
	return quicStream{st}, nil
}

func (c *quicConn) done() <-chan struct{} { return c.qc.Context().Done() }

func (c *quicConn) err() error {
	if c.qc.Context().Err() == nil {
		return nil
	}
	if why := c.refusal.Load(); why != nil {
		return why
	}
	return Explain(context.Cause(c.qc.Context()))
}

func (c *quicConn) protocol() string { return c.connectionState().TLS.NegotiatedProtocol }

func (c *quicConn) transport() Transport { return QUIC }

func (c *quicConn) peer() identity.ID { return identity.Peer(c.connectionState().TLS) }

func (c *quicConn) verify() error { return identity.Recheck(c.conf, c.connectionState().TLS) }

func (c *quicConn) dismiss(why *CertificateError) error {
	c.refusal.CompareAndSwap(nil, why)
	return errors.Join(c.qc.CloseWithError(quic.ApplicationErrorCode(why.code()), why.Reason()), c.closePaths())
}

func (c *quicConn) remoteAddr() net.Addr {
	if c.addr != nil {
		return c.addr
	}
	return c.qc.RemoteAddr()
}

func (c *quicConn) close(reason string) error {
	return errors.Join(c.qc.CloseWithError(0, reason), c.closePaths())
}
