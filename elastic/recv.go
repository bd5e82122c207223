package elastic

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Recv returns the next result. Results come in the order of the messages: in mode
// Ordered each exactly once, in mode Latest with some left out. After the channel's end
// Recv returns the results that wait, and then why the channel ended: ErrClosed, ErrLost
// or ErrState.
func (c *Channel[In, Out]) Recv(ctx context.Context) (Result[Out], error) {
	for {
		c.mu.Lock()
		if r, ok := c.results.pop(); ok {
			c.read = r.Seq
			c.changed.open()
			c.mu.Unlock()
			return r, nil
		}
		err, arrived := c.ended, c.arrived.wait()
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

// A batch is the values of an outcome between its decoding and its delivery.
type batch[Out any] struct {
	outs []Out
	err  error
}

// decode reads an outcome.
func (c *Channel[In, Out]) decode(host string, status byte, payload []byte, b *batch[Out]) error {
	clear(b.outs)
	b.outs = b.outs[:0]
	handled, broken := c.ep.ReadOutcome(abi.Status(status), payload, func(out Out) { b.outs = append(b.outs, out) })
	if broken != nil {
		return fmt.Errorf("%w: outcome: %w", ErrPeer, broken)
	}
	if p, ok := handled.(offload.PanicError); ok {
		handled = &offload.CallError{Func: c.ep.Name, Host: host, Code: offload.CodePanicked, Fate: offload.Ended, Err: p}
	}
	b.err = handled
	return nil
}

// deliverLocked queues the results of a message for Recv.
func (c *Channel[In, Out]) deliverLocked(r Result[Out], b *batch[Out]) {
	for _, out := range b.outs {
		r.Value = out
		c.pushLocked(r)
		r.Skipped = 0
	}
	if b.err != nil {
		var none Out
		r.Value, r.Err = none, b.err
		c.pushLocked(r)
	}
}

// outcome takes an outcome that a host sent on the channel's stream. It waits until all
// earlier ones are delivered, and drops it when its sender has lost the ownership.
func (c *Channel[In, Out]) outcome(a *attachment, o wire.Outcome, payload []byte) error {
	b := c.batches.Get().(*batch[Out])
	defer c.batches.Put(b)
	if err := c.decode(a.name, o.Status, payload, b); err != nil {
		return err
	}
	c.mu.Lock()
	if ok, err := c.expectLocked(a, o.Epoch, o.Seq); !ok {
		c.mu.Unlock()
		return err
	}
	e := c.log.at(o.Seq)
	c.deliverLocked(Result[Out]{Seq: o.Seq, Captured: e.captured, Tag: e.tag, Host: a.name}, b)
	done := c.settleLocked(a, o.Seq)
	c.mu.Unlock()
	if done != nil {
		done.end()
	}
	return nil
}

// expectLocked waits until the outcome of message seq can be delivered. ok is false when
// it never can, with an error if the host broke the protocol.
func (c *Channel[In, Out]) expectLocked(a *attachment, epoch uint32, seq uint64) (ok bool, err error) {
	if !a.fenced && (epoch != a.epoch || seq != a.next || seq > a.has || c.log.at(seq) == nil) {
		return false, fmt.Errorf("%w: outcome of message %d, epoch %d; want %d, epoch %d", ErrPeer, seq, epoch, a.next, a.epoch)
	}
	for !a.fenced && (c.delivered != seq-1 || c.results.len() >= c.cfg.Window && !c.draining && !c.ending) {
		c.awaitLocked(c.closing)
	}
	if a.fenced {
		c.stats.Dropped++
		return false, nil
	}
	return true, nil
}

// settleLocked notes that the outcome of message seq, from a, is delivered. It returns
// the former owner once its last outcome is delivered, else nil.
func (c *Channel[In, Out]) settleLocked(a *attachment, seq uint64) (done *attachment) {
	a.next = seq + 1
	c.delivered = seq
	c.adoptLocked()
	if c.old != nil && seq >= c.old.last {
		done, c.old = c.old, nil
		done.fenced = true
	}
	c.wantSaveLocked()
	c.changed.open()
	return done
}

// releaseLocked releases the messages that no recovery needs.
func (c *Channel[In, Out]) releaseLocked() {
	upTo := c.delivered
	if c.ep.Idempotent {
		upTo = min(upTo, c.saved.seq)
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
	if a == c.own && a.mayLocked() {
		c.stalled = time.Time{}
	}
	c.changed.open()
	return nil
}
