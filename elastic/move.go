package elastic

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// Move moves the far endpoint to t, or to the UE if t is nil, and returns once it is
// served there. It makes before it breaks: the new far endpoint has the state, and the
// messages since that copy, before it becomes the owner. When Move fails,
// nothing has changed, the state stays where it was, and an event tells why, as the error does.
// One move runs at a time: a second one waits until the first one's old far endpoint has answered its messages.
//
// The old far endpoint answers the messages sent before the switch, the new one those
// sent after it. If the endpoint is marked idempotent, both handle the messages since the
// copy of the state, with the new one's outcomes suppressed, so that Send waits only for
// the switch. If it is not, Send waits until the old far endpoint has answered all
// messages and its state has been copied. Mode Latest does the latter, too, for the few
// messages under way.
//
// The copy may take any time, as long as it moves on; ctx bounds the whole. When the old far endpoint's host is lost
// before or during the Move, a recovery goes first, and the Move begins again from where that has led.
func (c *Channel[In, Out]) Move(ctx context.Context, t Target) error {
	m := move{begin: time.Now(), to: t}
	err := errors.Join(c.misused(ctx), usableOrNil(t))
	if err == nil {
		err = c.move(ctx, &m)
	}
	if err == nil && m.stayed {
		return nil
	}
	e := Event{Kind: Moved, From: m.from, To: m.name, Took: time.Since(m.begin), Switch: m.blocked, Replayed: m.replayed}
	if err != nil {
		e.Kind, e.Reason = MoveFailed, err
		err = fmt.Errorf("move %s to %s: %w", c.ep.Name, placeName(m.name), err)
	}
	c.mu.Lock()
	if err == nil {
		c.stats.Moves++
	}
	c.stats.Replayed += uint64(m.replayed)
	c.mu.Unlock()
	c.told(e)
	return err
}

// usable says why t cannot be a target.
func usable(t Target) error {
	switch v := reflect.ValueOf(t); {
	case t == nil:
		return errors.New("elastic: a target is nil")
	case v.Kind() == reflect.Pointer && v.IsNil():
		return fmt.Errorf("elastic: a target is a nil %T", t)
	case !v.Comparable():
		return fmt.Errorf("elastic: targets of type %T cannot be compared: use a pointer", t)
	}
	return nil
}

func allUsable(all []Target) error {
	for _, t := range all {
		if err := usable(t); err != nil {
			return err
		}
	}
	return nil
}

// usableOrNil is usable for the target of a Move, where nil is the UE.
func usableOrNil(t Target) error {
	if t == nil {
		return nil
	}
	return usable(t)
}

func placeName(host string) string {
	if host == "" {
		return "the UE"
	}
	return host
}

// A move is a Move under way.
type move struct {
	begin    time.Time
	to       Target
	name     string // of to
	from     string
	stayed   bool // it was there
	replayed int
	blocked  time.Duration // how long the turn was held to switch
}

func (c *Channel[In, Out]) move(ctx context.Context, m *move) error {
	if m.to != nil {
		m.name = m.to.Name()
	}
	for {
		recoveries, err := c.awaitRecovery(ctx)
		if err == nil {
			err = c.moveOnce(ctx, m)
		}
		if err == nil || ctx.Err() != nil || !c.recoveredSince(recoveries) {
			return err
		}
	}
}

// awaitRecovery waits until no recovery looks for an owner, and returns how many have begun so far.
func (c *Channel[In, Out]) awaitRecovery(ctx context.Context) (recoveries uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.phase == fenced {
		if ctx.Err() != nil {
			return c.recoveries, context.Cause(ctx)
		}
		c.awaitLocked(ctx)
	}
	return c.recoveries, nil
}

// recoveredSince says whether a recovery has begun since there were so many.
func (c *Channel[In, Out]) recoveredSince(recoveries uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recoveries != recoveries
}

