// Package link keeps the connections between a UE and its edge hosts: dial, listen,
// streams, paths. They go over QUIC, or, where UDP is blocked, over TLS on TCP. When a peer
// cannot be reached, its errors say why in words that an operator can act on.
//
// The first frame of each stream says what the stream is for (package wire), so
// streams carry no other mark.
//
// # Paths
//
// A connection outlives its socket. A UE that changes its network calls
// [Conn.SwitchPath]. One whose address changes at a NAT does nothing. A send that fails
// counts as a lost packet, so an interface may be down for as long as the idle timeout,
// 5 s.
//
// # Before the handshake is done
//
// A UE whose tls.Config has a ClientSessionCache resumes its connection to a host
// that it knows: [Dial] returns at once, and what is sent before
// [Conn.Confirmed] arrives half a round trip later, with the ClientHello (0-RTT).
// An attacker who has recorded such data can send it again, any number of times, so both
// ends have a duty. The UE sends early, by [Conn.Early], only frames that may be repeated:
// Hello, Have and Ping. For these the edge host does nothing that lasts or that another
// session can see, and it waits for Confirmed before it acts on any other frame. When
// the host has forgotten the UE and refuses the early data, Early sends it again after a
// whole handshake.
//
// # Who the peer is
//
// A peer's certificate is checked in the handshake, also in that of a connection which is resumed, and
// before early data is looked at (package identity). [Conn.PeerFault] checks it again: a connection
// must not outlive what it was begun with.
//
// # Over TCP
//
// [DialTCP] and [ListenTCP] make connections that have the same streams and none of the
// above: they do not change their path, send nothing early, do not know priorities, and a
// lost packet holds up all streams.
//
// # Losing a host
//
// The idle timeout ends a dead connection after 5 s. Three things find a lost host
// sooner: the caller's own deadlines; a [Lifeline], at once when the host's process ends;
// and [ErrRestarted], when the host is back and the UE sends. A connection over TCP ends with
// [ErrGone] at once.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/internal/identity"
)

// The errors with which a connection ends, or its dial fails.
var (
	// ErrVersion says that the peer speaks no version of the protocol that we speak.
	ErrVersion = errors.New("peer speaks another protocol, or another version of ours")
	// ErrIdentity says that one end does not accept the other's certificate. A
	// CertificateError says why.
	ErrIdentity = errors.New("one end does not accept the other's certificate")
	// ErrHandshake says that something answers at the address with which no connection can
	// be made.
	ErrHandshake = errors.New("no handshake with what is at the address")
	// ErrNoNetwork says that the machine has no way to the address.
	ErrNoNetwork = errors.New("no network leads there")
	// ErrNoAnswer says that nothing answered at the address.
	ErrNoAnswer = errors.New("no answer")
	// ErrClosed says that one end closed the connection in order.
	ErrClosed = errors.New("connection is closed")
	// ErrRestarted says that the edge host does not know the connection: its
	// process has ended and another one has taken its place. After SwitchPath the
	// connection ends with ErrNoAnswer instead.
	ErrRestarted = errors.New("host has restarted")
	// ErrGone says that the peer's process has ended, or that something on the way has cut
	// the connection. Only a connection over TCP ends so: over QUIC there is silence.
	ErrGone = errors.New("peer is gone")
)

// The connection's timers. Deadlines of calls find a lost host long before
// idleTimeout, which only ends what is left of the connection.
const (
	handshakeTimeout = 3 * time.Second
	idleTimeout      = 5 * time.Second
	keepAlive        = 1500 * time.Millisecond
)

// maxStreams is how many streams a peer may have open at once: 1,000 channels
// with two streams each, 256 calls, and messages of mode Latest. A UE with more
// waits for one to end. An idle stream costs 1.6 KB at the UE and 2.1 at the host.
const maxStreams = 4096

// firstPackets is the size of the packets of a handshake: the least that QUIC allows (RFC
// 9000 section 14.1). A path of MTU 1280, which IPv6 guarantees and most tunnels have, has no
// room for quic-go's default of 1280 bytes. Later packets grow as the path allows.
const firstPackets = 1200

func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout: handshakeTimeout,
		MaxIdleTimeout:       idleTimeout,
		KeepAlivePeriod:      keepAlive,
		MaxIncomingStreams:   maxStreams,
		// No unidirectional streams: each is a request and its answer.
		MaxIncomingUniStreams: -1,
		Allow0RTT:             true,
		InitialPacketSize:     firstPackets,
		// A video frame of 100 KB must not wait for a window update.
		InitialStreamReceiveWindow:     1 << 20,
		InitialConnectionReceiveWindow: FirstWindow,
	}
}

// A Conn is a connection to one peer. It may be used by many goroutines.
type Conn struct{ carrier }

// A Transport is what carries connections.
type Transport int

// The transports. Only QUIC has paths, early data and priorities, and loses only the
// streams concerned a packet's time when a packet is lost.
const (
	QUIC Transport = iota
	TCP
)

// String returns "quic" or "tcp".
func (t Transport) String() string {
	if t == TCP {
		return "tcp"
	}
	return "quic"
}

// A carrier is what carries a connection's streams. Its methods are those of Conn.
type carrier interface {
	open(ctx context.Context) (Stream, error)
	accept(ctx context.Context) (Stream, error)
	early(ctx context.Context, f func(Stream) error) error
	switchPath(ctx context.Context, pc net.PacketConn) error

	confirmed() <-chan struct{}
	resumed() bool
	stale() bool
	done() <-chan struct{}
	err() error

	protocol() string
	transport() Transport
	peer() identity.ID
	verify() error
	dismiss(why *CertificateError) error
	remoteAddr() net.Addr
	metrics() Metrics
	onGrowth(may func(n int64) bool)
	window() int64
	close(reason string) error
}

