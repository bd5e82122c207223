package elastic

import (
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/offload"
)

// checkLate is called when a message may be over its deadline, or the credit that Send
// waits for. It leaves an edge host that is. On the UE it only tells.
func (c *Channel[In, Out]) checkLate() {
	c.mu.Lock()
	c.late.on = false
	a, since := c.awaitedLocked()
	if a == nil {
		c.lateHereLocked()
		c.mu.Unlock()
		return
	}
	if since.IsZero() || c.phase == ended || c.phase == fenced || !c.ep.Idempotent {
		c.mu.Unlock()
		return
	}
	left := c.allowedLocked() - time.Since(since)
	if c.inbox.full() {
		left = max(left, c.cfg.Deadline) // the application is slow: it does not call Recv
	}
	if left > 0 {
		c.late.set(left)
		c.mu.Unlock()
		return
	}
	if e := c.log.at(c.delivered + 1); e != nil {
		e.overran++
	}
	do := c.failLocked(a, fmt.Errorf("%w of %v", offload.ErrDeadline, c.cfg.Deadline)) // at once: a Halt must not count this overrun, too
	c.mu.Unlock()
	do.finish()
}

// awaitedLocked returns which edge host an outcome or credit is awaited from, and since when:
// since that host could have begun the oldest message without an outcome. Zero: nothing is awaited.
func (c *Channel[In, Out]) awaitedLocked() (a *attachment, since time.Time) {
	if a = c.owner; a == nil {
		return nil, since
	}
	if c.old != nil {
		a = c.old
	}
	since = a.stalled
	if e := c.log.at(c.delivered + 1); e != nil {
		since = e.sent
	}
	if !since.IsZero() && a.free.After(since) {
		since = a.free
	}
	if !since.IsZero() && c.inbox.roomy.After(since) { // until then the application was slow
		since = c.inbox.roomy
	}
	return a, since
}

// allowedLocked returns how long the oldest message without an outcome may take. One
// that was late before gets half more, so that the host, whose limit is the
// deadline, can tell whether the message is to blame.
func (c *Channel[In, Out]) allowedLocked() time.Duration {
	if e := c.log.at(c.delivered + 1); e != nil && e.overran > 0 {
		return c.cfg.Deadline * 3 / 2
	}
	return c.cfg.Deadline
}

// A deadline is an alarm for the oldest message without an outcome. For one that is handled
// on the UE it keeps which it is for.
type deadline struct {
	alarm
	of   uint64 // the message under way on the UE when it was set
	told uint64 // the last one that it told of
}

// watchHereLocked sets the alarm for message seq, which is about to be handled on the UE.
func (c *Channel[In, Out]) watchHereLocked(seq uint64) {
	if c.cfg.Deadline > 0 && !c.late.on {
		c.late.of = seq
		c.late.set(c.cfg.Deadline)
	}
}

// lateHereLocked tells of a message that is being handled on the UE, and was when the alarm was
// set. Nobody can stop it.
func (c *Channel[In, Out]) lateHereLocked() {
	recovering := c.log.len() > 0 && !c.log.recording
	if !c.turn.held || c.delivered == c.sent || recovering || c.phase == fenced || c.phase == ended {
		return
	}
	if c.late.of != c.sent { // it began since
		c.watchHereLocked(c.sent)
		return
	}
	c.overranLocked(c.sent, "", fmt.Errorf("message %d is being handled: %w of %v", c.sent, offload.ErrDeadline, c.cfg.Deadline))
}

// overranLocked counts a message that overran its deadline, and tells of it, once.
func (c *Channel[In, Out]) overranLocked(seq uint64, host string, why error) {
	if c.late.told == seq {
		return
	}
	c.late.told = seq
	c.stats.Overran++
	c.tellLocked(Event{Kind: Overran, From: host, To: host, Reason: why})
}
