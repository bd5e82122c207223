package elastic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// fail notes that a cannot be used any longer. If it owns messages, a recovery begins.
func (c *Channel[In, Out]) fail(a *attachment, why error) {
	c.mu.Lock()
	if a.lost != nil || a.fenced || c.ended != nil {
		c.mu.Unlock()
		return
	}
	a.lost = why
	switch a {
	case c.standby:
		a.fenced = true
		c.standby = nil
		c.save.set(c.cfg.CheckpointInterval) // prepares another one
		c.tellLocked(Event{Kind: StandbyLost, From: a.name, Reason: why})
		c.mu.Unlock()
		a.end()
		return
	case c.own, c.old:
		if !c.recovers {
			c.recovers = true
			c.goLocked(c.recover)
		}
		if c.interrupt != nil {
			c.interrupt(why) // the move's source is lost
		}
	}
	c.changed.open()
	c.mu.Unlock()
	a.cut()
}

// halted takes a Halt: a host that drains wants the far endpoint to go elsewhere;
// a message broke its guest; or the host gives up.
func (c *Channel[In, Out]) halted(a *attachment, h wire.Halt) error {
	switch h.Fail.Code {
	case offload.CodeDraining:
		c.mu.Lock()
		if a == c.own {
			c.goLocked(func() { c.leave(a) })
		}
		c.mu.Unlock()
		return nil
	case offload.CodeProtocol:
		return fmt.Errorf("%w: %w", ErrPeer, &h.Fail)
	}
	switch {
	case !brokeGuest(h.Fail.Code):
		return &h.Fail
	case c.cfg.Mode == Latest:
		c.awaitLanded(a)
		return fmt.Errorf("%w: %w", errBroke, &h.Fail)
	case h.Seq > 0:
		return c.broke(a, h)
	}
	return &h.Fail
}

// brokeGuest says whether a message that ended with code broke its guest.
func brokeGuest(code offload.Code) bool {
	switch code {
	case offload.CodeTrapped, offload.CodePanicked, offload.CodeOutOfMemory, offload.CodeOutOfFuel:
		return true
	}
	return false
}

// errBroke says that a message broke the attachment's guest. The host is fine.
var errBroke = errors.New("guest is broken")

// broke delivers the outcome of a message that broke its guest: the error. Replays
// skip the message.
func (c *Channel[In, Out]) broke(a *attachment, h wire.Halt) error {
	why := &h.Fail
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.Seq < a.next || a.next == 0 {
		return why // in a quiet replay: the outcome is known, or the old owner's to give
	}
	if ok, err := c.expectLocked(a, a.epoch, h.Seq); !ok {
		return err
	}
	e := c.log.at(h.Seq)
	e.broke = true
	c.pushLocked(Result[Out]{
		Seq: h.Seq, Captured: e.captured, Tag: e.tag, Host: a.name,
		Err: c.brokenBy(a, why),
	})
	a.next = h.Seq + 1
	c.delivered = h.Seq
	c.adoptLocked()
	c.changed.open()
	return fmt.Errorf("%w: %w", errBroke, why)
}

// brokenBy is the outcome of a message that broke its guest.
func (c *Channel[In, Out]) brokenBy(a *attachment, why *wire.Fail) error {
	e := &offload.CallError{Func: c.ep.Name, Host: a.name, Code: why.Code, Fate: offload.Stopped, Err: why}
	if why.Code == offload.CodePanicked {
		e.Fate, e.Err = offload.Ended, offload.PanicError(why.Text)
	}
	return e
}

// leave moves the far endpoint away from a host that drains.
func (c *Channel[In, Out]) leave(a *attachment) {
	c.mu.Lock()
	var to Target
	for _, t := range c.cfg.Standby {
		if t != a.target {
			to = t
			break
		}
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.closing, recoveryTimeout)
	defer cancel()
	if to != nil && c.Move(ctx, to) == nil {
		return
	}
	home, cancelHome := context.WithTimeout(c.closing, recoveryTimeout)
	defer cancelHome()
	if c.Move(home, nil) != nil {
		c.fail(a, fmt.Errorf("%w: it drains", ErrLost))
	}
}

// recover finds a new owner for the messages whose outcomes the lost owner has not
// delivered.
//
//	lost --fence: epoch+1 owns them--> restore the last checkpoint --> replay --> serving
//	                                        | at the same host, if only its guest broke
//	                                        | at the standby
//	                                        | on the UE
//
// A host that fails on the way is passed over. The UE fails only when the state
// does not decode, which ends the channel.
func (c *Channel[In, Out]) recover() {
	if c.moving.take(c.closing) != nil {
		return
	}
	defer c.moving.release()
	if c.takeTurn(c.closing) != nil {
		return
	}
	defer c.releaseTurn()
	begin := time.Now()
	r, ok := c.fence()
	if !ok {
		return
	}
	defer endAll(r.gone)
	if !c.recoverable() {
		c.end(fmt.Errorf("%w: %s on %s is not idempotent: %w", ErrLost, c.ep.Name, r.from, r.why))
		return
	}
	to, err := c.recoverAt(r)
	if err != nil {
		c.end(err)
		return
	}
	e := Event{Kind: FellBack, From: r.from, To: to, Reason: r.why, Took: time.Since(begin), Switch: time.Since(begin), Replayed: r.replayed}
	c.mu.Lock()
	c.stats.Replayed += uint64(r.replayed)
	if !errors.Is(r.why, errBroke) {
		c.stats.Fallbacks++
	}
	c.wantStandbyLocked()
	c.mu.Unlock()
	c.told(e)
}