// A Stream is a stream of a Conn: a request one way and its answer the other. Read and
// Write may be called at the same time, the other methods at any time.
type Stream interface {
	io.Reader
	io.Writer
	// Close ends what is sent: the peer reads io.EOF after the last byte.
	Close() error
	// CloseRead gives up what the peer still sends: its Write fails. What is sent to it
	// still arrives.
	CloseRead()
	// Reset gives up both directions at once: Read and Write fail from then on, here and at
	// the peer, and so do those under way.
	Reset()
	// SetReadDeadline ends Reads at t, and SetWriteDeadline Writes. Zero means never.
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	// SetPriority says when the stream's bytes go out among those of others. See Urgency.
	SetPriority(urgency int8, incremental bool)
	// Number tells the streams of a Conn apart. A stream that was opened later has a
	// higher one.
	Number() int64
	// Context ends when nothing more can be sent: after Close and Reset, when the peer has
	// given the stream up, and with the connection.
	Context() context.Context
}

// Dial connects to the edge host at addr over pc, which belongs to the
// connection from then on, also when Dial fails. It returns when streams can be
// opened: after a round trip, or at once if conf has a ClientSessionCache that
// remembers the host. A cache is for one certificate and any number of hosts.
func Dial(ctx context.Context, pc net.PacketConn, addr net.Addr, conf *tls.Config) (*Conn, error) {
	p := newPath(newSocket(pc))
	qc, err := p.tr.DialEarly(ctx, addr, withSessions(conf, addr), quicConfig())
	if err == nil && isDone(qc.HandshakeComplete()) {
		err = checkVersion(qc, conf, true)
	}
	if err != nil {
		p.close()
		return nil, whatWeSpeak(Explain(p.whySilent(err)), conf)
	}
	p.steady.Store(true)
	c := &quicConn{qc: qc, conf: conf, addr: addr, turn: make(chan struct{}, 1), path: p, paths: []*path{p}}
	c.inUse.Store(p)
	return &Conn{c}, nil
}

// Explain returns err as, or with, the error of this package that says what it means. It names
// no address: who dials knows it.
func Explain(err error) error {
	var te *quic.TransportError
	var idle *quic.IdleTimeoutError
	var hs *quic.HandshakeTimeoutError
	var app *quic.ApplicationError
	var reset *quic.StatelessResetError
	var vn *quic.VersionNegotiationError
	var errno syscall.Errno
	d := distrust(err)
	switch {
	case d != nil:
		return d
	case errors.As(err, &te) && te.ErrorCode == firstAlert+alertNoProtocol, errors.As(err, &vn):
		return ErrVersion
	case errors.As(err, &te) && te.ErrorCode.IsCryptoError():
		return fmt.Errorf("%w (%w)", ErrHandshake, err)
	case errors.As(err, &app) && isDismissal(uint64(app.ErrorCode)):
		return dismissed(app.Remote, uint64(app.ErrorCode))
	case errors.As(err, &app) && app.ErrorCode == wrongVersion:
		return fmt.Errorf("%w: %.100q", ErrVersion, app.ErrorMessage)
	case errors.As(err, &app) && app.ErrorCode == 0:
		return fmt.Errorf("%w: %.100q", ErrClosed, app.ErrorMessage)
	case errors.As(err, &hs), errors.As(err, &idle):
		return ErrNoAnswer
	case errors.As(err, &reset):
		return ErrRestarted
	case errors.As(err, &errno) && isGone(errno):
		return fmt.Errorf("%w: %w", ErrNoNetwork, errno)
	}
	return explainTCP(err)
}

// IsGivenUp says whether err is that of a stream which the peer has given up. Over TCP, where it
// cannot be told, this end may have.
func IsGivenUp(err error) bool {
	var reset *quic.StreamError
	return errors.As(err, &reset) && reset.Remote || errors.Is(err, errReset)
}

// isGone says whether a send gave an errno because there is no network, or none that leads to
// the address.
func isGone(errno syscall.Errno) bool {
	switch errno {
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL:
		return true
	}
	return false
}

// alertNoProtocol is TLS alert no_application_protocol (RFC 7301 section 3.2).
const alertNoProtocol = 120

// Open opens a stream. It waits until the connection is Confirmed, so that nobody can repeat what is sent, and while the peer allows
// no further one. (quic-go v0.65 also reads the peer's parameters for a new stream while the handshake may write them.)
func (c *Conn) Open(ctx context.Context) (Stream, error) { return c.open(ctx) }

// Accept returns the next stream which the peer opened.
func (c *Conn) Accept(ctx context.Context) (Stream, error) { return c.accept(ctx) }

// Done is closed when the connection has ended. Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done() }

// Err returns why the connection ended, nil while it has not.
func (c *Conn) Err() error { return c.err() }

// Peer returns the ID in the peer's certificate, the zero ID if it has none. On a resumed connection it
// is the certificate of the first one. A UE that has not Confirmed yet knows it, too.
func (c *Conn) Peer() identity.ID { return c.peer() }

// Protocol returns the name of what is spoken, as the handshake has chosen it: wire.ALPN, or another one of
// package wire. Of a connection that is not Confirmed it may be "".
func (c *Conn) Protocol() string { return c.protocol() }

// Transport says what carries the connection.
func (c *Conn) Transport() Transport { return c.transport() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remoteAddr() }

// Close ends the connection and all of its streams. The peer is told reason.
// Further calls do nothing.
func (c *Conn) Close(reason string) error { return c.close(reason) }
