package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"github.com/bungee-xr/bungee/internal/identity"
)

// The codes with which one end of a connection over TCP ends it. They are above those of
// yamux.
const (
	codeClosed  = 0x100
	codeVersion = 0x101
)

var (
	errTCPPath   = errors.New("a connection over TCP cannot change its path")
	errUEOpens   = errors.New("only the end that dialled opens streams")
	errUnasked   = errors.New("the host has opened a stream")
	errMany      = fmt.Errorf("more than %d streams", maxStreams)
	errReset     = errors.New("stream was given up")
	errHasClosed = errors.New("stream is closed")
)

// Windows over TCP. Until the receiver reads, a peer may send a stream firstWindow bytes, and up
// to lastWindow to one that is read fast, as long as the growth of all streams of the connection is at
// most maxGrowth.
const (
	firstWindow = 1 << 20
	lastWindow  = 8 << 20
	maxGrowth   = 32 << 20
)

// maxUnread bounds the bytes that a host keeps of what a UE has sent and nobody has read. It
// begins with FirstWindow and grows by unreadStep, see OnGrowth. Beyond it the host reads
// nothing more of the connection until a stream is read; if that takes longer than a ping
// may, the connection ends.
const (
	maxUnread  = 32 << 20
	unreadStep = 1 << 20
)

// A tcpConn carries streams over TLS 1.3 on TCP: yamux cuts them into frames.
type tcpConn struct {
	mux  *yamux.Session
	conn *muxConn
	conf *tls.Config // says whom to accept
	tls  tls.ConnectionState
	addr net.Addr

	dialled bool
	turn    chan struct{} // held by the one that opens; cap 1
	next    *tcpStream    // that is being opened; guarded by mu
	slots   chan struct{} // of a dialled connection: one for each of its streams
	arrived chan *tcpStream
	wg      sync.WaitGroup // accepting

	why atomic.Pointer[error] // this end closed the connection

	allowed int // what unread may be; the goroutine that reads owns it

	mu      sync.Mutex
	grown   int                   // bytes by which windows have grown
	waiting []*tcpStream          // of the peer, in their order, that yamux has not given yet
	live    map[uint32]*tcpStream // of the peer, by number
	unread  int                   // bytes of live streams that have come and were not read
	may     func(n int64) bool    // says whether there may be more of them; nil: yes
	room    chan struct{}         // cap 1: a note that unread is less
}

// DialTCP makes a connection to the edge host at addr over c, which belongs to it from then on, also
// when DialTCP fails. It returns after the handshake: two round trips.
//
// Where UDP is blocked, TCP carries the same streams. It cannot change its path, sends
// nothing before the handshake is done, does not know priorities, and a lost packet
// holds up all streams. Close does not tell the peer its reason. When the peer's process ends, the
// connection does, too, so it needs no Lifeline.
func DialTCP(ctx context.Context, c net.Conn, addr net.Addr, conf *tls.Config) (*Conn, error) {
	conf = conf.Clone()
	if cache := conf.ClientSessionCache; cache != nil {
		conf.ClientSessionCache = sessions{cache, "tcp " + addr.String()}
	}
	conf.DynamicRecordSizingDisabled = true // a video frame goes out at once
	tuneTCP(c)
	tc, err := handshake(ctx, c, tls.Client(c, conf))
	if err == nil {
		var t *tcpConn
		if t, err = newTCPConn(c, addr, tc, conf, true); err == nil {
			return &Conn{t}, nil
		}
	}
	return nil, whatWeSpeak(Explain(err), conf)
}

// handshake ends c when it fails.
func handshake(ctx context.Context, c net.Conn, tc *tls.Conn) (*tls.Conn, error) {
	late := fmt.Errorf("%w within %v", ErrNoAnswer, handshakeTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, handshakeTimeout, late)
	defer cancel()
	err := tc.HandshakeContext(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.Close()
		return nil, gone(err)
	}
	return tc, nil
}

// newTCPConn begins a connection whose handshake is done. When it fails, c has ended. A
// peer that speaks another version is told so.
func newTCPConn(c net.Conn, addr net.Addr, tc *tls.Conn, conf *tls.Config, dialled bool) (*tcpConn, error) {
	t := &tcpConn{
		conn: newMuxConn(c, tc), conf: conf, tls: tc.ConnectionState(), addr: addr, dialled: dialled,
		turn: make(chan struct{}, 1), arrived: make(chan *tcpStream),
		live: map[uint32]*tcpStream{}, room: make(chan struct{}, 1), allowed: FirstWindow,
	}
	begin := yamux.Server
	if dialled {
		begin = yamux.Client
		t.slots = make(chan struct{}, maxStreams)
	} else {
		t.conn.watch = &watch{conn: t}
	}
	var err error
	if t.mux, err = begin(t.conn, muxConfig(), t.enter); err != nil {
		c.Close()
		return nil, err
	}
	if !dialled {
		t.wg.Go(t.accepts)
	}
	if why := mismatch(conf, t.tls.NegotiatedProtocol, dialled); why != "" {
		err = fmt.Errorf("%w: %s", ErrVersion, why)
		t.end(codeVersion, err)
	}
	return t, err
}

