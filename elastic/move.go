package elastic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// Move moves the far endpoint to t, or to the UE if t is nil, and returns once it is
// served there. It makes before it breaks: the new far endpoint has the state, and the
// messages since that copy, before it becomes the owner. When Move fails,
// nothing has changed; its error says why. One move runs at a time: a second one waits.
//
// The old far endpoint answers the messages sent before the switch, the new one those
// sent after it. If the endpoint is marked idempotent, both handle the messages since the
// copy of the state, with the new one's outcomes suppressed, so that Send waits only for
// the switch. If it is not, Send waits until the old far endpoint has answered all
// messages and its state has been copied. Mode Latest does the latter, too, for the few
// messages under way.
func (c *Channel[In, Out]) Move(ctx context.Context, t Target) error {
	if err := c.moving.take(ctx); err != nil {
		return err
	}
	defer c.moving.release()
	begin := time.Now()
	ctx, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	at, from, err := c.beginMove(ctx, interrupt)
	if err != nil {
		return err
	}
	if at == t {
		c.endMove()
		return nil
	}
	m := move{ctx: ctx}
	switch {
	case c.cfg.Mode == Latest:
		err = c.moveLatest(&m, t)
	case t == nil:
		err = c.bringHome(&m)
	default:
		err = c.moveTo(&m, t)
	}
	c.endMove()
	to := ""
	if t != nil {
		to = t.Name()
	}
	e := Event{Kind: Moved, From: from, To: to, Took: time.Since(begin), Switch: m.blocked, Replayed: m.replayed}
	if err != nil {
		e.Kind, e.Reason = MoveFailed, err
		err = fmt.Errorf("move %s to %s: %w", c.ep.Name, placeName(to), err)
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

func placeName(host string) string {
	if host == "" {
		return "the UE"
	}
	return host
}

// A move is a Move or a recovery under way.
type move struct {
	ctx      context.Context
	replayed int
	blocked  time.Duration // how long the turn was held to switch
}

// beginMove waits until an earlier move and a checkpoint have ended, and stops further
// checkpoints. It returns where the far endpoint is. interrupt ends the move when that
// host is lost.
func (c *Channel[In, Out]) beginMove(ctx context.Context, interrupt context.CancelCauseFunc) (at Target, name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (c.old != nil || c.saving != nil) && c.movableLocked() == nil && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	if err := c.movableLocked(); err != nil {
		return nil, "", err
	}
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	c.copying, c.interrupt = true, interrupt
	if c.own != nil {
		at = c.own.target
	}
	return at, c.whereLocked(), nil
}

// movableLocked says why the far endpoint cannot be moved now.
func (c *Channel[In, Out]) movableLocked() error {
	switch {
	case c.ended != nil:
		return c.ended
	case c.own != nil && c.own.lost != nil:
		return c.own.lost
	case c.old != nil && c.old.lost != nil:
		return c.old.lost
	}
	return nil
}

func (c *Channel[In, Out]) endMove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.copying, c.interrupt = false, nil
	if c.own == nil && c.recording {
		c.recording = false
		c.log.reset(c.seq)
	}
	c.wantSaveLocked()
	c.wantStandbyLocked()
	c.changed.open()
}

// moveTo moves the far endpoint to an edge host.
func (c *Channel[In, Out]) moveTo(m *move, t Target) error {
	a, err := c.claim(m.ctx, t)
	if err != nil {
		return err
	}
	if err := c.handOver(m, a); err != nil {
		c.discard(a)
		return err
	}
	return nil
}

// claim returns a far endpoint at t that will own the next epoch: the standby if it is at
// t, else a fresh one.
func (c *Channel[In, Out]) claim(ctx context.Context, t Target) (*attachment, error) {
	c.mu.Lock()
	a := c.standby
	if a != nil && a.target == t && a.lost == nil {
		c.standby = nil
	} else {
		a = nil
	}
	c.epoch++
	epoch := c.epoch
	c.mu.Unlock()
	if a == nil {
		var err error
		if a, err = attach(ctx, t, &c.ep.Desc, c.cfg, c); err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.goLocked(func() { a.start() })
		c.mu.Unlock()
	}
	c.mu.Lock()
	a.epoch = epoch
	c.mu.Unlock()
	return a, nil
}

// discard gives up a far endpoint that owns nothing.
func (c *Channel[In, Out]) discard(a *attachment) {
	c.mu.Lock()
	a.fenced = true
	c.changed.open()
	c.mu.Unlock()
	a.end()
}

// handOver gives a the state and the messages since, and makes it the owner.
func (c *Channel[In, Out]) handOver(m *move, a *attachment) error {
	var k checkpoint
	if c.ep.Idempotent {
		var err error
		if k, err = c.copyState(m.ctx); err != nil {
			return err
		}
		if err = c.feed(m, a, k); err != nil {
			return err
		}
	}
	release, err := c.holdTurn(m)
	if err != nil {
		return err
	}
	defer release()
	if !c.ep.Idempotent {
		if k, err = c.drainState(m.ctx); err != nil {
			return err
		}
		if err = c.feed(m, a, k); err != nil {
			return err
		}
	}
	if err := c.replayTo(m, a, c.seq); err != nil {
		return err
	}
	return c.switchTo(a)
}

// holdTurn takes the turn to switch. release gives it back.
func (c *Channel[In, Out]) holdTurn(m *move) (release func(), err error) {
	if err := c.takeTurn(m.ctx); err != nil {
		return nil, err
	}
	begin := time.Now()
	return func() {
		m.blocked = time.Since(begin)
		c.releaseTurn()
	}, nil
}

// copyState returns the far endpoint's state as of some message, while messages go on.
func (c *Channel[In, Out]) copyState(ctx context.Context) (checkpoint, error) {
	c.mu.Lock()
	own := c.own
	c.mu.Unlock()
	if own == nil {
		return c.copyHere(ctx)
	}
	k, err := c.snapshot(ctx, own)
	if err != nil {
		return k, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if own.fenced || own.lost != nil {
		return k, errors.Join(ErrLost, own.lost)
	}
	return k, c.comeLocked(k)
}

// copyHere copies the state of the far endpoint on the UE. From then on the log
// keeps what is handled there.
func (c *Channel[In, Out]) copyHere(ctx context.Context) (checkpoint, error) {
	if err := c.takeTurn(ctx); err != nil {
		return checkpoint{}, err
	}
	defer c.releaseTurn()
	state := c.live.AppendState(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.reset(c.seq)
	c.recording = true
	c.saveAsLocked(checkpoint{seq: c.seq, state: state})
	return c.saved, nil
}

// drainState waits until all messages have been answered and returns the state
// then. The turn is held.
func (c *Channel[In, Out]) drainState(ctx context.Context) (checkpoint, error) {
	c.mu.Lock()
	c.drainLocked(ctx)
	own, seq, err := c.own, c.seq, c.movableLocked()
	if own != nil && err == nil && c.delivered < seq {
		err = context.Cause(ctx)
	}
	c.mu.Unlock()
	if err != nil {
		return checkpoint{}, err
	}
	if own == nil {
		return checkpoint{seq: seq, state: c.live.AppendState(nil)}, nil
	}
	k, err := c.snapshot(ctx, own)
	if err == nil && k.seq != seq {
		err = fmt.Errorf("%w: state as of message %d when all %d were answered", ErrPeer, k.seq, seq)
	}
	return k, err
}

// settled says whether to take the turn for the messages that are left: they are so few
// that senders hardly wait, or more than half of those left in the round before, since
// the senders are then about as fast as the one who catches up.
func settled(left, before uint64) bool { return left <= feedRest || left > before/2 }

// feedRest is how few messages are always few enough.
const feedRest = 2

// feed gives a the state k and the messages since, and waits until a has handled nearly
// all of them.
func (c *Channel[In, Out]) feed(m *move, a *attachment, k checkpoint) error {
	if err := c.give(a, k, always); err != nil {
		return err
	}
	if !c.ep.Idempotent {
		return nil
	}
	for left, before := uint64(0), ^uint64(0); ; before = left {
		if err := c.takeTurn(m.ctx); err != nil {
			return err
		}
		upTo := c.seq
		c.releaseTurn()
		if left = upTo - a.has; settled(left, before) {
			return nil
		}
		if err := c.replayTo(m, a, upTo); err != nil {
			return err
		}
		if err := c.awaitDone(m.ctx, a); err != nil {
			return err
		}
	}
}

// awaitDone waits until a has handled all but the last few messages sent to it.
func (c *Channel[In, Out]) awaitDone(ctx context.Context, a *attachment) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a.credit.Done+feedRest < a.sent.Messages && a.lost == nil && c.ended == nil && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	return c.unfitLocked(ctx, a)
}

// unfitLocked says why a cannot become the owner.
func (c *Channel[In, Out]) unfitLocked(ctx context.Context, a *attachment) error {
	switch {
	case a.lost != nil:
		return a.lost
	case c.ended != nil:
		return c.ended
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return nil
}

// replayTo sends a the messages that it lacks, up to upTo, quietly.
func (c *Channel[In, Out]) replayTo(m *move, a *attachment, upTo uint64) error {
	for seq := a.has + 1; seq <= upTo; seq++ {
		if err := c.resend(m.ctx, a, seq, true); err != nil {
			return err
		}
		m.replayed++
	}
	return nil
}

// resend sends a message of the log to a, once a's credit allows it.
func (c *Channel[In, Out]) resend(ctx context.Context, a *attachment, seq uint64, quiet bool) error {
	c.mu.Lock()
	for !a.mayLocked() && a.lost == nil && c.ended == nil && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	e := c.log.at(seq)
	err := c.unfitLocked(ctx, a)
	if err == nil && e == nil {
		err = fmt.Errorf("elastic: message %d is not kept", seq)
	}
	if err != nil {
		c.mu.Unlock()
		return err
	}
	header := wire.Message{Epoch: a.epoch, Seq: seq, Quiet: quiet || e.broke, Skip: e.broke}
	frame := *e.frame
	if e.broke {
		a.countLocked(seq, 0)
	} else {
		a.countLocked(seq, e.size())
	}
	if !quiet {
		e.sent = time.Now()
	}
	c.mu.Unlock()
	if header.Skip {
		return a.write(wire.AppendMessage(nil, header))
	}
	stamp(frame, header)
	return a.write(frame)
}

// switchTo makes a the owner of all messages after those sent so far. The turn is
// held.
func (c *Channel[In, Out]) switchTo(a *attachment) error {
	c.mu.Lock()
	if err := errors.Join(c.movableLocked(), a.lost); err != nil {
		c.mu.Unlock()
		return err
	}
	a.next = c.seq + 1
	old := c.own
	if old != nil {
		old.last = c.seq
		if c.delivered == c.seq {
			old.fenced = true
		} else {
			c.old, old = old, nil
		}
	}
	c.own = a
	c.live, c.recording, c.stalled = nil, false, time.Time{}
	if !c.ep.Idempotent {
		c.log.reset(c.seq)
	}
	c.changed.open()
	c.mu.Unlock()
	if old != nil {
		old.end()
	}
	return nil
}

// bringHome moves the far endpoint to the UE.
func (c *Channel[In, Out]) bringHome(m *move) error {
	var live *codegen.Live[In, Out]
	var has uint64
	if c.ep.Idempotent {
		k, err := c.copyState(m.ctx)
		if err != nil {
			return err
		}
		if live, err = c.load(k); err != nil {
			return err
		}
		if has, err = c.catchUp(m, live, k.seq); err != nil {
			return err
		}
	}
	release, err := c.holdTurn(m)
	if err != nil {
		return err
	}
	defer release()
	if c.ep.Idempotent {
		if err := c.handleQuietly(m, live, has, c.seq); err != nil {
			return err
		}
		return c.settleHome(m.ctx, live)
	}
	k, err := c.drainState(m.ctx)
	if err != nil {
		return err
	}
	if live, err = c.load(k); err != nil {
		return err
	}
	return c.settleHome(m.ctx, live)
}

func (c *Channel[In, Out]) load(k checkpoint) (*codegen.Live[In, Out], error) {
	live, err := c.ep.Load(k.state)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return live, nil
}

// catchUp handles on the UE, quietly, the messages since the state was copied, while the
// owner goes on. It returns the last message handled.
func (c *Channel[In, Out]) catchUp(m *move, live *codegen.Live[In, Out], has uint64) (uint64, error) {
	for left, before := uint64(0), ^uint64(0); ; before = left {
		if err := c.takeTurn(m.ctx); err != nil {
			return has, err
		}
		upTo := c.seq
		c.releaseTurn()
		if left = upTo - has; settled(left, before) {
			return has, nil
		}
		if err := c.handleQuietly(m, live, has, upTo); err != nil {
			return has, err
		}
		has = upTo
	}
}

// handleQuietly handles the messages of the log after from, up to upTo, on the UE
// and suppresses what they emit.
func (c *Channel[In, Out]) handleQuietly(m *move, live *codegen.Live[In, Out], from, upTo uint64) error {
	for seq := from + 1; seq <= upTo; seq++ {
		c.mu.Lock()
		e := c.log.at(seq)
		if e == nil {
			c.mu.Unlock()
			return fmt.Errorf("elastic: message %d is not kept", seq)
		}
		frame, broke := *e.frame, e.broke
		c.mu.Unlock()
		if !broke {
			c.handleFrame(live, frame, func(Out) error { return nil })
		}
		m.replayed++
		if m.ctx.Err() != nil {
			return context.Cause(m.ctx)
		}
	}
	return nil
}

// handleFrame handles an encoded message. Only the channel's end cancels it: a replay
// must have the same result as the first handling.
func (c *Channel[In, Out]) handleFrame(live *codegen.Live[In, Out], frame []byte, emit func(Out) error) error {
	r := pack.NewReader(frame[wire.MessageHeader:])
	in := c.ep.ReadIn(&r)
	if err := r.Done(); err != nil {
		return err // the host would answer the same
	}
	return live.Handle(c.closing, in, emit)
}

// drainLocked waits until all outcomes have been delivered, if they can be. It lets them
// exceed the window of results: at most one window of messages is under way.
func (c *Channel[In, Out]) drainLocked(ctx context.Context) {
	c.draining = true
	c.changed.open()
	for c.delivered < c.seq && c.movableLocked() == nil && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	c.draining = false
}

// settleHome makes the UE the owner once the last outcome is delivered. The turn
// is held: nothing could be delivered before that anyway.
func (c *Channel[In, Out]) settleHome(ctx context.Context, live *codegen.Live[In, Out]) error {
	c.mu.Lock()
	c.drainLocked(ctx)
	if err := c.movableLocked(); err != nil {
		c.mu.Unlock()
		return err
	}
	if c.delivered < c.seq {
		c.mu.Unlock()
		return context.Cause(ctx)
	}
	gone := c.homeLocked(live)
	c.log.reset(c.seq)
	c.changed.open()
	c.mu.Unlock()
	endAll(gone)
	return nil
}

// homeLocked makes the UE the owner, with live. It returns the attachments to end.
func (c *Channel[In, Out]) homeLocked(live *codegen.Live[In, Out]) (gone []*attachment) {
	gone = c.fenceAllLocked()
	c.own, c.live = nil, live
	c.saveAsLocked(checkpoint{})
	return gone
}
