package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Bounds on what a host holds for those that have not proved yet who they are. UEs
// behind one NAT have one address.
const (
	maxYoung     = 512
	maxYoungEach = 64
)

// retryAccept is how long a host waits after a failed accept. A lack of descriptors, for
// example, passes.
const retryAccept = 100 * time.Millisecond

// A TCPListener accepts connections over TCP, and holds lifelines: whoever comes says
// first which it wants.
type TCPListener struct {
	ln    net.Listener
	conf  *tls.Config
	ready chan *Conn
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	wg    sync.WaitGroup
	lives lifelines

	strangers  strangers
	asked      asked
	handshakes *queue

	mu     sync.Mutex
	closed bool
	young  int
	each   map[string]int // of young, by IP address
	conns  map[net.Conn]struct{}
}

// ListenTCP accepts connections on ln, which belongs to the listener from then on. At most 512 of
// them, and 64 of one IP address, may be about to prove who they are; a further one is closed.
// log hears of each that does not; nil is silent.
func ListenTCP(ln net.Listener, conf *tls.Config, log *slog.Logger) *TCPListener {
	conf = conf.Clone()
	conf.DynamicRecordSizingDisabled = true
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &TCPListener{ln: ln, conf: conf, strangers: strangers{log: log}, handshakes: newQueue(newHandshakes()), ready: make(chan *Conn), each: map[string]int{}, conns: map[net.Conn]struct{}{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.wg.Go(l.run)
	return l
}

// failed logs that no connection was made with a peer: a warning where one of the two ends has to be
// mended.
func (l *TCPListener) failed(from net.Addr, why error) {
	if isRefused(why) {
		l.strangers.add(from, why)
		return
	}
	l.strangers.log.Debug("no connection over TCP", "addr", from.String(), "why", why)
}

func (l *TCPListener) run() {
	for {
		c, err := l.ln.Accept()
		if err == nil {
			l.take(c)
			continue
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(retryAccept):
		}
	}
}

func (l *TCPListener) take(c net.Conn) {
	if !l.add(c) {
		c.Close()
		return
	}
	known, ok := l.asked.begin()
	if !ok {
		l.grow(c)
		l.drop(c)
		c.Close()
		return
	}
	l.wg.Go(func() {
		l.serve(c, known)
		c.Close()
		l.drop(c)
	})
}

// recordHandshake is the first byte of a TLS handshake (RFC 8446 section 5.1).
const recordHandshake = 0x16

// serve serves c until it ends, and calls known once it has proved who it is, or has failed to. Who says nothing within handshakeTimeout is let go.
func (l *TCPListener) serve(c net.Conn, known func()) {
	young := sync.OnceFunc(func() { l.grow(c); known() })
	defer young()
	var first [1]byte
	c.SetReadDeadline(time.Now().Add(handshakeTimeout))
	if _, err := io.ReadFull(c, first[:]); err != nil {
		l.failed(c.RemoteAddr(), err)
		return
	}
	switch first[0] {
	case recordHandshake:
		c.SetReadDeadline(time.Time{})
		if t := l.admit(&peeked{c, first[:]}); t != nil {
			young()
			l.hand(&Conn{t})
			<-t.conn.ended // the goodbye is said
		}
	case lifelineMark:
		l.keep(c, young)
	default:
		l.failed(c.RemoteAddr(), fmt.Errorf("it begins with 0x%02x, which is neither TLS nor a lifeline", first[0]))
	}
}

// A peeked connection has had its first bytes read.
type peeked struct {
	net.Conn
	first []byte
}

func (c *peeked) Read(b []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.first)
	c.first = c.first[n:]
	return n, nil
}

// keep holds the lifeline that c asks for. It calls held when c has proved itself.
func (l *TCPListener) keep(c net.Conn, held func()) {
	t := ticket{lifelineMark}
	if _, err := io.ReadFull(c, t[1:]); err != nil {
		return
	}
	if g := l.lives.enter(t, c); g != nil {
		held()
		c.SetReadDeadline(time.Time{})
		hold(c)
		l.lives.leave(g, c)
	} else {
		l.failed(c.RemoteAddr(), errNotHeld)
	}
}

// LifelineKey makes a key for lifelines here. After revoke it is worth nothing, and its lifeline
// ends.
func (l *TCPListener) LifelineKey() (key LifelineKey, revoke func()) { return l.lives.give() }

// admit makes the handshake. It returns nil when that fails; then c has ended.
func (l *TCPListener) admit(c *peeked) *tcpConn {
	if !l.handshakes.await(network(c.RemoteAddr()), l.ctx.Done()) {
		l.failed(c.RemoteAddr(), errCrowded)
		return nil
	}
	tuneTCP(c.Conn)
	tc, err := handshake(l.ctx, c, tls.Server(c, l.conf))
	if err != nil {
		l.failed(c.RemoteAddr(), Explain(err))
		return nil
	}
	t, _ := newTCPConn(c, c.RemoteAddr(), tc, l.conf, false)
	return t // of another version: it has ended, and its Err says why
}

// hand gives conn to Accept.
func (l *TCPListener) hand(conn *Conn) {
	select {
	case l.ready <- conn:
	case <-l.ctx.Done():
	}
}

// add takes note of a connection that has not proved who it is.
func (l *TCPListener) add(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ip := ipOf(c)
	if l.closed || l.young == maxYoung || l.each[ip] == maxYoungEach {
		return false
	}
	l.young++
	l.each[ip]++
	l.conns[c] = struct{}{}
	return true
}

// grow takes note that c has proved who it is, or failed to.
func (l *TCPListener) grow(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.young--
	ip := ipOf(c)
	if l.each[ip]--; l.each[ip] == 0 {
		delete(l.each, ip)
	}
}

func (l *TCPListener) drop(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// Accept returns the next connection. Its UE is known. One of a UE that speaks another
// version has ended.
func (l *TCPListener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Addr returns the address that the listener listens on.
func (l *TCPListener) Addr() net.Addr { return l.ln.Addr() }

// Close ends the listener and all of its connections. Their UEs find them gone. Further
// calls do nothing.
func (l *TCPListener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	for c := range l.conns {
		c.Close()
	}
	l.mu.Unlock()
	l.stop()
	err := l.ln.Close()
	l.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
