// Package deadline has contexts that end after some time and have no timer until somebody
// waits for their end.
//
// A message or a call nearly always ends long before its deadline, and its code asks at most
// whether the deadline has passed. [context.WithTimeout] starts and stops a timer for each,
// and enters each in the parent's list of children, which costs more than to handle a small
// message. A [Context] looks at the clock instead, and makes such a context when its Done is
// called.
//
// A Context is for one message and is not used again: whoever keeps it sees it ended.
package deadline

import (
	"context"
	"sync"
	"time"
)

// A Context ends when its time is over, with [context.DeadlineExceeded], or before that with
// its parent or by End. If nobody looks until both have come, the deadline counts. It may be
// used by many goroutines at once.
type Context struct {
	// Set by New, then constant.
	parent context.Context
	at     time.Time // zero: never

	mu     sync.Mutex      // leaf
	timed  context.Context // ends as this one does; made by the first Done
	cancel context.CancelFunc
	err    error // why it ended before there was timed
}

// New returns a context with the values of parent that ends at the latest after limit. Zero
// is no limit, and less has ended. Call End when it is no longer needed.
func New(parent context.Context, limit time.Duration) *Context {
	c := &Context{parent: parent}
	if limit != 0 {
		c.at = time.Now().Add(limit)
	}
	if at, ok := parent.Deadline(); ok && (limit == 0 || at.Before(c.at)) {
		c.at = at
	}
	return c
}

// End ends the context, with [context.Canceled] unless it has ended before.
func (c *Context) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
		return
	}
	if c.lookLocked() == nil {
		c.err = context.Canceled
	}
}

// Deadline implements [context.Context].
func (c *Context) Deadline() (time.Time, bool) { return c.at, !c.at.IsZero() }

// Err implements [context.Context].
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lookLocked()
}

// Done implements [context.Context].
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.makeLocked()
	}
	return c.timed.Done()
}

// Value implements [context.Context]. Package context finds the timed context by it: so
// what is derived from this one ends without a goroutine that watches, and [context.Cause]
// knows why.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	if c.err != nil && c.timed == nil {
		c.makeLocked()
	}
	from := c.parent
	if c.timed != nil {
		from = c.timed
	}
	c.mu.Unlock()
	return from.Value(key)
}

// lookLocked returns why the context has ended, nil while it has not.
func (c *Context) lookLocked() error {
	switch {
	case c.timed != nil:
		return c.timed.Err()
	case c.err != nil:
	case !c.at.IsZero() && !time.Now().Before(c.at):
		c.err = context.DeadlineExceeded
	default:
		c.err = c.parent.Err()
	}
	return c.err
}

// makeLocked makes the timed context. If this one has ended, it is over, too, with the same
// error.
func (c *Context) makeLocked() {
	ended := c.lookLocked()
	switch {
	case ended == context.DeadlineExceeded:
		c.timed, c.cancel = context.WithDeadline(context.WithoutCancel(c.parent), c.at)
		return
	case c.at.IsZero():
		c.timed, c.cancel = context.WithCancel(c.parent)
	default:
		c.timed, c.cancel = context.WithDeadline(c.parent, c.at)
	}
	if ended != nil {
		c.cancel()
	}
}
