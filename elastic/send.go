package elastic

import (
	"context"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Send sends in to the far endpoint. In mode Ordered it waits for room and, while the far
// endpoint is on the UE, until in has been handled. In mode Latest it does not wait. An
// error means that in was not sent; the outcome of a message that was sent comes from
// Recv.
func (c *Channel[In, Out]) Send(ctx context.Context, in In) error {
	return c.SendMessage(ctx, Message[In]{Value: in})
}

// SendMessage is Send for a message with a time and a tag, which come back with its
// results.
func (c *Channel[In, Out]) SendMessage(ctx context.Context, m Message[In]) error {
	if c.cfg.Mode == Latest {
		return c.offer(m)
	}
	own, recording, err := c.admit(ctx)
	if err != nil {
		return err
	}
	if own != nil {
		defer c.releaseTurn()
		return c.dispatch(own, m)
	}
	if recording {
		if err := c.record(m); err != nil {
			c.releaseTurn()
			return err
		}
	}
	c.handleHere(ctx, m)
	return nil
}

// admit waits until a message can be sent, takes the turn, and returns the owner that
// the message is for. On the UE it gives the message its number, too, unless the message
// must go to the log first (recording).
func (c *Channel[In, Out]) admit(ctx context.Context) (own *attachment, recording bool, err error) {
	stalled := false
	for {
		c.mu.Lock()
		if err := c.refusalLocked(); err != nil {
			c.mu.Unlock()
			return nil, false, err
		}
		room, credit := c.roomLocked()
		if free := !c.turn.held && c.turn.wanted == 0; free && room && credit {
			own, recording = c.own, c.recording
			c.turn.held = true
			if own == nil && !recording {
				c.seq++
			}
			c.mu.Unlock()
			return own, recording, nil
		}
		wait, host := c.changed.wait(), ""
		if room && !credit && !stalled {
			stalled, host = true, c.own.name
			c.stallLocked()
		}
		c.mu.Unlock()
		if host != "" {
			c.told(Event{Kind: Stalled, From: host, To: host})
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// stallLocked notes that Send waits for credit.
func (c *Channel[In, Out]) stallLocked() {
	c.stats.Stalls++
	c.stalled = time.Now()
	c.armLocked()
}

// A turn is held while a message gets its number and is handed over, and while a
// move switches. A move that wants it comes before senders.
type turn struct {
	held   bool
	wanted int
}

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
	if c.ended != nil {
		return c.ended
	}
	if c.ending {
		return ErrClosed
	}
	return nil
}

// roomLocked says whether the channel can keep one more message, and whether the
// owner may be sent one.
func (c *Channel[In, Out]) roomLocked() (room, credit bool) {
	room = c.seq-c.delivered < uint64(c.cfg.Window) && c.log.len() < logWindows*c.cfg.Window && c.log.bytes < c.cfg.WindowBytes && c.results.len() < c.cfg.Window
	if c.own == nil {
		return room, true
	}
	return room && c.own.lost == nil, c.own.mayLocked()
}

// mayLocked says whether the host's credit lets one more message go.
func (a *attachment) mayLocked() bool {
	return a.sent.Messages < a.credit.Messages && a.sent.Bytes < a.credit.Bytes
}

// dispatch sends m to the host of own. The turn is held.
func (c *Channel[In, Out]) dispatch(own *attachment, m Message[In]) error {
	e, err := c.entryOf(m)
	if err != nil {
		return err
	}
	frame := *e.frame // the log may release e as soon as it is sent
	c.mu.Lock()
	c.seq++
	header := wire.Message{Epoch: own.epoch, Seq: c.seq}
	c.log.push(e)
	own.countLocked(header.Seq, e.size())
	c.armLocked()
	c.mu.Unlock()
	stamp(frame, header)
	if err := own.write(frame); err != nil {
		c.fail(own, err) // m is in the log
	}
	return nil
}

// countLocked counts a message that goes out.
func (a *attachment) countLocked(seq uint64, size int) {
	a.has = seq
	a.sent.Messages++
	a.sent.Bytes += uint64(size)
}

// entryOf makes a log entry of m.
func (c *Channel[In, Out]) entryOf(m Message[In]) (entry, error) {
	frame := frames.Get().(*[]byte)
	*frame = c.ep.AppendIn(append((*frame)[:0], make([]byte, wire.MessageHeader)...), m.Value)
	e := entry{frame: frame, sent: time.Now(), captured: m.Captured, tag: m.Tag}
	if n := e.size(); n > wire.MaxPayload {
		frames.Put(frame)
		return e, &channelError{offload.CodeTooLarge, fmt.Sprintf("message of %d bytes, over %d", n, wire.MaxPayload)}
	}
	return e, nil
}

// handleHere handles m, which has its number, on the UE and gives the turn back.
func (c *Channel[In, Out]) handleHere(ctx context.Context, m Message[In]) {
	c.here = Result[Out]{Seq: c.seq, Captured: m.Captured, Tag: m.Tag}
	err := c.live.Handle(ctx, m.Value, c.emit)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finishLocked(err)
	c.turn.held = false
}

// record puts m into the log, for a move that copies the state.
func (c *Channel[In, Out]) record(m Message[In]) error {
	e, err := c.entryOf(m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	c.log.push(e)
	return nil
}

// emitHere takes what the far endpoint on the UE emits. A message's values may
// exceed the room for results: the next message waits for it.
func (c *Channel[In, Out]) emitHere(out Out) error {
	r := c.here
	r.Value = out
	c.mu.Lock()
	c.pushLocked(r)
	c.mu.Unlock()
	return nil
}

// finishLocked ends the message in c.here, whose handling returned err.
func (c *Channel[In, Out]) finishLocked(err error) {
	if err != nil {
		r := c.here
		r.Err = err
		c.pushLocked(r)
	}
	c.delivered = c.here.Seq
	c.changed.open()
}

func (c *Channel[In, Out]) pushLocked(r Result[Out]) {
	c.results.push(r)
	c.arrived.open()
}