// moveOnce moves, unless a recovery comes between.
func (c *Channel[In, Out]) moveOnce(ctx context.Context, m *move) error {
	if err := c.moving.take(ctx); err != nil {
		return err
	}
	defer c.moving.release()
	ctx, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	defer context.AfterFunc(c.closing, func() { interrupt(ErrClosed) })()
	if err := c.locate(m, interrupt); err != nil || m.stayed {
		return err
	}
	defer c.endMove()
	a, err := c.attachFor(ctx, m.to) // this may take long, and the channel goes on
	if err != nil {
		return err
	}
	if err := c.beginMove(ctx); err != nil {
		release(a)
		return err
	}
	n, err := c.newcomerAt(ctx, m.to, a)
	if err != nil {
		return err
	}
	return c.handOver(ctx, m, n)
}

// locate notes where the far endpoint is. interrupt ends the move when that host is lost.
func (c *Channel[In, Out]) locate(m *move, interrupt context.CancelCauseFunc) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.from = c.whereLocked()
	if err := c.movableLocked(); err != nil {
		return err
	}
	m.stayed = c.owner == nil && m.to == nil || c.owner != nil && c.owner.target == m.to
	if !m.stayed {
		c.interrupt = interrupt
	}
	return nil
}

// beginMove waits until the owner before an earlier move has answered its messages, and a checkpoint has
// ended, and begins.
func (c *Channel[In, Out]) beginMove(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox.exceed() // the earlier move need not wait for Recv
	c.changed.open()
	for (c.old != nil || c.saves.phase == taking) && c.movableLocked() == nil && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	c.inbox.unbounded--
	if err := c.movableLocked(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.stepLocked(signal{kind: moveBegins})
	return nil
}

// movableLocked says why the far endpoint cannot be moved now.
func (c *Channel[In, Out]) movableLocked() error {
	switch {
	case c.phase == ended:
		return c.refusal
	case c.owner != nil && c.owner.lost != nil:
		return c.owner.lost
	case c.phase == fenced:
		return errOvertaken
	}
	return nil
}

// endMove ends a move that has made nobody the owner, or somebody.
func (c *Channel[In, Out]) endMove() {
	c.mu.Lock()
	c.interrupt = nil
	do := c.stepLocked(signal{kind: moveFails}) // refused if it has not failed
	relieved := c.relieveLocked()
	if c.owner == nil && c.log.recording {
		c.log.reset(c.sent)
	}
	c.wantSaveLocked()
	c.wantStandbyLocked()
	c.mode.resumeLocked()
	c.mu.Unlock()
	do.finish()
	relieved.finish()
}

// newcomerAt prepares a far endpoint at t, which is a unless that is nil.
func (c *Channel[In, Out]) newcomerAt(ctx context.Context, t Target, a *attachment) (newcomer, error) {
	if t == nil {
		return &onUE[In, Out]{Channel: c}, nil
	}
	return c.choose(ctx, t, a)
}

// handOver gives n the state and the messages since, and makes it the owner.
func (c *Channel[In, Out]) handOver(ctx context.Context, m *move, n newcomer) error {
	if c.replays() {
		if err := c.follow(ctx, m, n); err != nil {
			return err
		}
	}
	release, err := c.hold(ctx, m)
	if err != nil {
		return err
	}
	defer release()
	if c.replays() {
		err = m.replay(ctx, n, c.lastSent())
	}
	if err == nil && (m.to == nil || !c.replays()) { // the old owner's outcomes come first
		err = c.drain(ctx)
	}
	if err == nil && !c.replays() {
		err = c.copyTo(ctx, n)
	}
	if err != nil {
		return err
	}
	return n.lead(c.firstFor())
}

// replay gives n the messages up to upTo.
func (m *move) replay(ctx context.Context, n newcomer, upTo uint64) error {
	replayed, err := n.replay(ctx, upTo)
	m.replayed += replayed
	return err
}

// follow gives n the state, and the messages since, until it has handled nearly all of
// them. The owner goes on meanwhile.
func (c *Channel[In, Out]) follow(ctx context.Context, m *move, n newcomer) error {
	k, err := c.copyState(ctx)
	if err != nil {
		return err
	}
	if err := n.take(ctx, k); err != nil {
		return err
	}
	for left, before := uint64(0), ^uint64(0); ; before = left {
		if err := c.takeTurn(ctx); err != nil {
			return err
		}
		upTo := c.lastSent()
		c.releaseTurn()
		if left = upTo - n.has(); settled(left, before) {
			return nil
		}
		if err := m.replay(ctx, n, upTo); err != nil {
			return err
		}
		if err := n.caughtUp(ctx); err != nil {
			return err
		}
	}
}

// settled says whether to take the turn for the messages that are left: they are so few
// that senders hardly wait, or more than half of those left in the round before, since
// the senders are then about as fast as the one who catches up.
func settled(left, before uint64) bool { return left <= feedRest || left > before/2 }

// feedRest is how few messages are always few enough.
const feedRest = 2

// lastSent returns the last message sent.
func (c *Channel[In, Out]) lastSent() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// firstFor returns the first message that a new owner answers after a move: the one
// after those that the old one answers.
func (c *Channel[In, Out]) firstFor() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.replays() {
		return c.sent + 1
	}
	return c.delivered + 1
}

