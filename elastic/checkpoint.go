package elastic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// recoverable says whether the far endpoint can be brought back after a crash. In
// mode Latest nothing is handled twice: what was under way is lost.
func (c *Channel[In, Out]) recoverable() bool { return c.ep.Idempotent || c.cfg.Mode == Latest }

// wantSaveLocked begins a checkpoint if enough has happened since the last one, else it
// sets the alarm for the next one.
func (c *Channel[In, Out]) wantSaveLocked() {
	if c.own == nil || !c.recoverable() || c.saving != nil || c.delivered == c.savedAt {
		return
	}
	full := c.log.bytes > c.cfg.WindowBytes/2 || c.log.len() > logWindows*c.cfg.Window/2
	if full || c.delivered-c.savedAt >= uint64(c.cfg.CheckpointMessages) {
		c.saveLocked()
		return
	}
	c.save.set(c.cfg.CheckpointInterval)
}

// checkSave is called an interval after the first message since a checkpoint.
func (c *Channel[In, Out]) checkSave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.save.on = false
	c.wantStandbyLocked()
	if c.own != nil && c.saving == nil && c.delivered != c.savedAt {
		c.saveLocked()
	}
}

// saveLocked begins a checkpoint, unless a move is copying the state anyway.
func (c *Channel[In, Out]) saveLocked() {
	a := c.own
	if c.copying || a.lost != nil || a.fenced {
		return
	}
	c.saving = a
	at := c.delivered
	c.goLocked(func() {
		k, err := c.snapshot(c.closing, a)
		if standby, err := c.saveCame(a, k, at, err); err != nil {
			c.fail(a, fmt.Errorf("checkpoint: %w", err))
		} else if standby != nil {
			c.refresh(standby)
		}
	})
}

// saveCame takes the result of a checkpoint of a, which was begun when message at was the
// last one delivered. It returns the standby that gets the checkpoint too, nil for none.
func (c *Channel[In, Out]) saveCame(a *attachment, k checkpoint, at uint64, err error) (standby *attachment, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saving == a {
		c.saving = nil
		c.changed.open()
	}
	var refusal *wire.Fail
	switch {
	case errors.As(err, &refusal) && refusal.Code == wire.CodeGone:
		c.save.set(c.cfg.CheckpointInterval) // the attachment's own stream reports its end
		return nil, nil
	case a.fenced:
		c.wantSaveLocked() // a checkpoint of the next owner
		return nil, nil
	case err != nil:
		return nil, err
	}
	c.wantStandbyLocked()
	if c.cfg.Mode == Latest {
		c.savedAt = at // the state may be behind what an owner before delivered
	}
	err = c.comeLocked(k)
	c.wantSaveLocked() // for what was delivered meanwhile
	return c.standby, err
}

// snapshot returns the state of a's far endpoint, within recoveryTimeout.
func (c *Channel[In, Out]) snapshot(ctx context.Context, a *attachment) (checkpoint, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, recoveryTimeout, offload.ErrDeadline)
	defer cancel()
	if err := c.awaitRestored(ctx, a); err != nil {
		return checkpoint{}, err // the snapshot's stream may overtake the state's
	}
	c.mu.Lock()
	last, have := a.state, uint64(wire.NoState)
	if a.stated {
		have = last.seq
	}
	c.mu.Unlock()
	k, err := a.snapshot(ctx, have)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return k, cause
	}
	if err != nil {
		return k, explain(err)
	}
	if k.same && have == wire.NoState {
		return k, fmt.Errorf("%w: no state has come, and it is to be the same", ErrPeer)
	}
	if k.same {
		k.state = last.state
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.state, a.stated = k, true
	return k, nil
}

// comeLocked takes a checkpoint of the owner. It counts once the outcomes of all messages
// that it covers have been delivered: a recovery from it could not bring them back.
func (c *Channel[In, Out]) comeLocked(k checkpoint) error {
	if k.seq < c.saved.seq || k.seq > c.seq {
		return fmt.Errorf("%w: state as of message %d after that of %d, with %d sent", ErrPeer, k.seq, c.saved.seq, c.seq)
	}
	c.stats.Checkpoints++
	c.stats.CheckpointTime += k.took
	if !k.same {
		c.stats.CheckpointBytes += uint64(len(k.state))
	}
	c.coming = k
	c.adoptLocked()
	c.changed.open()
	return nil
}

