package elastic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A newcomer is a far endpoint that is brought up to become the owner, on an edge host or on
// the UE. Moves and recoveries do the same with it: it takes a state, handles the messages
// since quietly, leads, and, after a crash, answers those that the lost owner has not
// answered. Its methods are called by one goroutine.
type newcomer interface {
	// take gives it the state of k and returns when it has it.
	take(ctx context.Context, k checkpoint) error
	// has returns the last message that it was given, or that its state covers.
	has() uint64
	// replay gives it the messages after has, up to upTo. Their outcomes are another
	// owner's. Those that broke a far endpoint are left out.
	replay(ctx context.Context, upTo uint64) (replayed int, err error)
	// caughtUp returns when it has handled nearly all that replay gave it.
	caughtUp(ctx context.Context) error
	// lead makes it the owner of the messages from first on. The turn is held. An edge host that fails
	// later is lost as any owner is.
	lead(first uint64) error
	// answer gives it the messages up to the last one sent. Their outcomes are its own. The turn is
	// held. An error ends the channel.
	answer() (answered int, err error)
}

// onHost is an edge host as a place for the far endpoint.
type onHost[In, Out any] struct {
	*Channel[In, Out]
	a    *attachment
	pace time.Duration // that it has needed for a message of a replay; 0: not known
}

// attachFor makes a far endpoint at t, unless the standby is there, or t is the UE. Nothing that it sends
// is read until it has a role.
func (c *Channel[In, Out]) attachFor(ctx context.Context, t Target) (*attachment, error) {
	c.mu.Lock()
	ready := t == nil || c.standby != nil && c.standby.target == t
	c.mu.Unlock()
	if ready {
		return nil, nil
	}
	return attach(ctx, t, &c.ep.Desc, c.cfg, c)
}

// release gives back an attachment that has got no role.
func release(a *attachment) {
	if a != nil {
		a.end()
	}
}

// endedLocked says why the channel has ended, nil if it has not.
func (c *Channel[In, Out]) endedLocked() error {
	if c.phase == ended {
		return c.refusal
	}
	return nil
}

// choose makes a the candidate, or, if that is nil, the standby at t.
func (c *Channel[In, Out]) choose(ctx context.Context, t Target, a *attachment) (*onHost[In, Out], error) {
	c.mu.Lock()
	fresh := a != nil
	if !fresh {
		a = c.standby
	}
	if a == nil || a.target != t { // the standby was lost meanwhile
		c.mu.Unlock()
		a, err := attach(ctx, t, &c.ep.Desc, c.cfg, c)
		if err != nil {
			return nil, err
		}
		return c.choose(ctx, t, a)
	}
	do := c.stepLocked(signal{kind: chosen, at: a, spare: slices.Contains(c.standbys, t)})
	if !do.refused {
		a.epoch = c.epoch
	}
	if fresh && !do.refused {
		c.goLocked(a.start)
	}
	err := c.unfitLocked(ctx, a)
	c.mu.Unlock()
	do.finish()
	return &onHost[In, Out]{Channel: c, a: a}, err
}

// take implements newcomer.
func (h *onHost[In, Out]) take(ctx context.Context, k checkpoint) error { return h.give(ctx, h.a, k) }

// give gives a the state of k, unless a has it already, and waits until a has restored it.
func (c *Channel[In, Out]) give(ctx context.Context, a *attachment, k checkpoint) error {
	if err := a.giving.take(ctx); err != nil { // whoever gives it a state waits for a host that may be silent
		return err
	}
	defer a.giving.release()
	c.mu.Lock()
	if a.restores > 0 && a.has == k.seq || !c.counts(a) {
		c.mu.Unlock()
		return c.awaitRestored(ctx, a)
	}
	a.has, a.stated = k.seq, false
	a.restores++
	c.mu.Unlock()
	if err := a.restore(ctx, k); err != nil {
		c.fail(a, err)
		return err
	}
	return c.awaitRestored(ctx, a)
}

// awaitRestored waits until a has restored its state: what comes on other streams could overtake it, and
// a host that cannot hold the state refuses it.
func (c *Channel[In, Out]) awaitRestored(ctx context.Context, a *attachment) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stallTimeout, errUnrestored)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for a.acks < a.restores && c.unfitLocked(ctx, a) == nil {
		c.awaitLocked(ctx)
	}
	err := c.unfitLocked(ctx, a)
	if errors.Is(err, errUnrestored) { // it would be no standby, either
		do := c.failLocked(a, err)
		c.goLocked(do.finish)
	}
	return err
}

var errUnrestored = fmt.Errorf("the state was not restored in %v: %w", stallTimeout, offload.ErrDeadline)

// unfitLocked says why a is no use any longer, or nobody waits for it.
func (c *Channel[In, Out]) unfitLocked(ctx context.Context, a *attachment) error {
	switch {
	case a.lost != nil:
		return a.lost
	case c.phase == ended:
		return c.refusal
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !c.counts(a):
		return errOvertaken
	}
	return nil
}

