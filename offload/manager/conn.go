package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Bounds on connections.
const (
	maxStrangers  = 256              // connections of those who enrol
	strangerTime  = 10 * time.Second // that one may last
	maxStreams    = 4                // of a connection at once: one for all, and one for a renewal
	ueFrames      = 50               // a second that a UE may send
	hostFrames    = 5000             // a second that a host may send: it answers orders
	maxUEUnsent   = 256              // frames that wait for a UE to take them
	maxHostUnsent = 2 * maxOrders    // for a host
	goodbyeTime   = time.Second      // that a peer has to hear why its connection ends
)

var errNotTaken = errors.New("the peer does not take what it is told")

// A conn is a connection of a UE, a host, or a stranger who enrols.
type conn struct {
	m    *Manager
	link *link.Conn
	id   identity.ID // zero: a stranger's

	mu    sync.Mutex // leaf
	talks map[*talk]bool
}

// start serves a connection.
func (m *Manager) start(lc *link.Conn) {
	c := &conn{m: m, link: lc, talks: map[*talk]bool{}}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return // the listener ends it
	}
	m.wg.Go(func() {
		switch {
		case !c.known():
		case m.isRevoked(c.id):
			lc.Dismiss(&link.CertificateError{Fault: link.Revoked})
		case !c.enter():
			lc.Close("the manager has as many connections as it may")
		default:
			c.run()
			c.leave()
		}
		lc.Close("")
	})
}

// known waits until the peer is.
func (c *conn) known() bool {
	select {
	case <-c.link.Confirmed():
	case <-c.link.Done():
		return false
	case <-c.m.ctx.Done():
		return false
	}
	if c.link.Protocol() == wire.ManagerALPN {
		c.id = c.link.Peer()
		return c.id.Role != identity.Manager
	}
	return c.link.Protocol() == wire.EnrolALPN
}

// enter takes note of the connection, if there is room for it.
func (c *conn) enter() bool {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	stranger := c.id == (identity.ID{})
	switch {
	case m.closed, stranger && m.strangers >= maxStrangers, len(m.conns) >= 2*m.cfg.Sessions+maxStrangers:
		return false
	case stranger:
		m.strangers++
	}
	m.conns[c] = true
	return true
}

func (c *conn) leave() {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	delete(c.m.conns, c)
	if c.id == (identity.ID{}) {
		c.m.strangers--
	}
}

// run serves the connection's streams until it ends.
func (c *conn) run() {
	ctx := c.m.ctx
	if c.id == (identity.ID{}) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, strangerTime)
		defer cancel()
		defer context.AfterFunc(ctx, func() { c.link.Close("enrolment takes too long") })()
	}
	var streams sync.WaitGroup
	slots := make(chan struct{}, maxStreams)
	for {
		st, err := c.link.Accept(ctx)
		if err != nil {
			break
		}
		select {
		case slots <- struct{}{}:
			streams.Go(func() { c.serve(st); <-slots })
		default:
			st.Reset()
		}
	}
	c.link.Close("")
	streams.Wait()
}

// endRevoked tells the peer that it is revoked, and ends the connection.
func (c *conn) endRevoked() {
	c.mu.Lock()
	for t := range c.talks {
		t.end(errRevoked)
	}
	c.mu.Unlock()
	select {
	case <-time.After(goodbyeTime):
	case <-c.link.Done():
	case <-c.m.ctx.Done():
	}
	c.link.Dismiss(&link.CertificateError{Fault: link.Revoked})
}

// A talk is one stream of a connection: a peer of the ledger.
type talk struct {
	c    *conn
	conv *control.Conversation
	most int // frames that may wait

	mu      sync.Mutex // leaf
	queue   []wire.ManagerFrame
	why     error // it is ended
	writing bool  // the writer runs
	writer  sync.WaitGroup
}

// serve has a conversation on st until it ends.
func (c *conn) serve(st link.Stream) {
	from, most, frames := control.FromStranger, 1, float64(ueFrames)
	switch {
	case c.id == (identity.ID{}):
	case c.id.Role == identity.UE:
		from, most = control.FromUE, maxUEUnsent
	case c.id.Role == identity.Host:
		from, most, frames = control.FromHost, maxHostUnsent, hostFrames
	}
	t := &talk{c: c, conv: control.Converse(st, from), most: most}
	c.mu.Lock()
	c.talks[t] = true
	c.mu.Unlock()
	defer context.AfterFunc(c.m.ctx, st.Reset)()
	err := t.read(c.m.ctx, rate.NewLimiter(rate.Limit(frames), 2*int(frames)))
	c.down(t, err)
	if err == io.EOF {
		err = errClosedByPeer
	}
	t.end(err)
	t.writer.Wait()
	c.mu.Lock()
	delete(c.talks, t)
	c.mu.Unlock()
}