// adoptLocked makes the coming checkpoint the one that recoveries begin with, if it counts
// already, and releases the messages that it covers.
func (c *Channel[In, Out]) adoptLocked() {
	if c.coming.seq > 0 && c.coming.seq <= c.delivered {
		c.saveAsLocked(c.coming)
	}
	c.releaseLocked()
}

// saveAsLocked makes k the checkpoint that recoveries begin with.
func (c *Channel[In, Out]) saveAsLocked(k checkpoint) {
	c.saved, c.coming = k, checkpoint{}
	if c.cfg.Mode == Ordered {
		c.savedAt = k.seq
	}
}

// wantStandbyLocked begins to prepare a standby, if the channel should have one and has
// none.
func (c *Channel[In, Out]) wantStandbyLocked() {
	t := c.standbyLocked()
	if t == nil || c.standby != nil || c.preparing || c.own == nil || !c.recoverable() {
		return
	}
	c.preparing = true
	c.goLocked(func() { c.prepareStandby(t) })
}

// standbyLocked returns the first standby that is not in use.
func (c *Channel[In, Out]) standbyLocked() Target {
	for _, t := range c.cfg.Standby {
		if c.own == nil || t != c.own.target {
			return t
		}
	}
	return nil
}

func (c *Channel[In, Out]) prepareStandby(t Target) {
	ctx, cancel := context.WithTimeoutCause(c.closing, recoveryTimeout, offload.ErrDeadline)
	defer cancel()
	a, err := attach(ctx, t, &c.ep.Desc, c.cfg, c)
	c.mu.Lock()
	c.preparing = false
	if err != nil {
		c.save.set(c.cfg.CheckpointInterval) // try again then
		c.mu.Unlock()
		return
	}
	if c.ended != nil || c.standby != nil || c.own == nil || c.own.target == t {
		c.mu.Unlock()
		a.end()
		return
	}
	c.standby = a
	c.goLocked(func() { a.start() })
	c.changed.open()
	c.tellLocked(Event{Kind: StandbyReady, From: c.whereLocked(), To: t.Name()})
	c.mu.Unlock()
	c.refresh(a)
}

// refresh gives a standby the last checkpoint.
func (c *Channel[In, Out]) refresh(a *attachment) {
	c.mu.Lock()
	k := c.saved
	c.mu.Unlock()
	if err := c.give(a, k, func() bool { return c.standby == a }); err != nil {
		c.fail(a, err)
	}
}

// give gives a the state k, unless a has it already, or wanted says no. It calls wanted
// under mu.
func (c *Channel[In, Out]) give(a *attachment, k checkpoint, wanted func() bool) error {
	a.giving.acquire()
	defer a.giving.release()
	c.mu.Lock()
	if a.restored && a.has == k.seq || !wanted() {
		c.mu.Unlock()
		return nil
	}
	a.restored, a.has, a.stated = true, k.seq, false
	a.restores++
	c.mu.Unlock()
	return a.restore(k)
}

func always() bool { return true }

// armLocked sets the alarm for a message that is about to be sent.
func (c *Channel[In, Out]) armLocked() {
	if c.cfg.Deadline > 0 && c.ep.Idempotent {
		c.late.set(c.cfg.Deadline)
	}
}

// checkLate leaves an edge host when its oldest message is over the deadline, or the
// credit that Send waits for.
func (c *Channel[In, Out]) checkLate() {
	c.mu.Lock()
	c.late.on = false
	since := c.stalled
	if e := c.log.at(c.delivered + 1); e != nil {
		since = e.sent
	}
	if c.ended != nil || c.own == nil || since.IsZero() {
		c.mu.Unlock()
		return
	}
	left := c.cfg.Deadline - time.Since(since)
	if c.results.len() >= c.cfg.Window {
		left = max(left, c.cfg.Deadline) // the application is slow: it does not call Recv
	}
	if left > 0 {
		c.late.set(left)
		c.mu.Unlock()
		return
	}
	owner := c.own
	if c.old != nil {
		owner = c.old
	}
	c.mu.Unlock()
	c.fail(owner, fmt.Errorf("%w of %v", offload.ErrDeadline, c.cfg.Deadline))
}