// has implements newcomer.
func (h *onHost[In, Out]) has() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.a.has
}

// replay implements newcomer.
func (h *onHost[In, Out]) replay(ctx context.Context, upTo uint64) (replayed int, err error) {
	w := watch(ctx, h.a.st, h.patience())
	for seq := h.has() + 1; seq <= upTo; seq++ {
		if err = h.resend(ctx, seq, true); err != nil {
			break
		}
		w.moved()
		replayed++
	}
	return replayed, h.unwatch(w, err)
}

// unwatch ends a watch over the far endpoint's own stream. One that has failed is no use any longer, not
// even as the standby: the watch may have reset its stream.
func (h *onHost[In, Out]) unwatch(w watched, err error) error {
	if err = w.end(err); err != nil {
		h.fail(h.a, err)
	}
	return err
}

// patience is how long a replay may go without a sign of life: a host tells of handled
// messages only now and then.
func (h *onHost[In, Out]) patience() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return stallTimeout + max(h.cfg.Deadline, 0) + slowness*h.log.work(1, h.sent)
}

// resend sends a message of the log once the host's credit allows it.
func (h *onHost[In, Out]) resend(ctx context.Context, seq uint64, quiet bool) error {
	h.mu.Lock()
	for !h.a.mayLocked() && h.unfitLocked(ctx, h.a) == nil {
		h.awaitLocked(ctx)
	}
	e := h.log.at(seq)
	err := h.unfitLocked(ctx, h.a)
	if err == nil && e == nil {
		err = fmt.Errorf("elastic: message %d is not kept", seq)
	}
	if err != nil {
		h.mu.Unlock()
		return err
	}
	header := wire.Message{Epoch: h.a.epoch, Seq: seq, Quiet: quiet || e.broke, Skip: e.broke}
	frame := *e.frame
	if e.broke {
		frame = nil
	} else {
		h.a.countLocked(seq, e.size())
	}
	if !quiet {
		e.sent = time.Now()
	}
	h.mu.Unlock()
	if header.Skip {
		return h.skip(header)
	}
	stamp(frame, header)
	return h.a.write(frame)
}

// skip sends the number of a message that is left out.
func (h *onHost[In, Out]) skip(header wire.Message) error {
	h.mu.Lock()
	h.a.countLocked(header.Seq, 0)
	h.mu.Unlock()
	return h.a.write(wire.AppendMessage(nil, header))
}

// caughtUp implements newcomer.
func (h *onHost[In, Out]) caughtUp(ctx context.Context) error {
	w := watch(ctx, h.a.st, h.patience())
	return h.unwatch(w, h.awaitHandled(ctx, w))
}

// awaitHandled waits until nearly all messages that the far endpoint was given are handled.
func (h *onHost[In, Out]) awaitHandled(ctx context.Context, w watched) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	begin, done := time.Now(), h.a.credit.Done
	if left := h.a.sent.Messages - done; left > 0 {
		defer func() { h.pace = max(h.pace, time.Since(begin)/time.Duration(left)) }()
	}
	for h.a.credit.Done+feedRest < h.a.sent.Messages && h.unfitLocked(ctx, h.a) == nil {
		h.awaitLocked(ctx)
		if h.a.credit.Done > done {
			done = h.a.credit.Done
			w.moved()
		}
	}
	return h.unfitLocked(ctx, h.a)
}

// lead implements newcomer.
func (h *onHost[In, Out]) lead(first uint64) error {
	h.mu.Lock()
	a := h.a
	if err := h.unfitLocked(h.closing, a); err != nil {
		h.mu.Unlock()
		return err
	}
	do := h.stepLocked(signal{kind: tookOver, at: a, seq: first - 1})
	if do.refused {
		err := h.movableLocked()
		h.mu.Unlock()
		return err
	}
	a.next = first
	// What is ahead of the first message was handled before: here it may take longer.
	ahead := min(a.sent.Messages-a.credit.Done, a.has)
	a.free = time.Now().Add(max(slowness*h.log.work(a.has-ahead+1, a.has), 2*h.pace*time.Duration(ahead)))
	h.here = nil
	if h.log.recording = false; !h.replays() {
		h.log.reset(h.sent)
	}
	h.heedLocked(a)
	h.armLocked()
	h.mu.Unlock()
	do.finish()
	return nil
}

// slowness is how many times slower than the place before another one may be before its
// lateness counts.
const slowness = 4

// answer implements newcomer. When the host is lost, another recovery begins.
func (h *onHost[In, Out]) answer() (answered int, err error) {
	h.mu.Lock()
	last := h.sent
	h.mu.Unlock()
	if !h.replays() {
		return 0, nil
	}
	for seq := h.has() + 1; seq <= last; seq++ {
		if err := h.resend(h.closing, seq, false); err != nil {
			h.fail(h.a, explain(err))
			break
		}
		answered++
	}
	return answered, nil
}
