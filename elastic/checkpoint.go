package elastic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// A checkpoint is the state of a far endpoint as of message seq.
type checkpoint struct {
	seq   uint64
	state []byte
	same  bool // the host sent no state: it is equal to the one before
	took  time.Duration
}

// wantSaveLocked begins a checkpoint if enough has happened since the last one, else it
// sets the alarm for the next one. While a Move copies the state there is none.
func (c *Channel[In, Out]) wantSaveLocked() {
	if c.owner == nil || c.phase != serving || c.owner.lost != nil || !c.recoverable() {
		return
	}
	full := c.log.bytes > c.cfg.WindowBytes/2 || c.log.len() > logWindows*c.cfg.Window/2
	switch c.saves.due(c.delivered, uint64(c.cfg.CheckpointMessages), full) {
	case inTime:
		c.save.set(c.cfg.CheckpointInterval)
	case atOnce:
		c.saveLocked()
	}
}

// checkSave is called some time after the first message since a checkpoint.
func (c *Channel[In, Out]) checkSave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.save.on = false
	c.saves.rested(time.Now())
	c.wantStandbyLocked()
	if c.owner == nil || c.phase != serving || !c.recoverable() {
		return
	}
	switch c.saves.due(c.delivered, 1, true) {
	case inTime:
		c.save.set(time.Until(c.saves.until))
	case atOnce:
		c.saveLocked()
	}
}

// saveLocked takes a checkpoint of the owner.
func (c *Channel[In, Out]) saveLocked() {
	a, at := c.owner, c.delivered
	c.saves.begin()
	c.goLocked(func() {
		k, err := c.snapshot(c.closing, a)
		if standby, err := c.saved(a, k, at, err); err != nil {
			c.fail(a, fmt.Errorf("checkpoint: %w", err))
		} else if standby != nil {
			c.refresh(standby)
		}
	})
}

// saved takes the result of a checkpoint of a, which was begun when message at was the
// last one delivered. It returns the standby that gets the checkpoint too, nil for none. An
// error is that of a host that broke the protocol: that a state cannot be had is no reason
// to leave a host.
func (c *Channel[In, Out]) saved(a *attachment, k checkpoint, at uint64, err error) (standby *attachment, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.changed.open()
	switch {
	case a != c.owner || !c.counts(a):
		return nil, nil // the next owner has its own
	case errors.Is(err, ErrPeer):
		return nil, err
	case gone(err): // the attachment's own stream tells why
		c.saves.forget()
		c.save.set(c.cfg.CheckpointInterval)
		return nil, nil
	case err != nil:
		c.save.stop()
		c.save.set(c.saves.failed(err, time.Now()))
		c.stats.CheckpointsFailed++
		c.tellLocked(Event{Kind: CheckpointFailed, From: a.name, To: a.name, Reason: err})
		return nil, nil
	}
	if err := c.comeLocked(k, at); err != nil {
		return nil, err
	}
	c.wantStandbyLocked()
	c.wantSaveLocked() // for what was delivered meanwhile
	return c.standby, nil
}

// gone says whether err is a host's answer that it has no such attachment.
func gone(err error) bool {
	var refusal *wire.Fail
	return errors.As(err, &refusal) && refusal.Code == wire.CodeGone
}

// snapshot returns the state of a's far endpoint. It may take any time, as long as
// something comes.
func (c *Channel[In, Out]) snapshot(ctx context.Context, a *attachment) (checkpoint, error) {
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
	if err != nil {
		return k, err
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

// comeLocked takes a checkpoint of the owner, which was asked for when message at was the
// last one delivered.
func (c *Channel[In, Out]) comeLocked(k checkpoint, at uint64) error {
	if k.seq < c.saves.last.seq || k.seq > c.sent {
		return fmt.Errorf("%w: state as of message %d after that of %d, with %d sent", ErrPeer, k.seq, c.saves.last.seq, c.sent)
	}
	c.stats.Checkpoints++
	c.stats.CheckpointTime += k.took
	if !k.same {
		c.stats.CheckpointBytes += uint64(len(k.state))
	}
	upTo := k.seq
	if c.cfg.Mode == Latest {
		upTo = at // the state may be behind what an owner before delivered
	}
	c.saves.came(k, upTo, c.delivered)
	c.releaseLocked()
	return nil
}

// armLocked sets the alarm for a message that is about to be sent.
func (c *Channel[In, Out]) armLocked() {
	if c.cfg.Deadline > 0 && c.ep.Idempotent {
		c.late.set(c.cfg.Deadline)
	}
}