// A recovery is a recovery under way.
type recovery struct {
	move
	from    string
	why     error
	gone    []*attachment
	same    Target // the host to try first; nil: none
	standby *attachment
	known   uint64 // the last message whose outcome has been delivered
}

// fence takes the messages without outcome from their owner. ok is false when nothing is
// to be recovered.
func (c *Channel[In, Out]) fence() (r *recovery, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recovers = false
	own, old := c.own, c.old
	if c.ended != nil || own == nil || own.lost == nil && (old == nil || old.lost == nil) {
		return nil, false
	}
	r = &recovery{from: own.name, why: own.lost, known: c.delivered, standby: c.standby}
	if own.lost == nil || errors.Is(own.lost, errBroke) {
		r.same = own.target
	}
	if own.lost == nil {
		r.from, r.why = old.name, old.lost
	}
	c.standby = nil
	c.copying = true // no checkpoint of a lost owner
	r.gone = c.fenceLocked()
	c.saving, c.coming, c.stalled = nil, checkpoint{}, time.Time{}
	c.changed.open()
	return r, true
}

// recoverAt finds a new owner and returns its name.
func (c *Channel[In, Out]) recoverAt(r *recovery) (to string, err error) {
	defer c.endMove()
	if r.same != nil && c.recoverTo(r, r.same, nil) {
		if r.standby != nil {
			c.keepStandby(r.standby)
		}
		return r.same.Name(), nil
	}
	if r.standby != nil {
		if c.recoverTo(r, r.standby.target, r.standby) {
			return r.standby.name, nil
		}
	}
	if c.cfg.Mode == Latest {
		return "", c.recoverLatestHere()
	}
	return "", c.recoverHere(r)
}

func (c *Channel[In, Out]) keepStandby(a *attachment) {
	c.mu.Lock()
	keep := c.standby == nil && a.lost == nil && c.ended == nil
	if keep {
		c.standby = a
	}
	c.mu.Unlock()
	if !keep {
		c.discard(a)
	}
}

// recoverTo makes a far endpoint at t the owner: ready, unless that is nil.
func (c *Channel[In, Out]) recoverTo(r *recovery, t Target, ready *attachment) bool {
	ctx, cancel := context.WithTimeoutCause(c.closing, recoveryTimeout, offload.ErrDeadline)
	defer cancel()
	r.ctx = ctx
	a := ready
	if a == nil {
		var err error
		if a, err = attach(ctx, t, &c.ep.Desc, c.cfg, c); err != nil {
			return false
		}
		c.mu.Lock()
		c.goLocked(func() { a.start() })
		c.mu.Unlock()
	}
	stop := context.AfterFunc(ctx, a.st.Reset)
	err := c.recoverOn(r, a)
	if !stop() || err != nil {
		c.discard(a)
		return false
	}
	return true
}

// recoverOn gives a the checkpoint and the messages since. Those without an outcome get
// theirs from a.
func (c *Channel[In, Out]) recoverOn(r *recovery, a *attachment) error {
	c.mu.Lock()
	c.epoch++
	a.epoch, a.next = c.epoch, c.delivered+1
	k, last, known := c.saved, c.seq, c.delivered
	c.mu.Unlock()
	if err := c.give(a, k, always); err != nil {
		return err
	}
	if c.cfg.Mode == Latest {
		if err := c.awaitRestored(r.ctx, a); err != nil {
			return err
		}
	} else {
		for seq := k.seq + 1; seq <= last; seq++ {
			if err := c.resend(r.ctx, a, seq, seq <= known); err != nil {
				return err
			}
			r.replayed++
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.lost != nil {
		return a.lost
	}
	c.own = a
	if c.cfg.Mode == Latest {
		c.pumpLocked()
	} else if c.delivered < c.seq {
		c.armLocked()
	}
	c.changed.open()
	return nil
}

// recoverHere makes the UE the owner.
func (c *Channel[In, Out]) recoverHere(r *recovery) error {
	c.mu.Lock()
	k, last, known := c.saved, c.seq, c.delivered
	c.mu.Unlock()
	live, err := c.load(k)
	if err != nil {
		return err
	}
	r.ctx = c.closing
	if err := c.handleQuietly(&r.move, live, k.seq, known); err != nil {
		return err
	}
	for seq := known + 1; seq <= last; seq++ {
		if err := c.answerHere(live, seq); err != nil {
			return err
		}
		r.replayed++
	}
	c.mu.Lock()
	gone := c.homeLocked(live)
	c.log.reset(c.seq)
	c.mu.Unlock()
	endAll(gone)
	return nil
}

// answerHere handles a message of the log on the UE and delivers its outcome.
func (c *Channel[In, Out]) answerHere(live *codegen.Live[In, Out], seq uint64) error {
	c.mu.Lock()
	for c.results.len() >= c.cfg.Window && !c.ending && c.ended == nil {
		c.awaitLocked(c.closing)
	}
	e, err := c.log.at(seq), c.ended
	if err != nil {
		c.mu.Unlock()
		return err
	}
	frame := *e.frame
	c.here = Result[Out]{Seq: seq, Captured: e.captured, Tag: e.tag}
	c.mu.Unlock()
	err = c.handleFrame(live, frame, c.emit)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finishLocked(err)
	return nil
}