// hold takes the turn to switch. release gives it back.
func (c *Channel[In, Out]) hold(ctx context.Context, m *move) (release func(), err error) {
	begin := time.Now()
	if err := c.takeTurn(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	do := c.stepLocked(signal{kind: held})
	c.mu.Unlock()
	if do.refused {
		c.releaseTurn()
		return nil, orCause(ctx, errOvertaken)
	}
	return func() {
		m.blocked = time.Since(begin)
		c.releaseTurn()
	}, nil
}

// copyState returns the far endpoint's state as of some message, while messages go on.
func (c *Channel[In, Out]) copyState(ctx context.Context) (checkpoint, error) {
	c.mu.Lock()
	own := c.owner
	c.mu.Unlock()
	if own == nil {
		return c.copyHere(ctx)
	}
	k, err := c.copyOf(ctx, own)
	if err != nil {
		return k, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.unfitLocked(ctx, own); err != nil {
		return k, err
	}
	return k, c.comeLocked(k, c.delivered)
}

// copyOf returns the state of own. When the stream for it ends, or its guest breaks, the far endpoint's own stream tells so, too, and which of
// them tells first is chance: the far endpoint is lost, unless that would end the channel.
func (c *Channel[In, Out]) copyOf(ctx context.Context, own *attachment) (checkpoint, error) {
	k, err := c.snapshot(ctx, own)
	var f *wire.Fail
	switch {
	case err == nil, ctx.Err() != nil, !c.recoverable():
	case errors.Is(err, ErrLost):
		c.fail(own, err)
	case errors.As(err, &f) && f.Started && brokeGuest(f.Code):
		c.fail(own, &unsavedError{f})
	}
	return k, err
}

// copyHere copies the state of the far endpoint on the UE. From then on the log
// keeps what is handled there.
func (c *Channel[In, Out]) copyHere(ctx context.Context) (checkpoint, error) {
	if err := c.takeTurn(ctx); err != nil {
		return checkpoint{}, err
	}
	defer c.releaseTurn()
	state, err := c.stateHere()
	if err != nil {
		return checkpoint{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.reset(c.sent)
	c.log.recording = true
	k := checkpoint{seq: c.sent, state: state}
	c.saves.reset(k, k.seq)
	return k, nil
}

// drain waits until all messages under way are answered. It lets the results exceed
// the window: at most one window of messages is under way.
func (c *Channel[In, Out]) drain(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox.exceed()
	c.changed.open()
	for !c.mode.settledLocked() && c.movableLocked() == nil && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	c.inbox.unbounded--
	switch err := c.movableLocked(); {
	case err != nil:
		return err
	case !c.mode.settledLocked():
		return context.Cause(ctx)
	}
	return nil
}

// copyTo copies the state to n, when all messages have been answered. The turn is held.
func (c *Channel[In, Out]) copyTo(ctx context.Context, n newcomer) error {
	c.mu.Lock()
	own, seq := c.owner, c.delivered
	c.mu.Unlock()
	k := checkpoint{seq: seq}
	var err error
	if own == nil {
		k.state, err = c.stateHere()
	} else {
		k, err = c.copyOf(ctx, own)
	}
	switch {
	case err != nil:
		return err
	case c.cfg.Mode == Ordered && k.seq != seq:
		return fmt.Errorf("%w: state as of message %d when all %d were answered", ErrPeer, k.seq, seq)
	}
	if err := n.take(ctx, k); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saves.reset(k, seq)
	return nil
}
