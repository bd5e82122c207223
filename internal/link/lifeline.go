package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Lifeline is a TCP connection to an edge host. The kernel of the host closes it when
// the host's process ends, however it ends, and the UE knows a millisecond and the
// network's delay later. The connection carries nothing and proves nothing: a UE that
// loses it moves, which does no harm if the host is alive.
//
// A machine or a network that is gone shows only after 30 s, and a process that is
// stopped and has not ended never shows. Deadlines find those.
//
// It does not follow a connection to another path: close it when the connection
// switches, and dial another one.
type Lifeline struct {
	c       net.Conn
	closing atomic.Bool
	lost    chan struct{}
	ended   chan struct{} // closed when watch has ended
}

// keepAliveProbes end a lifeline whose other end is gone after 30 s, so that it is
// not kept for good.
var keepAliveProbes = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// held is what a host sends when it holds a lifeline. An accepted connection proves
// less: the kernel accepts it even if the process is stopped, or has no room.
const held = 1

var errNotHeld = errors.New("the host holds no more lifelines")

// DialLifeline asks the host that listens for lifelines at addr, "host:port", to hold
// one. Wait for it a round trip or two, not longer.
func DialLifeline(ctx context.Context, addr string) (*Lifeline, error) {
	d := net.Dialer{KeepAliveConfig: keepAliveProbes}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("lifeline to %s: %w", addr, err)
	}
	if err := awaitHeld(ctx, c); err != nil {
		c.Close()
		return nil, fmt.Errorf("lifeline to %s: %w", addr, err)
	}
	l := &Lifeline{c: c, lost: make(chan struct{}), ended: make(chan struct{})}
	go l.watch() // ends with c; Close waits for it
	return l, nil
}

func awaitHeld(ctx context.Context, c net.Conn) error {
	stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })
	var b [1]byte
	n, err := c.Read(b[:])
	switch {
	case !stop():
		return context.Cause(ctx)
	case n == 0:
		return fmt.Errorf("%w (%w)", errNotHeld, err)
	case b[0] != held:
		return fmt.Errorf("something else than lifelines is there: it sent 0x%02x", b[0])
	}
	return nil
}

// watch waits for the end. A host that sends something breaks the protocol and counts as
// lost.
func (l *Lifeline) watch() {
	defer close(l.ended)
	l.c.Read(make([]byte, 1))
	if !l.closing.Load() {
		close(l.lost)
	}
	l.c.Close()
}

// Lost is closed when the host's process has ended or has closed the lifeline. Close does
// not close it.
func (l *Lifeline) Lost() <-chan struct{} { return l.lost }

// Close closes the lifeline. Further calls do nothing.
func (l *Lifeline) Close() error {
	l.closing.Store(true)
	err := l.c.Close()
	<-l.ended
	if errors.Is(err, net.ErrClosed) { // watch was first
		return nil
	}
	return err
}

// Bounds on what a host holds: a lifeline costs it a descriptor and a goroutine.
// UEs behind one NAT have one address.
const (
	maxLifelines     = 4096
	maxLifelinesEach = 256
)

// retryAccept is how long a host waits after a failed accept. A lack of descriptors, for
// example, passes.
const retryAccept = 100 * time.Millisecond

// A LifelineListener holds the lifelines of UEs: at most 4096, and at most 256 from one
// IP address. It closes any further one, and that of a UE that sends something.
type LifelineListener struct {
	ln   net.Listener
	quit chan struct{} // closed by Close
	wg   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	each   map[string]int // of conns, by IP address
}

// ListenLifeline holds the connections that ln accepts until Close. ln belongs to the
// listener from then on.
func ListenLifeline(ln net.Listener) *LifelineListener {
	l := &LifelineListener{ln: ln, quit: make(chan struct{}), conns: map[net.Conn]struct{}{}, each: map[string]int{}}
	l.wg.Go(l.run)
	return l
}

func (l *LifelineListener) run() {
	for {
		c, err := l.ln.Accept()
		if err == nil {
			l.take(c)
			continue
		}
		select {
		case <-l.quit:
			return
		case <-time.After(retryAccept):
		}
	}
}

func (l *LifelineListener) take(c net.Conn) {
	if !l.add(c) {
		c.Close()
		return
	}
	l.wg.Go(func() {
		l.hold(c)
		l.remove(c)
		c.Close()
	})
}

// hold returns when the UE has closed the lifeline or has sent something.
func (l *LifelineListener) hold(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetKeepAliveConfig(keepAliveProbes)
	}
	if _, err := c.Write([]byte{held}); err == nil {
		c.Read(make([]byte, 1))
	}
}

func (l *LifelineListener) add(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ip := ipOf(c)
	if l.closed || len(l.conns) == maxLifelines || l.each[ip] == maxLifelinesEach {
		return false
	}
	l.conns[c] = struct{}{}
	l.each[ip]++
	return true
}

func (l *LifelineListener) remove(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	ip := ipOf(c)
	if l.each[ip]--; l.each[ip] == 0 {
		delete(l.each, ip)
	}
}

func ipOf(c net.Conn) string {
	ip, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return ip
}

// Addr returns the address that the listener listens on.
func (l *LifelineListener) Addr() net.Addr { return l.ln.Addr() }

// Close closes all lifelines; the UEs find them lost. Further calls do nothing.
func (l *LifelineListener) Close() error {
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
	close(l.quit)
	err := l.ln.Close()
	l.wg.Wait()
	return err
}
