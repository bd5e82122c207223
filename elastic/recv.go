package elastic

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// Recv returns the next result. Results come in the order of the messages: in mode
// Ordered each exactly once, in mode Latest with some left out. After the channel's end
// Recv returns the results that wait, and then why the channel ended: ErrClosed, ErrLost
// or ErrState.
func (c *Channel[In, Out]) Recv(ctx context.Context) (Result[Out], error) {
	if err := c.misused(ctx); err != nil {
		return Result[Out]{}, err
	}
	for {
		c.mu.Lock()
		if r, ok := c.inbox.pop(); ok {
			c.inbox.read = r.Seq
			if c.cfg.Deadline > 0 && c.inbox.len()+1 == c.inbox.window {
				c.inbox.roomy = time.Now()
			}
			c.changed.open()
			c.mu.Unlock()
			return r, nil
		}
		err, arrived := c.endedLocked(), c.inbox.arrived.wait()
		c.mu.Unlock()
		if err != nil {
			return Result[Out]{}, err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Result[Out]{}, context.Cause(ctx)
		}
	}
}

// Results yields what Recv returns. When Recv fails, Results yields the error, unless it
// is ErrClosed, and ends.
func (c *Channel[In, Out]) Results(ctx context.Context) iter.Seq2[Result[Out], error] {
	return func(yield func(Result[Out], error) bool) {
		for {
			r, err := c.Recv(ctx)
			if err == ErrClosed || !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// outcome takes an outcome that a host sent on the channel's stream. It waits until all
// earlier ones are delivered, and drops it when its sender has lost its role.
func (c *Channel[In, Out]) outcome(a *attachment, o wire.Outcome, payload []byte) error {
	came := time.Now()
	b := c.batches.Get().(*batch[Out])
	defer c.batches.Put(b)
	if err := c.decode(a.name, o.Status, payload, b); err != nil {
		return err
	}
	c.mu.Lock()
	e, err := c.expectLocked(a, o.Epoch, o.Seq)
	if e == nil {
		c.mu.Unlock()
		return err
	}
	e.ran = min(o.Run, time.Since(e.sent))
	took := came.Sub(e.sent)
	c.inbox.put(&Result[Out]{Seq: o.Seq, Captured: e.captured, Tag: e.tag, Host: a.name}, b.outs, b.err)
	do := c.settleLocked(a, o.Seq)
	c.mu.Unlock()
	do.finish()
	c.feel(a, took, false)
	return nil
}

// expectLocked waits until the outcome of message seq can be delivered, and returns the
// message. It is nil when the outcome never can, with an error if the host broke the protocol.
func (c *Channel[In, Out]) expectLocked(a *attachment, epoch uint32, seq uint64) (*entry, error) {
	for {
		switch c.judge(a, epoch, seq) {
		case stale:
			c.stats.Dropped++
			return nil, nil
		case wrong:
			return nil, fmt.Errorf("%w: outcome of message %d, epoch %d; want %d, epoch %d", ErrPeer, seq, epoch, a.next, a.epoch)
		case due:
			if e := c.log.at(seq); e != nil && !c.inbox.full() {
				return e, nil
			}
		}
		c.awaitLocked(c.closing)
	}
}

// settleLocked notes that the outcome of message seq, from a, is delivered.
func (c *Channel[In, Out]) settleLocked(a *attachment, seq uint64) orders {
	a.next = seq + 1
	c.servesLocked(a)
	if c.cfg.Deadline > 0 {
		a.free = time.Now()
	}
	do := c.stepLocked(signal{kind: answered, seq: seq})
	c.saves.cover(c.delivered)
	c.releaseLocked()
	c.wantSaveLocked()
	if do.release[0] != nil { // the old owner's host is free for a standby
		c.wantStandbyLocked()
	}
	return do
}

// servesLocked notes that a has answered a message: failures of its host before do not count.
func (c *Channel[In, Out]) servesLocked(a *attachment) {
	a.useful = true
	c.rests.served(a.target)
	c.rests.vain = 0
}

// releaseLocked releases the messages that no recovery needs.
func (c *Channel[In, Out]) releaseLocked() {
	upTo := c.delivered
	if c.ep.Idempotent {
		upTo = min(upTo, c.saves.last.seq)
	}
	c.log.release(upTo)
}

// credited takes a host's credit. Credit beyond the channel's own window has no effect.
func (c *Channel[In, Out]) credited(a *attachment, k wire.Credit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.Messages < a.credit.Messages || k.Bytes < a.credit.Bytes || k.Done < a.credit.Done || k.Done > a.sent.Messages {
		return fmt.Errorf("%w: credit %+v after %+v, with %d messages sent", ErrPeer, k, a.credit, a.sent.Messages)
	}
	a.credit = k
	a.acks++
	if a.mayLocked() {
		a.stalled = time.Time{}
	}
	c.changed.open()
	return nil
}