func muxConfig() *yamux.Config {
	return &yamux.Config{
		AcceptBacklog:      maxStreams, // enter bounds both before
		MaxIncomingStreams: maxStreams,
		PingBacklog:        8,
		EnableKeepAlive:    true,
		KeepAliveInterval:  keepAlive,
		MeasureRTTInterval: 10 * time.Second,
		// Of a ping to its answer, too: so silence ends a connection after idleTimeout.
		ConnectionWriteTimeout:  idleTimeout - keepAlive,
		InitialStreamWindowSize: firstWindow,
		MaxStreamWindowSize:     lastWindow,
		LogOutput:               io.Discard, // what ends a connection is its Err
		MaxMessageSize:          64 << 10,
		WriteCoalesceDelay:      100 * time.Microsecond, // yamux v5.1 ignores it
	}
}

// enter is called by yamux for each stream that begins.
func (c *tcpConn) enter() (yamux.MemoryManager, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dialled {
		st := c.next
		if c.next = nil; st == nil {
			return nil, errUnasked
		}
		return st, nil
	}
	if len(c.live) >= maxStreams || len(c.waiting) >= maxStreams {
		return nil, errMany
	}
	st := newTCPStream(c)
	c.conn.watch.enterLocked(st)
	c.waiting = append(c.waiting, st)
	return st, nil
}

// left takes note that a stream has ended at both ends.
func (c *tcpConn) left(st *tcpStream) {
	c.mu.Lock()
	c.grown -= st.grown
	st.grown = 0
	if !c.dialled {
		delete(c.live, st.id)
		c.readLocked(st.came)
		st.came = 0
	}
	c.mu.Unlock()
	if c.dialled {
		<-c.slots
	}
}

func (c *tcpConn) grow(st *tcpStream, size int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grown+size > maxGrowth {
		return errors.New("no further growth")
	}
	c.grown += size
	st.grown += size
	return nil
}

func (c *tcpConn) open(ctx context.Context) (Stream, error) {
	if !c.dialled {
		return nil, errUEOpens
	}
	for _, token := range []chan struct{}{c.slots, c.turn} {
		select {
		case token <- struct{}{}:
		case <-ctx.Done():
			return nil, c.giveUp(token, context.Cause(ctx))
		case <-c.done():
			return nil, c.giveUp(token, c.err())
		}
	}
	defer func() { <-c.turn }()
	st := newTCPStream(c)
	c.mu.Lock()
	c.next = st
	c.mu.Unlock()
	ys, err := c.mux.OpenStream(ctx)
	if err == nil {
		st.ys = ys
		return st, nil
	}
	c.mu.Lock()
	c.next = nil
	c.mu.Unlock()
	st.Done()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, c.because(err)
}

// giveUp gives back the slot of a stream that was not opened, if it was waiting for token.
func (c *tcpConn) giveUp(token chan struct{}, why error) error {
	if token == c.turn {
		<-c.slots
	}
	return why
}

// accepts hands the peer's streams to accept.
func (c *tcpConn) accepts() {
	for {
		ys, err := c.mux.AcceptStream()
		if err != nil {
			return
		}
		c.mu.Lock()
		st := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		st.ys = ys
		select {
		case c.arrived <- st:
		case <-c.done():
			return
		}
	}
}

func (c *tcpConn) accept(ctx context.Context) (Stream, error) {
	select {
	case st := <-c.arrived:
		return st, nil
	case <-c.done():
		return nil, c.err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// early is open: nothing goes out before the handshake is done.
func (c *tcpConn) early(ctx context.Context, f func(Stream) error) error {
	st, err := c.open(ctx)
	if err != nil {
		return err
	}
	return f(st)
}

func (c *tcpConn) switchPath(_ context.Context, pc net.PacketConn) error {
	pc.Close()
	return errTCPPath
}

// always is closed.
var always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (c *tcpConn) confirmed() <-chan struct{} { return always }

func (c *tcpConn) resumed() bool { return false }

func (c *tcpConn) stale() bool { return false }

func (c *tcpConn) done() <-chan struct{} { return c.mux.CloseChan() }

func (c *tcpConn) err() error {
	if !c.mux.IsClosed() {
		return nil
	}
	if why := c.why.Load(); why != nil {
		return *why
	}
	_, err := c.mux.OpenStream(context.Background()) // of an ended session: why
	return Explain(err)
}

// because returns why an operation on a stream failed with err.
func (c *tcpConn) because(err error) error {
	var timeout *yamux.Error
	switch {
	case errors.As(err, &timeout) && timeout == yamux.ErrTimeout:
		return os.ErrDeadlineExceeded
	case c.mux.IsClosed():
		return c.err()
	case err == yamux.ErrStreamClosed:
		return errHasClosed
	case errors.Is(err, yamux.ErrStreamReset):
		return errReset
	}
	return err
}

func (c *tcpConn) protocol() string { return c.tls.NegotiatedProtocol }

func (c *tcpConn) transport() Transport { return TCP }

func (c *tcpConn) peer() identity.ID { return identity.Peer(c.tls) }

func (c *tcpConn) verify() error { return identity.Recheck(c.conf, c.tls) }

func (c *tcpConn) dismiss(why *CertificateError) error { return c.end(uint32(why.code()), why) }

func (c *tcpConn) remoteAddr() net.Addr { return c.addr }

func (c *tcpConn) close(reason string) error {
	return c.end(codeClosed, fmt.Errorf("%w: %.100q", ErrClosed, reason))
}

// goodbye is how long an end may take to be told to the peer.
const goodbye = 100 * time.Millisecond

// end ends the connection for the reason why. The peer is told the code.
func (c *tcpConn) end(code uint32, why error) error {
	if c.mux.IsClosed() {
		return nil
	}
	c.why.CompareAndSwap(nil, &why)
	c.conn.last(goodbye)
	err := c.mux.CloseWithError(code)
	c.wg.Wait()
	return err
}
