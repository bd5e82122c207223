package guest

import (
	"context"
	"sync"
	"time"
)

// pollInterval is how often a context on which a goroutine waits looks at the
// clock and the cancel flag. A wait is at most this much longer than it must be.
const pollInterval = 5 * time.Millisecond

// A host is what a context asks of the host.
type host struct {
	now      func() int64 // ns of the host's monotonic clock
	canceled func() bool
}

// A callContext is the context of one call.
type callContext struct {
	host     host
	deadline int64 // ns of the host's clock, 0 for none

	mu    sync.Mutex
	err   error
	done  chan struct{} // made by the first Done
	timer *time.Timer   // polls while there may be someone waiting on done
}

// Deadline returns the call's deadline, in the guest's own clock.
func (c *callContext) Deadline() (time.Time, bool) {
	if c.deadline == 0 {
		return time.Time{}, false
	}
	return time.Now().Add(time.Duration(c.deadline - c.host.now())), true
}

// Err looks at the cancel flag and the clock.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lookLocked()
}

// Done returns a channel that is closed when Err finds out, or a poll does.
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	if c.lookLocked() == nil && c.timer == nil {
		c.timer = time.AfterFunc(c.nextPollLocked(), c.poll)
	}
	return c.done
}

// Value returns nil: no values cross.
func (c *callContext) Value(any) any { return nil }

// end ends the context with its call, so that what waits on it goes on.
func (c *callContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.endLocked(context.Canceled)
	}
}

func (c *callContext) lookLocked() error {
	switch {
	case c.err != nil:
	case c.deadline != 0 && c.host.now() >= c.deadline: // first: at its deadline a call counts as cancelled, too
		c.endLocked(context.DeadlineExceeded)
	case c.host.canceled():
		c.endLocked(context.Canceled)
	}
	return c.err
}

func (c *callContext) endLocked(err error) {
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
}

func (c *callContext) poll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lookLocked() == nil {
		c.timer.Reset(c.nextPollLocked())
	}
}

// nextPollLocked returns how long to wait for the next look: no longer than to the
// deadline, since there is little time to answer in behind it.
func (c *callContext) nextPollLocked() time.Duration {
	if c.deadline == 0 {
		return pollInterval
	}
	return max(time.Microsecond, min(pollInterval, time.Duration(c.deadline-c.host.now())))
}
