package elastic

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// Send sends in to the far endpoint. In mode Ordered it waits for room and, while the far
// endpoint is on the UE, until in has been handled. In mode Latest it does not wait. An
// error means that in was not sent, or was given up by Close while it was handled on the UE; each other message
// has an outcome, which comes from Recv. ctx bounds the wait for room, and does not reach Handle: a Send
// that need not wait, as in mode Latest, does not look at it.
func (c *Channel[In, Out]) Send(ctx context.Context, in In) error {
	return c.SendMessage(ctx, Message[In]{Value: in})
}

// SendMessage is Send for a message with a time and a tag, which come back with its
// results.
func (c *Channel[In, Out]) SendMessage(ctx context.Context, m Message[In]) error {
	if ctx == nil {
		return errNoContext
	}
	return c.mode.send(ctx, m)
}

// ordered is mode Ordered.
type ordered[In, Out any] struct{ *Channel[In, Out] }

func (c ordered[In, Out]) send(ctx context.Context, m Message[In]) error {
	own, recording, err := c.admit(ctx)
	switch {
	case err != nil:
		return err
	case own != nil:
		defer c.releaseTurn()
		return c.dispatch(own, &m)
	case recording:
		return c.handleRecorded(&m)
	}
	return c.handleHere(&m)
}

// settledLocked implements discipline.
func (c ordered[In, Out]) settledLocked() bool { return c.delivered == c.sent }

// emptyLocked implements discipline. A Send that holds the turn may be about to send.
func (c ordered[In, Out]) emptyLocked() bool { return c.delivered == c.sent && !c.turn.held }

// resumeLocked implements discipline: senders that wait look for themselves.
func (ordered[In, Out]) resumeLocked() {}

// admit waits until a message can be sent, takes the turn, and returns the owner that
// the message is for. On the UE it gives the message its number, too, unless the message
// must go to the log first (recording).
func (c ordered[In, Out]) admit(ctx context.Context) (own *attachment, recording bool, err error) {
	for waited := false; ; waited = true {
		c.mu.Lock()
		if err := c.refusalLocked(); err != nil {
			c.mu.Unlock()
			return nil, false, err
		}
		if c.turn.free() && c.roomLocked() && c.creditLocked() {
			own, recording = c.owner, c.log.recording
			c.turn.held = true
			if own == nil && !recording {
				c.sent++
			}
			if own == nil {
				c.here.at.Seq = c.sent
				c.watchHereLocked(c.sent)
			}
			c.mu.Unlock()
			return own, recording, nil
		}
		wait, stalled := c.changed.wait(), c.stallLocked()
		c.mu.Unlock()
		if !waited && c.inside(ctx) {
			return nil, false, errInside
		}
		if stalled != "" {
			c.told(Event{Kind: Stalled, From: stalled, To: stalled})
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// stallLocked notes that Send waits for the owner's credit, if it begins to. It returns the
// name of that host, else "".
func (c *Channel[In, Out]) stallLocked() (host string) {
	a := c.owner
	if a == nil || !a.stalled.IsZero() || !c.roomLocked() || c.creditLocked() {
		return ""
	}
	c.stats.Stalls++
	a.stalled = time.Now()
	c.armLocked()
	return a.name
}

// A turn is held while a message gets its number and is handed over, and while the owner
// changes. A move that wants it comes before senders.
type turn struct {
	held   bool
	wanted int
}

// free says whether a sender may take it.
func (t *turn) free() bool { return !t.held && t.wanted == 0 }

// takeTurn takes the turn for a move, unless ctx ends first.
func (c *Channel[In, Out]) takeTurn(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn.wanted++
	for c.turn.held && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	c.turn.wanted--
	if c.turn.held {
		c.changed.open()
		return context.Cause(ctx)
	}
	c.turn.held = true
	return nil
}

func (c *Channel[In, Out]) releaseTurn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn.held = false
	c.changed.open()
}

// refusalLocked says why the channel takes no further message, nil while it does.
func (c *Channel[In, Out]) refusalLocked() error {
	if c.refusal == nil && c.saves.hopeless() && c.logFullLocked() {
		return c.saves.why
	}
	return c.refusal
}

// roomLocked says whether the channel can keep one more message.
func (c *Channel[In, Out]) roomLocked() bool {
	return c.phase != fenced && c.sent-c.delivered < uint64(c.cfg.Window) && !c.logFullLocked() && c.inbox.len() < c.cfg.Window
}

func (c *Channel[In, Out]) logFullLocked() bool {
	return c.log.len() >= logWindows*c.cfg.Window || c.log.bytes >= c.cfg.WindowBytes
}

// creditLocked says whether the owner takes one more message.
func (c *Channel[In, Out]) creditLocked() bool { return c.owner == nil || c.owner.mayLocked() }

// mayLocked says whether the host's credit lets one more message go.
func (a *attachment) mayLocked() bool {
	return a.sent.Messages < a.credit.Messages && a.sent.Bytes < a.credit.Bytes
}

// dispatch sends m to the host of own. The turn is held.
func (c *Channel[In, Out]) dispatch(own *attachment, m *Message[In]) error {
	e, err := c.entryOf(m)
	if err != nil {
		return err
	}
	frame := *e.frame // the log may release e as soon as it is sent
	c.mu.Lock()
	header := c.keepLocked(e)
	header.Epoch = own.epoch
	own.countLocked(header.Seq, e.size())
	c.armLocked()
	c.mu.Unlock()
	stamp(frame, header)
	if err := own.write(frame); err != nil {
		c.fail(own, err) // m is in the log
	}
	return nil
}

// keepLocked gives a message its number and puts it into the log.
func (c *Channel[In, Out]) keepLocked(e entry) wire.Message {
	c.sent++
	c.log.push(e)
	return wire.Message{Seq: c.sent}
}

// countLocked counts a message that goes out.
func (a *attachment) countLocked(seq uint64, size int) {
	a.has = seq
	a.sent.Messages++
	a.sent.Bytes += uint64(size)
}

// entryOf makes a log entry of m.
func (c *Channel[In, Out]) entryOf(m *Message[In]) (entry, error) {
	frame := frames.Get().(*[]byte)
	b, err := c.appendIn((*frame)[:0], wire.MessageHeader, m.Value)
	if err != nil {
		frames.Put(frame)
		return entry{}, err
	}
	*frame = b
	return entry{frame: frame, sent: time.Now(), captured: m.Captured, tag: m.Tag}, nil
}
