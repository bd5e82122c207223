// Package link keeps the QUIC connections between a UE and its edge hosts over
// a net.PacketConn: dial, listen, streams. It says why a peer cannot be
// reached in words that an operator can act on.
//
// The first frame of each stream tells what the stream is for (package wire), so
// a stream carries no other mark.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
)

// What a connection can end with, or fail with at the dial.
var (
	// ErrVersion says that the peer speaks no version of the protocol that we speak.
	ErrVersion = errors.New("peer speaks another protocol version than " + wire.ALPN)
	// ErrIdentity says that one end's certificate is not of the other's authority.
	ErrIdentity = errors.New("certificates of the two ends are not of one authority")
	// ErrNoAnswer says that nothing answered at the address.
	ErrNoAnswer = errors.New("no answer")
	// ErrClosed says that one end closed the connection in order.
	ErrClosed = errors.New("connection is closed")
)

// The connection's timers. A lost host is found by deadlines of calls long
// before idleTimeout, which only ends what is left of the connection.
const (
	handshakeTimeout = 3 * time.Second
	idleTimeout      = 5 * time.Second
	keepAlive        = 1500 * time.Millisecond
)

// maxStreams is how many streams a peer may have open at once. A UE with more
// calls in flight waits for one of them to end.
const maxStreams = 256

func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout: handshakeTimeout,
		MaxIdleTimeout:       idleTimeout,
		KeepAlivePeriod:      keepAlive,
		MaxIncomingStreams:   maxStreams,
		// No unidirectional streams: each is a request and its answer.
		MaxIncomingUniStreams: -1,
		// A video frame of 100 KB must not wait for a window update.
		InitialStreamReceiveWindow:     1 << 20,
		InitialConnectionReceiveWindow: 2 << 20,
	}
}

// A Conn is a connection to one peer. It may be used by many goroutines.
type Conn struct {
	qc *quic.Conn
	tr *quic.Transport // of a dialled connection: ends with it
}

// A Stream is a stream of a Conn: a request one way and its answer the other.
type Stream = quic.Stream

// Dial connects to the edge host at addr over pc, which belongs to the
// connection from then on, also when Dial fails.
func Dial(ctx context.Context, pc net.PacketConn, addr net.Addr, conf *tls.Config) (*Conn, error) {
	tr := &quic.Transport{Conn: tune(pc)}
	qc, err := tr.Dial(ctx, addr, conf, quicConfig())
	if err != nil {
		tr.Close()
		pc.Close()
		return nil, fmt.Errorf("dial %s: %w", addr, Explain(err))
	}
	return &Conn{qc, tr}, nil
}

// Explain returns err with the sentinel of this package that says what it means.
func Explain(err error) error {
	var te *quic.TransportError
	var idle *quic.IdleTimeoutError
	var hs *quic.HandshakeTimeoutError
	var app *quic.ApplicationError
	switch {
	case errors.As(err, &te) && te.ErrorCode.IsCryptoError():
		if alert := te.ErrorCode - 0x100; alert == alertNoProtocol {
			return fmt.Errorf("%w (%w)", ErrVersion, err)
		}
		return fmt.Errorf("%w (%w)", ErrIdentity, err)
	case errors.As(err, &app) && app.ErrorCode == 0:
		return fmt.Errorf("%w: %.100q", ErrClosed, app.ErrorMessage)
	case errors.As(err, &hs), errors.As(err, &idle):
		return fmt.Errorf("%w (%w)", ErrNoAnswer, err)
	}
	return err
}

// alertNoProtocol is TLS alert no_application_protocol (RFC 7301 section 3.2).
const alertNoProtocol = 120

// Open opens a stream. It waits while the peer allows no more.
func (c *Conn) Open(ctx context.Context) (*Stream, error) { return c.qc.OpenStreamSync(ctx) }

// Accept returns the next stream which the peer opened.
func (c *Conn) Accept(ctx context.Context) (*Stream, error) { return c.qc.AcceptStream(ctx) }

// Done is closed when the connection has ended. Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.qc.Context().Done() }

// Err returns why the connection ended, nil while it has not.
func (c *Conn) Err() error {
	if c.qc.Context().Err() == nil {
		return nil
	}
	return Explain(context.Cause(c.qc.Context()))
}

// Peer returns the name in the peer's certificate.
func (c *Conn) Peer() string { return identity.Peer(c.qc.ConnectionState().TLS) }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.qc.RemoteAddr() }

// Close ends the connection and all of its streams. The peer is told reason.
func (c *Conn) Close(reason string) error {
	err := c.qc.CloseWithError(0, reason)
	if c.tr != nil {
		err = errors.Join(err, c.tr.Close(), c.tr.Conn.Close())
	}
	return err
}

// A Listener accepts connections.
type Listener struct {
	tr *quic.Transport
	ln *quic.Listener
}

// Listen accepts connections on pc, which belongs to the listener from then on.
func Listen(pc net.PacketConn, conf *tls.Config) (*Listener, error) {
	tr := &quic.Transport{Conn: tune(pc)}
	ln, err := tr.Listen(conf, quicConfig())
	if err != nil {
		tr.Close()
		pc.Close()
		return nil, err
	}
	return &Listener{tr, ln}, nil
}

// Accept returns the next connection.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	qc, err := l.ln.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{qc: qc}, nil
}

// Addr returns the address that the listener listens on.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Close ends the listener and all of its connections.
func (l *Listener) Close() error {
	return errors.Join(l.ln.Close(), l.tr.Close(), l.tr.Conn.Close())
}
