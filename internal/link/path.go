package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// grace is how long the socket of a path that was left is still read. On a usable
// network, what the peer sent there arrives within this time.
const grace = time.Second

// flushTime is how long the packets in the old socket may still take to go out. An
// interface that sends nothing would otherwise hold up the switch.
const flushTime = 20 * time.Millisecond

// A path is a way to the peer that a dialled connection uses or has used: a
// transport, and the socket that it holds at the moment.
//
// quic-go ties a path to a transport for good, and a transport to its
// connections. So a connection keeps three paths and exchanges their sockets: the path of
// the handshake, which it never uses again after leaving it, and two others in turn. The
// path of the handshake has no [quic.Path]: quic-go cannot go back to it, and when the peer
// checks it, answers over another path.
type path struct {
	*slot
	tr  *quic.Transport
	qp  *quic.Path // nil for the handshake's
	oob bool       // takes sockets of this kind
}

func newPath(s *socket) *path {
	sl, pc := newSlot(s)
	return &path{slot: sl, tr: &quic.Transport{Conn: pc}, oob: s.oob != nil}
}

// takes says whether s is of the path's kind.
func (p *path) takes(s *socket) bool { return p.oob == (s.oob != nil) }

// refill makes s the socket of a path that had others before.
func (p *path) refill(s *socket) (before *socket) {
	if s.oob != nil {
		(&quic.Transport{Conn: s.PacketConn}).Close() // sets the options that quic-go needs
	}
	return p.put(s)
}

// close closes the path. Its connection has ended, or never was.
func (p *path) close() error { return errors.Join(p.slot.Close(), p.tr.Close()) }

// SwitchPath moves a dialled connection to pc, a socket on another way to the
// peer. pc belongs to the connection from then on, even if SwitchPath fails.
// Streams go on. SwitchPath returns when the peer sends to pc, too. Packets on
// the old path count for another second, and then its socket is closed. The
// congestion window starts again at 40 KB. One switch runs at a time; later ones
// wait.
//
// SwitchPath tries the new path first: when no answer has come over it by the end of ctx,
// nothing has changed. If the old path is dead and so much is under way on it
// that quic-go sends nothing at all, not even to try another path, the connection moves
// untried, and moves back when no answer has come by the end of ctx. It can do that only
// after a first switch. So a UE should make one right after Confirmed, to another
// socket on the same network.
//
// When an interface is up again, a switch to a fresh socket on the same network lets
// the connection go on at once; by itself quic-go waits as long again as the interface
// was down. When one path after another dies within a few round trips, the peer runs out
// of connection IDs, and the connection ends with ErrNoAnswer.
func (c *Conn) SwitchPath(ctx context.Context, pc net.PacketConn) error { return c.switchPath(ctx, pc) }

func (c *quicConn) switchPath(ctx context.Context, pc net.PacketConn) error {
	s := newSocket(pc)
	if err := c.switchTo(ctx, s); err != nil {
		s.Close()
		return fmt.Errorf("switch to a path from %s: %w", pc.LocalAddr(), Explain(err))
	}
	return nil
}

var (
	errAccepted = errors.New("only the end that dialled can switch paths")
	// errStuck says that quic-go does not send the packets that would try a path.
	errStuck = errors.New("too much is under way on the old path")
)

func (c *quicConn) switchTo(ctx context.Context, s *socket) error {
	if c.addr == nil {
		return errAccepted
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.qc.Context(), func() { cancel(context.Cause(c.qc.Context())) })()
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-c.confirmed():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.connectionState() // the last time that it can be asked for, see there
	err := c.tryFirst(ctx, s)
	if errors.Is(err, errStuck) {
		err = c.moveFirst(ctx, s)
	}
	if err != nil && ctx.Err() != nil && c.err() == nil {
		return fmt.Errorf("%w over it (%w)", ErrNoAnswer, err)
	}
	return err
}

// tryFirst moves the connection to s once an answer has come over it.
func (c *quicConn) tryFirst(ctx context.Context, s *socket) error {
	p, err := c.spare(s)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err = c.probe(ctx, p, s); err == nil {
		s.used.down()
		err = p.qp.Switch()
	}
	if err != nil {
		p.take(s)
		return err
	}
	old := c.path
	c.path = p
	c.inUse.Store(p)
	c.wake()
	left := old.now()
	if left != nil {
		left.SetWriteDeadline(time.Now().Add(flushTime))
	}
	c.settle(ctx, s, patience+2*time.Since(begin))
	if left != nil {
		time.AfterFunc(grace, func() { old.take(left); left.Close() })
	}
	return nil
}

