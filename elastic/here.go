package elastic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/offload"
)

// handleHere handles m, which has its number, on the UE and gives the turn back.
func (c *Channel[In, Out]) handleHere(m *Message[In]) error {
	n := c.here
	seq := n.at.Seq
	n.at.Captured, n.at.Tag = m.Captured, m.Tag
	n.handle(m.Value, c.finished)
	return c.givenUp(n, seq)
}

// givenUp says why message seq, which n has handled, has no outcome, nil if it has one. The turn is not
// held any longer.
func (c *Channel[In, Out]) givenUp(n *native[In, Out], seq uint64) error {
	if n.gaveUp.Load() != seq {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusal
}

// finishHere delivers the outcome of the last message, which was handled on the UE, and
// gives the turn back.
func (c *Channel[In, Out]) finishHere() {
	c.mu.Lock()
	c.answerHereLocked()
	c.turn.held = false
	c.changed.open()
	c.mu.Unlock()
}

// answerHereLocked delivers the outcome of the last message, which was handled on the UE. The
// end of the channel gives it up.
func (c *Channel[In, Out]) answerHereLocked() {
	n := c.here
	if c.phase == ended {
		n.gaveUp.Store(n.at.Seq)
		return
	}
	if n.result.broke {
		c.brokeLocked(c.sent, "", n.result.err)
	}
	c.inbox.put(&n.at, n.result.outs, n.result.err)
	c.delivered = c.sent
}

// handleRecorded handles m on the UE after it has put it into the log, for a Move that has
// copied the state, and gives the turn back.
func (c *Channel[In, Out]) handleRecorded(m *Message[In]) error {
	e, err := c.entryOf(m)
	if err != nil {
		c.releaseTurn()
		return err
	}
	c.mu.Lock()
	n := c.here
	if c.log.recording {
		c.keepLocked(e)
	} else { // the Move has failed meanwhile: nobody would release it
		frames.Put(e.frame)
		c.sent++
	}
	seq := c.sent
	n.at.Seq, n.at.Captured, n.at.Tag = seq, m.Captured, m.Tag
	c.mu.Unlock()
	begin := time.Now()
	n.handle(m.Value, func() {
		c.finishRecorded(time.Since(begin))
		c.finishHere()
	})
	return c.givenUp(n, seq)
}

// finishRecorded notes in the log what became of the last message.
func (c *Channel[In, Out]) finishRecorded(ran time.Duration) {
	c.mu.Lock()
	broke := c.here.result.broke
	kept := c.log.at(c.sent) // nil: the Move has failed meanwhile
	if kept != nil {
		kept.ran, kept.broke = ran, broke
	}
	c.mu.Unlock()
	if kept != nil && broke {
		c.rebuild()
	}
}

// rebuild replaces the far endpoint on the UE, whose state a message may have left half
// changed, by one with the copied state and the messages since, unless the Move that they are kept for
// has failed meanwhile. The turn is held.
func (c *Channel[In, Out]) rebuild() {
	c.mu.Lock()
	k, upTo := c.saves.last, c.sent
	c.mu.Unlock()
	n, err := c.load(k)
	if err == nil {
		_, err = (&onUE[In, Out]{c, n}).replay(c.closing, upTo)
	}
	switch {
	case err == nil:
		n.at, n.result = c.here.at, c.here.result
		c.adopt(n)
	case c.isRecording():
		c.end(err)
	}
}

func (c *Channel[In, Out]) isRecording() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.recording
}

// adopt makes n the far endpoint on the UE.
func (c *Channel[In, Out]) adopt(n *native[In, Out]) {
	n.ctx.limit = max(c.cfg.Deadline, 0)
	c.here = n
}

// brokeLocked counts a message that broke its far endpoint, and tells of it.
func (c *Channel[In, Out]) brokeLocked(seq uint64, host string, why error) {
	c.stats.Broken++
	if errors.Is(why, offload.ErrDeadline) {
		c.overranLocked(seq, host, why)
		return
	}
	c.tellLocked(Event{Kind: Broke, From: host, To: host, Reason: why})
}

// onUE is the UE as a place for the far endpoint.
type onUE[In, Out any] struct {
	*Channel[In, Out]
	n *native[In, Out]
}

// take implements newcomer.
func (u *onUE[In, Out]) take(_ context.Context, k checkpoint) (err error) {
	u.n, err = u.load(k)
	return err
}

// has implements newcomer.
func (u *onUE[In, Out]) has() uint64 { return u.n.has }

