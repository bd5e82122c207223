package elastic

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/offload"
)

// StandBy has these edge hosts stand by in place of those before, which Config.Standby names at first: the best comes first. A standby that is
// not one of them is given back, and messages go on. It does not wait for the new one. Its error is that of a target that
// is nil or cannot be compared; then nothing has changed.
func (c *Channel[In, Out]) StandBy(all ...Target) error {
	if err := allUsable(all); err != nil {
		return err
	}
	c.mu.Lock()
	c.standbys = slices.Clone(all)
	do := c.relieveLocked()
	c.wantStandbyLocked()
	c.mu.Unlock()
	do.finish()
	return nil
}

// relieveLocked gives the standby back, if others are to stand by. A recovery may need it.
func (c *Channel[In, Out]) relieveLocked() (do orders) {
	a := c.standby
	if a == nil || c.phase == fenced || slices.Contains(c.standbys, a.target) {
		return do
	}
	c.tellLocked(Event{Kind: StandbyLost, From: a.name, Reason: errRelieved})
	return c.stepLocked(signal{kind: lost, at: a})
}

// errRelieved says that other hosts are to stand by.
var errRelieved = errors.New("other edge hosts stand by")

// wantStandbyLocked begins to prepare a standby, if the channel should have one and has
// none.
func (c *Channel[In, Out]) wantStandbyLocked() {
	if c.owner == nil || c.phase != serving || c.standby != nil || c.seeking || !c.recoverable() {
		return
	}
	now := time.Now()
	for _, t := range c.standbys {
		if c.uses(t) {
			continue
		}
		if c.rests.over(t, now) {
			c.seeking = true
			c.goLocked(func() { c.prepareStandby(t) })
			return
		}
		c.save.set(c.cfg.CheckpointInterval) // look again then
	}
}

// attachTimeout is how long it may take to connect to a host and to attach there, when no application
// waits for it with a context of its own.
const attachTimeout = 2 * time.Second

func (c *Channel[In, Out]) prepareStandby(t Target) {
	ctx, cancel := context.WithTimeoutCause(c.closing, attachTimeout, offload.ErrDeadline)
	a, err := attach(ctx, t, &c.ep.Desc, c.cfg, c)
	cancel()
	c.mu.Lock()
	c.seeking = false
	if err != nil {
		c.rests.failed(t, time.Now())
		c.save.set(c.cfg.CheckpointInterval) // look again then
		c.mu.Unlock()
		return
	}
	stands, do := c.standLocked(a)
	c.mu.Unlock()
	do.finish()
	if stands {
		c.refresh(a)
	}
}

// standLocked makes a the standby, unless the far endpoint has moved meanwhile, or other hosts are to stand by.
func (c *Channel[In, Out]) standLocked(a *attachment) (stands bool, do orders) {
	if slices.Contains(c.standbys, a.target) {
		do = c.stepLocked(signal{kind: stoodBy, at: a})
	} else {
		do.refused = true
		do.add(a)
	}
	if do.refused {
		c.wantStandbyLocked()
		return false, do
	}
	c.goLocked(a.start)
	c.tellLocked(Event{Kind: StandbyReady, From: c.whereLocked(), To: a.name})
	return true, do
}

// refresh gives a standby the last checkpoint.
func (c *Channel[In, Out]) refresh(a *attachment) {
	c.mu.Lock()
	k := c.saves.last
	c.mu.Unlock()
	if err := c.give(c.closing, a, k); err != nil {
		c.fail(a, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rests.served(a.target)
}