var errClosedByPeer = errors.New("the peer has ended the conversation")

// read takes what the peer says, no faster than limit.
func (t *talk) read(ctx context.Context, limit *rate.Limiter) error {
	for {
		f, err := t.conv.Next()
		if err != nil {
			return err
		}
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		if e, ok := f.(wire.Enrol); ok {
			err = t.enrol(e)
		} else {
			err = t.take(f)
		}
		if err != nil {
			return err
		}
	}
}

// take gives the ledger what a UE or a host says.
func (t *talk) take(f wire.ManagerFrame) error {
	m, id := t.c.m, t.c.id
	switch f := f.(type) {
	case wire.Ask:
		m.do(func(l *ledger, now time.Time) { l.ask(now, id, t, f) })
	case wire.Feel:
		m.do(func(l *ledger, now time.Time) { l.feel(now, id, t, f) })
	case wire.Bye:
		m.do(func(l *ledger, now time.Time) { l.bye(now, id, f) })
	case wire.Register:
		m.do(func(l *ledger, now time.Time) { l.hostUp(now, id, t, f) })
	case wire.Holding:
		m.do(func(l *ledger, now time.Time) { l.holding(now, id.Name, t, f) })
	case wire.Beat:
		m.do(func(l *ledger, now time.Time) { l.hostBeat(now, id.Name, t, f) })
	case wire.Did:
		m.do(func(l *ledger, now time.Time) { l.did(now, id.Name, t, f) })
	default:
		return fmt.Errorf("%w: %T where a peer speaks", wire.ErrFrame, f)
	}
	return nil
}

// down tells the ledger that the conversation has ended.
func (c *conn) down(t *talk, err error) {
	m, id := c.m, c.id
	switch {
	case id == (identity.ID{}):
	case id.Role == identity.UE:
		m.do(func(l *ledger, now time.Time) { l.ueDown(now, t) })
	case id.Role == identity.Host:
		fail, _ := errors.AsType[*wire.Fail](err)
		m.do(func(l *ledger, now time.Time) {
			if fail != nil && fail.Code == offload.CodeDenied && l.hostObeys(now, id.Name, t, fail.Text) {
				m.superseded()
			}
			l.hostDown(now, id.Name, t)
		})
	}
}

// send implements peer.
func (t *talk) send(f wire.ManagerFrame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.why != nil:
	case len(t.queue) >= t.most:
		t.endLocked(errNotTaken)
	default:
		t.queue = append(t.queue, f)
		t.wakeLocked()
	}
}

// end implements peer.
func (t *talk) end(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(why)
}

func (t *talk) endLocked(why error) {
	if t.why == nil {
		t.why = why
		t.wakeLocked()
	}
}

// wakeLocked begins the writer, unless it runs. Most peers are told nothing most of the time: a goroutine that waits for each would
// hold 5 KB of stack.
func (t *talk) wakeLocked() {
	if !t.writing {
		t.writing = true
		t.writer.Go(t.write)
	}
}

// write sends what waits, and ends when nothing does, or with the conversation.
func (t *talk) write() {
	for {
		t.mu.Lock()
		queue, why := t.queue, t.why
		t.queue = nil
		if t.writing = len(queue) > 0 || why != nil; !t.writing {
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		for _, f := range queue {
			if err := t.conv.Send(f); err != nil && !errors.Is(err, wire.ErrFrame) {
				t.end(err)
				break
			}
		}
		if why != nil {
			t.conv.Refuse(failOf(why)) // ends what the peer says, too
			return
		}
	}
}

// failOf returns what a peer is told.
func failOf(err error) error {
	fail, ok := errors.AsType[*wire.Fail](err)
	switch {
	case ok:
		return fail
	case errors.Is(err, wire.ErrFrame), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.Is(err, errNotTaken):
		return &wire.Fail{Code: offload.CodeOverloaded, Text: err.Error()}
	}
	return &wire.Fail{Code: offload.CodeDenied, Text: err.Error()}
}

// network implements peer: the /24 or /48 that the peer's address is in.
func (t *talk) network() string {
	a := addressOf(t.c.link.RemoteAddr())
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

func addressOf(addr net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