// caughtUp implements newcomer: replay has waited for Handle.
func (*onUE[In, Out]) caughtUp(context.Context) error { return nil }

// replay implements newcomer. A message that was answered has no deadline here: it takes
// what it takes, unless ctx ends.
func (u *onUE[In, Out]) replay(ctx context.Context, upTo uint64) (replayed int, err error) {
	for u.n.has < upTo {
		frame, broke, err := u.kept(u.n.has + 1)
		if err != nil {
			return replayed, err
		}
		if !broke {
			if h := u.handleEntry(ctx, u.n, frame, 0); h.broke {
				return replayed, fmt.Errorf("message %d cannot be replayed on the UE: %w", u.n.has+1, orCause(ctx, h.err))
			}
		}
		replayed++
		u.n.has++
		if ctx.Err() != nil {
			return replayed, context.Cause(ctx)
		}
	}
	return replayed, nil
}

// orCause returns why ctx has ended, or else err.
func orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// kept returns a message of the log.
func (c *Channel[In, Out]) kept(seq uint64) (frame []byte, broke bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.log.at(seq)
	if e == nil {
		return nil, false, fmt.Errorf("elastic: message %d is not kept", seq)
	}
	return *e.frame, e.broke, nil
}

// lead implements newcomer.
func (u *onUE[In, Out]) lead(uint64) error {
	u.mu.Lock()
	do := u.stepLocked(signal{kind: tookOver})
	if do.refused {
		err := u.movableLocked()
		u.mu.Unlock()
		return err
	}
	u.adopt(u.n)
	u.rests.vain = 0
	u.settledHereLocked()
	u.mu.Unlock()
	do.finish()
	return nil
}

// answer implements newcomer. A message that breaks the far endpoint has an error for
// outcome, and the far endpoint is built anew without it.
func (u *onUE[In, Out]) answer() (answered int, err error) {
	for {
		m, frame, limit, ok := u.nextHere()
		if !ok {
			break
		}
		h := u.handleEntry(u.closing, u.n, frame, limit)
		if u.closing.Err() != nil {
			return answered, context.Cause(u.closing)
		}
		if u.answeredHere(m, h) {
			answered++
		}
		if h.broke {
			if err := u.anew(); err != nil {
				return answered, err
			}
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.settledHereLocked()
	return answered, u.endedLocked()
}

// settledHereLocked gives up log and checkpoint, once the UE needs neither.
func (u *onUE[In, Out]) settledHereLocked() {
	if !u.replays() || u.delivered == u.sent {
		u.log.reset(u.sent)
		u.saves.reset(checkpoint{}, 0)
	}
}

// nextHere waits for room for the outcome of the message after the last one answered, and
// returns that message. ok is false when there is none.
func (u *onUE[In, Out]) nextHere() (r Result[Out], frame []byte, limit time.Duration, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.delivered < u.sent && u.inbox.full() && u.phase != ended {
		u.awaitLocked(u.closing)
	}
	e := u.log.at(u.delivered + 1)
	if e == nil || u.phase == ended {
		return r, nil, 0, false
	}
	return Result[Out]{Seq: u.delivered + 1, Captured: e.captured, Tag: e.tag}, *e.frame, max(u.cfg.Deadline, 0), true
}

// answeredHere delivers the outcome of r's message, unless it gets another try: a
// message that overran its deadline once does.
func (u *onUE[In, Out]) answeredHere(r Result[Out], h handled[Out]) (delivered bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	e := u.log.at(r.Seq)
	if h.broke {
		if errors.Is(h.err, offload.ErrDeadline) {
			if e.overran++; e.overran < mostOverruns {
				return false
			}
		}
		e.broke = true
		u.brokeLocked(r.Seq, "", h.err)
	}
	u.inbox.put(&r, h.outs, h.err)
	u.delivered = r.Seq
	return true
}

// anew builds the far endpoint from the checkpoint and the messages that were answered. The
// next time it begins here: messages that take long are not replayed once for each that breaks it.
func (u *onUE[In, Out]) anew() error {
	u.mu.Lock()
	k, upTo := u.saves.last, u.delivered
	u.mu.Unlock()
	n, err := u.load(k)
	if err != nil {
		return err
	}
	u.n = n
	if _, err = u.replay(u.closing, upTo); err != nil {
		return err
	}
	u.adopt(u.n)
	if state, err := u.stateHere(); err == nil { // else it begins where it did
		u.mu.Lock()
		u.saves.reset(checkpoint{seq: upTo, state: state}, upTo)
		u.mu.Unlock()
	}
	return nil
}
