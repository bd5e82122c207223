package link

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
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
// switches, and dial another one. A connection over TCP needs none.
type Lifeline struct {
	c       net.Conn
	closing atomic.Bool
	lost    chan struct{}
	ended   chan struct{} // closed when watch has ended
}

// keepAliveProbes end a lifeline whose other end is gone after 30 s, so that it is
// not kept for good.
var keepAliveProbes = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

func keepProbing(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetKeepAliveConfig(keepAliveProbes)
	}
}

// A LifelineKey lets a UE have a lifeline, one at a time. A host gives a key to each
// connection. The zero LifelineKey is none.
type LifelineKey [16]byte

// lifelineMark is the first byte of what a UE sends that asks for a lifeline.
const lifelineMark = 'L'

// A ticket asks for the lifeline number n of a key, once: a mark, the key's name, n, and a proof that
// only who has the key can make.
type ticket [1 + 8 + 4 + 16]byte

func (k LifelineKey) ticket(n uint32) (t ticket) {
	t[0] = lifelineMark
	name := k.name()
	copy(t[1:], name[:])
	binary.BigEndian.PutUint32(t[9:], n)
	mac := hmac.New(sha256.New, k[:])
	mac.Write(t[:13])
	copy(t[13:], mac.Sum(nil))
	return t
}

func (k LifelineKey) name() keyName {
	sum := sha256.Sum256(append([]byte("bungee lifeline "), k[:]...))
	return keyName(sum[:])
}

// A keyName tells keys apart and does not tell them.
type keyName [8]byte

func (t ticket) name() keyName { return keyName(t[1:9]) }

func (t ticket) number() uint32 { return binary.BigEndian.Uint32(t[9:]) }

// held is what a host sends when it holds a lifeline. An accepted connection proves
// less: the kernel accepts it even if the process is stopped, or has no room.
const held = 1

var errNotHeld = errors.New("the host does not hold the lifeline")

// AskLifeline asks the host at the other end of c, a new connection of TCP to it, to hold
// lifeline number n of key, which has a higher number than those before. c belongs to the
// lifeline from then on, also when AskLifeline fails. Wait for it a round trip, not longer.
func AskLifeline(ctx context.Context, c net.Conn, key LifelineKey, n uint32) (*Lifeline, error) {
	ticket := key.ticket(n)
	c.Write(ticket[:]) // a failure shows in the answer
	if err := awaitHeld(ctx, c); err != nil {
		c.Close()
		return nil, fmt.Errorf("lifeline to %s: %w", c.RemoteAddr(), err)
	}
	keepProbing(c)
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

// maxLifelines bounds the lifelines that a host holds. Each costs it a descriptor and a
// goroutine.
const maxLifelines = 4096

// lifelines are those that a host holds.
type lifelines struct {
	mu   sync.Mutex
	keys map[keyName]*grant
	held int
}

// A grant is a key that a connection has.
type grant struct {
	key  LifelineKey
	next uint64   // the lowest number of its next lifeline
	c    net.Conn // its lifeline; nil: none
}

func (l *lifelines) give() (key LifelineKey, revoke func()) {
	rand.Read(key[:])
	name := key.name()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[keyName]*grant{}
	}
	l.keys[name] = &grant{key: key}
	return key, func() { l.revoke(name) }
}

func (l *lifelines) revoke(name keyName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.keys[name]; g != nil && g.c != nil {
		g.c.Close()
	}
	delete(l.keys, name)
}

// enter makes c the lifeline of t's key, in place of the one before. It returns nil when t is not good.
func (l *lifelines) enter(t ticket, c net.Conn) *grant {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.keys[t.name()]
	if g == nil || l.held == maxLifelines || uint64(t.number()) < g.next {
		return nil
	}
	if want := g.key.ticket(t.number()); !hmac.Equal(want[:], t[:]) {
		return nil
	}
	g.next = uint64(t.number()) + 1
	if g.c != nil {
		g.c.Close()
	}
	g.c = c
	l.held++
	return g
}

func (l *lifelines) leave(g *grant, c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held--
	if g.c == c {
		g.c = nil
	}
}

// hold returns when the UE has closed the lifeline or has sent something, or the host has
// closed it.
func hold(c net.Conn) {
	keepProbing(c)
	if _, err := c.Write([]byte{held}); err == nil {
		c.Read(make([]byte, 1))
	}
}

func ipOf(c net.Conn) string {
	ip, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return ip
}
