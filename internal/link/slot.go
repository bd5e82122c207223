package link

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
)

// A slot stands in for the socket of a quic.Transport: it holds a socket, another one
// after a path has changed, or none. Closing a transport ends its connections, so the
// transport stays, and sockets come and go.
//
// To quic-go an error of a socket is the end of every connection on it. A slot
// passes few on: a failed send counts as a lost packet.
type slot struct {
	steady atomic.Bool           // failed sends are silent; until then a dial reports them
	failed atomic.Pointer[error] // of the last such send: quic-go keeps its text only

	sends func(b []byte) // sees each packet before it is sent; set before the slot is used

	mu      sync.Mutex
	sock    *socket       // nil: none
	addr    net.Addr      // of the last socket
	closed  bool          // no further socket comes
	changed chan struct{} // closed at the next change
}

// probeSize is the size of quic-go's packets that try a path. It pads no other packet to
// it (RFC 9000 section 8.2.1).
const probeSize = 1200

// newSlot returns a slot that holds s, and the slot as the socket of a transport: an
// oobConn if s is one.
func newSlot(s *socket) (*slot, net.PacketConn) {
	if s.oob == nil {
		p := &plainSlot{}
		p.init(s)
		return &p.slot, p
	}
	o := &oobSlot{}
	o.init(s)
	return &o.slot, o
}

func (sl *slot) init(s *socket) {
	sl.sock, sl.addr, sl.changed, sl.sends = s, s.LocalAddr(), make(chan struct{}), func([]byte) {}
}

// put makes s the slot's socket, nil for none, and returns the one before, which
// stays open. s must be of the same kind as the first one. A closed slot closes s.
func (sl *slot) put(s *socket) (before *socket) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.closed {
		if s != nil {
			s.Close()
		}
		return nil
	}
	return sl.putLocked(s)
}

// take takes s out, if the slot holds it. It returns when nobody reads s any longer;
// then s can go into another slot.
func (sl *slot) take(s *socket) {
	sl.mu.Lock()
	if sl.sock == s && !sl.closed {
		sl.putLocked(nil)
	}
	sl.mu.Unlock()
	s.reading.Lock()
	defer s.reading.Unlock()
}

func (sl *slot) putLocked(s *socket) (before *socket) {
	before, sl.sock = sl.sock, s
	if s != nil {
		sl.addr = s.LocalAddr()
		s.SetDeadline(time.Time{})
	}
	if before != nil {
		before.SetDeadline(time.Unix(1, 0)) // whoever reads it, or waits to write, goes on to s
	}
	close(sl.changed)
	sl.changed = make(chan struct{})
	return before
}

func (sl *slot) holds(s *socket) bool {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.sock == s
}

// now returns the slot's socket, nil for none.
func (sl *slot) now() *socket {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.sock
}

// await returns the slot's socket, and waits for one if the slot is empty.
func (sl *slot) await() (*socket, error) {
	for {
		sl.mu.Lock()
		s, changed, closed := sl.sock, sl.changed, sl.closed
		sl.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if s != nil {
			return s, nil
		}
		<-changed
	}
}

// maxReadErrors is how many reads in a row may fail before quic-go is told. The
// kernel reports the loss of an interface once (Android: ECONNABORTED).
const maxReadErrors = 16

// read calls f with the slot's socket, and with its successor if it is exchanged
// meanwhile, until f has read something. used says whether that was more than a trial of
// a path.
func (sl *slot) read(f func(*socket) (used bool, err error)) error {
	for failed := 0; ; failed++ {
		s, err := sl.await()
		if err != nil {
			return err
		}
		used, err := sl.readOnce(s, f)
		if err == nil {
			s.hear(used)
			return nil
		}
		var errno syscall.Errno
		if sl.holds(s) && (failed == maxReadErrors || !errors.As(err, &errno)) {
			return err
		}
	}
}

func (sl *slot) readOnce(s *socket, f func(*socket) (bool, error)) (bool, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if !sl.holds(s) {
		return false, errGone
	}
	return f(s)
}

// errGone says that a socket has left the slot.
var errGone = errors.New("socket has left")

// write calls f with the slot's socket and returns what quic-go needs to know.
func (sl *slot) write(f func(*socket) error) error {
	s := sl.now()
	if s == nil {
		return nil
	}
	err := f(s)
	s.sent.Store(true)
	if err == nil || sl.steady.Load() && !errors.Is(err, net.ErrClosed) {
		return nil
	}
	sl.failed.Store(&err)
	return err
}

// whySilent returns err, that of a dial, or the error of the send that has ended it.
func (sl *slot) whySilent(err error) error {
	var te *quic.TransportError
	failed := sl.failed.Load()
	if failed == nil || !errors.As(err, &te) || te.Remote || te.ErrorCode != quic.InternalError {
		return err
	}
	var errno syscall.Errno
	if errors.As(*failed, &errno) { // without the addresses
		return fmt.Errorf("cannot send: %w", errno)
	}
	return *failed
}

// LocalAddr returns the address of the slot's socket, or of its last one.
func (sl *slot) LocalAddr() net.Addr {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.addr
}

// Close closes the slot and its socket.
func (sl *slot) Close() error {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if sl.closed {
		return nil
	}
	sl.closed = true
	close(sl.changed)
	if sl.sock == nil {
		return nil
	}
	return sl.sock.Close()
}

// set calls f with the slot's socket, if there is one.
func (sl *slot) set(f func(*socket) error) error {
	if s := sl.now(); s != nil {
		return f(s)
	}
	return nil
}