// settle waits until the peer sends to s, too, but not longer than grace. After an
// earlier switch the peer might have no connection ID left to check the next path, and
// ask for more on a path that nobody reads.
func (c *quicConn) settle(ctx context.Context, s *socket, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	c.insist(ctx, s.used, wait)
}

// patience is how long after a round trip an answer may come.
const patience = 30 * time.Millisecond

// insist waits for a signal. After each wait, and each is longer than the one before, it
// restarts the path in use: the peer checks the path, and quic-go queues the answer
// behind data that nobody acknowledges until the path is checked.
func (c *quicConn) insist(ctx context.Context, s signal, wait time.Duration) error {
	for ; ; wait *= 2 {
		select {
		case <-s:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
			if err := c.again(); err != nil {
				return err
			}
		}
	}
}

// spare returns a path that is not in use, with s in it.
func (c *quicConn) spare(s *socket) (*path, error) {
	for _, p := range c.paths {
		if p != c.path && p.qp != nil && p.takes(s) {
			if before := p.refill(s); before != nil { // in its grace
				before.Close()
			}
			return p, nil
		}
	}
	p := newPath(s)
	p.steady.Store(true)
	if !c.keep(p) {
		return nil, ErrClosed
	}
	var err error
	p.qp, err = c.qc.AddPath(p.tr)
	return p, err
}

// keep lets Close close p, too. It returns false after Close.
func (c *quicConn) keep(p *path) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.paths = append(c.paths, p)
	return true
}

// probe waits for an answer over p, which holds s.
func (c *quicConn) probe(ctx context.Context, p *path, s *socket) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	if old := c.path.now(); c.path.qp != nil && old != nil { // or there is no other way than to wait
		watch.Go(func() {
			if c.stuck(ctx, old, s) {
				cancel(errStuck)
			}
		})
	}
	return p.qp.Probe(ctx)
}

// stuck returns true once the old path is silent and quic-go cannot try s: it has
// sent nothing there, or waits on the old path for an answer that does not come.
// It returns false when ctx ends.
func (c *quicConn) stuck(ctx context.Context, old, s *socket) bool {
	// While the old path lives, acknowledgements come within little more than a round
	// trip, and quic-go may send something for each.
	tick := time.NewTicker(patience + c.roundTrips())
	defer tick.Stop()
	waits := false
	old.heard.down()
	for old.sent.Store(false); ; {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		switch {
		case old.heard.down():
			waits = false
			old.sent.Store(false)
		case waits, !s.sent.Load():
			return true
		default:
			waits = old.sent.Load()
		}
	}
}

// moveFirst moves the connection to s, and back when no answer comes. It puts s into the
// path in use and switches to that path: quic-go then forgets what is under way and
// sends it again.
func (c *quicConn) moveFirst(ctx context.Context, s *socket) error {
	p := c.path
	if !p.takes(s) {
		return errStuck
	}
	wait := patience + c.roundTrips()
	old := p.refill(s)
	err := c.again()
	if err == nil {
		err = c.insist(ctx, s.heard, wait)
	}
	if err != nil {
		p.put(old)
		return errors.Join(err, c.again())
	}
	old.Close()
	c.settle(ctx, s, wait)
	return nil
}

// roundTrips returns the time of two round trips.
func (c *quicConn) roundTrips() time.Duration { return 2 * c.qc.ConnectionStats().SmoothedRTT }

// again restarts the path in use: quic-go sends again what is under way.
func (c *quicConn) again() error {
	err := c.path.qp.Switch()
	c.wake()
	return err
}

// wake makes quic-go's loop see a switch at once, and not only when it has something to
// send: until then an idle UE's host goes on sending to the old path. Closing any path
// wakes the loop, and closing one that was never probed does nothing else.
func (c *quicConn) wake() {
	if qp, err := c.qc.AddPath(c.path.tr); err == nil {
		qp.Close()
	}
}

// closePaths closes all sockets of a connection that has ended.
func (c *quicConn) closePaths() error {
	c.mu.Lock()
	c.closed = true
	paths := slices.Clone(c.paths)
	c.mu.Unlock()
	var err error
	for _, p := range paths {
		err = errors.Join(err, p.close())
	}
	return err
}
