package radio

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Listen returns a listener for streams, as TCP has them, at addr. Streams have the air's
// delay, and packets' other faults leave them alone. While Silence, Mute, Part or Cut holds
// packets up, a stream holds its bytes back, and delivers them afterwards.
func (a *Air) Listen(addr *net.TCPAddr) net.Listener {
	l := &listener{air: a, addr: addr, backlog: make(chan net.Conn), closed: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.listeners == nil {
		a.listeners = map[netip.AddrPort]*listener{}
	}
	a.listeners[addr.AddrPort()] = l
	return l
}

// Dial returns a stream from an address to a listener's. It waits while the air is silent,
// and fails when nobody listens.
func (a *Air) Dial(ctx context.Context, from, to *net.TCPAddr) (net.Conn, error) {
	err := a.unreachable(from)
	if err == nil {
		err = wait(ctx, 2*a.OneWay)
	}
	for err == nil && (a.holds(from, to) || a.holds(to, from)) {
		if err = wait(ctx, retransmit); a.isCut(from) {
			err = syscall.ENETUNREACH
		}
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: err}
	}
	a.mu.Lock()
	l := a.listeners[to.AddrPort()]
	a.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: syscall.ECONNREFUSED}
	}
	up, down := newPipe(a, from, to), newPipe(a, to, from)
	near, far := newStream(from, to, down, up), newStream(to, from, up, down)
	select {
	case l.backlog <- far:
		return near, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: context.Cause(ctx)}
	}
}

// unreachable is the error of a dial from an interface that is down.
func (a *Air) unreachable(from *net.TCPAddr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cut[ip(from.IP)] {
		return syscall.ENETUNREACH
	}
	return nil
}

// retransmit is how often held bytes are tried again.
const retransmit = 20 * time.Millisecond

// room is how many bytes of a direction may be under way; more wait at the sender.
const room = 256 << 10

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// holds says whether nothing gets from one address to another now.
func (a *Air) holds(from, to *net.TCPAddr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, t := ip(from.IP), ip(to.IP)
	return a.silent || a.muted[f] || a.muted[t] || a.parted[pair{f, t}] || a.cut[f] || a.cut[t]
}

func (a *Air) isCut(addr *net.TCPAddr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cut[ip(addr.IP)]
}

type listener struct {
	air     *Air
	addr    *net.TCPAddr
	backlog chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.air.mu.Lock()
		defer l.air.mu.Unlock()
		if at := l.addr.AddrPort(); l.air.listeners[at] == l {
			delete(l.air.listeners, at)
		}
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// A pipe is one direction of a stream.
type pipe struct {
	held   func() bool
	oneWay time.Duration

	mu      sync.Mutex
	chunks  []chunk
	bytes   int
	ended   bool          // the sender sends no more
	endAt   time.Time     // when the receiver knows
	gone    bool          // the receiver reads no more
	goneAt  time.Time     // when the sender knows
	changed chan struct{} // closed at the next change
}

type chunk struct {
	b  []byte
	at time.Time // of arrival
}

func newPipe(a *Air, from, to *net.TCPAddr) *pipe {
	return &pipe{held: func() bool { return a.holds(from, to) }, oneWay: a.OneWay, changed: make(chan struct{})}
}

func (p *pipe) changeLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// take reads what has arrived. If that is nothing, it returns when to look again.
func (p *pipe) take(b []byte) (n int, changed <-chan struct{}, again time.Duration, err error) {
	held := p.held()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
		return 0, nil, 0, net.ErrClosed
	case held:
		return 0, p.changed, retransmit, nil
	case len(p.chunks) > 0:
		first := &p.chunks[0]
		if left := time.Until(first.at); left > 0 {
			return 0, p.changed, left, nil
		}
		n = copy(b, first.b)
		if first.b = first.b[n:]; len(first.b) == 0 {
			p.chunks = p.chunks[1:]
		}
		p.bytes -= n
		p.changeLocked()
		return n, nil, 0, nil
	case p.ended:
		if left := time.Until(p.endAt); left > 0 {
			return 0, p.changed, left, nil
		}
		return 0, nil, 0, io.EOF
	}
	return 0, p.changed, time.Hour, nil
}

// put sends as much of b as has room. If that is nothing, it returns what to wait for.
func (p *pipe) put(b []byte) (n int, changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
		return 0, nil, net.ErrClosed
	case p.gone && !time.Now().Before(p.goneAt):
		return 0, nil, syscall.ECONNRESET
	case p.gone:
		return len(b), nil, nil
	case p.bytes >= room:
		return 0, p.changed, nil
	}
	n = min(len(b), room-p.bytes)
	p.chunks = append(p.chunks, chunk{append([]byte{}, b[:n]...), time.Now().Add(p.oneWay)})
	p.bytes += n
	p.changeLocked()
	return n, nil, nil
}

func (p *pipe) end(gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gone && !p.gone {
		p.gone, p.goneAt = true, time.Now().Add(p.oneWay)
	} else if !gone && !p.ended {
		p.ended, p.endAt = true, time.Now().Add(p.oneWay)
	}
	p.changeLocked()
}

// A stream is one end of a stream.
type stream struct {
	local, remote    *net.TCPAddr
	in, out          *pipe
	reads, writes    *deadline
	reading, writing chan struct{} // held by a Read, a Write
}

func newStream(local, remote *net.TCPAddr, in, out *pipe) *stream {
	return &stream{local, remote, in, out, newDeadline(), newDeadline(), make(chan struct{}, 1), make(chan struct{}, 1)}
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	s.reading <- struct{}{}
	defer func() { <-s.reading }()
	for {
		passed, reset := s.reads.now()
		if passed {
			return 0, os.ErrDeadlineExceeded
		}
		n, changed, again, err := s.in.take(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		timer := time.NewTimer(again)
		select {
		case <-changed:
		case <-timer.C:
		case <-reset:
		}
		timer.Stop()
	}
}

// Write implements net.Conn.
func (s *stream) Write(b []byte) (sent int, err error) {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	for sent < len(b) {
		passed, reset := s.writes.now()
		if passed {
			return sent, os.ErrDeadlineExceeded
		}
		n, changed, err := s.out.put(b[sent:])
		if err != nil {
			return sent, err
		}
		sent += n
		if n > 0 {
			continue
		}
		select {
		case <-changed:
		case <-reset:
		}
	}
	return sent, nil
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.out.end(false)
	s.in.end(true)
	return nil
}

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return s.remote }

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(t time.Time) error { s.reads.set(t); return nil }

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(t time.Time) error { s.writes.set(t); return nil }

// A deadline wakes whoever waits when it is set, and when it passes.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	wake  chan struct{}
}

func newDeadline() *deadline { return &deadline{wake: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	d.wakeLocked()
	if !t.IsZero() && time.Until(t) > 0 {
		d.timer = time.AfterFunc(time.Until(t), func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.wakeLocked()
		})
	}
}

func (d *deadline) wakeLocked() {
	close(d.wake)
	d.wake = make(chan struct{})
}

// now says whether the deadline has passed, and what is closed when that may change.
func (d *deadline) now() (passed bool, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at), d.wake
}
