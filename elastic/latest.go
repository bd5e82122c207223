package elastic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// latest is what a channel of mode Latest has under way.
type latest[In any] struct {
	waiting *queued[In] // the newest message, which has not begun; nil: none
	flying  int         // messages at an edge host
	working bool        // a message is handled on the UE
	paused  bool        // a move waits for what is under way; nothing begins
	gap     uint64      // messages without a result since the last result
	lates   int         // messages given up in a row
}

type queued[In any] struct {
	Message[In]
	seq uint64
}

func (l *latest[In]) idle() bool { return l.waiting == nil && l.flying == 0 && !l.working }

// latesBeforeLost is how many late messages in a row make the host count as silent: a
// radio loses one now and then.
const latesBeforeLost = 3

// offer takes a message of mode Latest: it is the one that goes next.
func (c *Channel[In, Out]) offer(m Message[In]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refusalLocked(); err != nil {
		return err
	}
	c.seq++
	if c.latest.waiting != nil {
		c.stats.Skipped++
	}
	c.latest.waiting = &queued[In]{m, c.seq}
	c.pumpLocked()
	return nil
}

// pumpLocked begins the message that waits, if it can.
func (c *Channel[In, Out]) pumpLocked() {
	l := &c.latest
	switch {
	case l.waiting == nil || l.paused || c.ended != nil:
	case c.own == nil:
		if !l.working {
			l.working = true
			c.goLocked(c.workHere)
		}
	case c.own.lost == nil && !c.own.halted && l.flying < c.cfg.InFlight:
		m, own := l.waiting, c.own
		l.waiting = nil
		l.flying++
		c.goLocked(func() { c.fly(own, m) })
	}
}

// workHere handles messages on the UE until none waits.
func (c *Channel[In, Out]) workHere() {
	for {
		c.mu.Lock()
		l := &c.latest
		if l.waiting == nil || l.paused || c.own != nil || c.ended != nil {
			l.working = false
			c.pumpLocked()
			c.changed.open()
			c.mu.Unlock()
			return
		}
		m := l.waiting
		l.waiting = nil
		c.mu.Unlock()
		var b batch[Out]
		b.err = c.live.Handle(c.closing, m.Value, func(out Out) error {
			b.outs = append(b.outs, out)
			return nil
		})
		c.mu.Lock()
		c.landLocked(Result[Out]{Seq: m.seq, Captured: m.Captured, Tag: m.Tag}, &b)
		c.mu.Unlock()
	}
}

// landLocked delivers the outcome of a message, unless a newer one's has been. A
// near endpoint that does not keep up loses the oldest results.
func (c *Channel[In, Out]) landLocked(r Result[Out], b *batch[Out]) {
	if r.Seq <= c.delivered {
		c.stats.Dropped++
		c.stats.Skipped++
		return
	}
	c.latest.gap += r.Seq - c.delivered - 1
	c.delivered = r.Seq
	if len(b.outs) > 0 || b.err != nil {
		r.Skipped, c.latest.gap = c.latest.gap, 0
		for c.results.len() >= c.cfg.Window {
			c.dropOldestLocked(&r)
		}
		c.deliverLocked(r, b)
	}
	c.wantSaveLocked()
	c.changed.open()
}

// dropOldestLocked drops the waiting results of the oldest message. The result after
// them, r if none waits, counts the message as skipped, unless Recv has returned a part
// of its results.
func (c *Channel[In, Out]) dropOldestLocked(r *Result[Out]) {
	gone, _ := c.results.pop()
	skipped := gone.Skipped
	if gone.Seq != c.read {
		skipped++
		c.stats.Skipped++
	}
	for c.results.len() > 0 && c.results.first().Seq == gone.Seq {
		c.results.pop()
	}
	if c.results.len() > 0 {
		c.results.first().Skipped += skipped
	} else {
		r.Skipped += skipped
	}
}

// fly sends a message to the host of a and waits for its outcome.
func (c *Channel[In, Out]) fly(a *attachment, m *queued[In]) {
	ctx, cancel := a.alive, context.CancelFunc(func() {})
	if c.cfg.Deadline > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, c.cfg.Deadline, offload.ErrDeadline)
	}
	defer cancel()
	b := c.batches.Get().(*batch[Out])
	defer c.batches.Put(b)
	err := c.single(ctx, a, m, b)
	c.mu.Lock()
	c.latest.flying--
	lost := c.landedLocked(a, m, b, err, context.Cause(ctx))
	c.pumpLocked()
	c.changed.open()
	c.mu.Unlock()
	if lost != nil {
		c.fail(a, lost)
	}
}

// awaitLanded waits until the messages under way at a, whose guest is broken, have come
// back. The message that broke it has its error for outcome, and that comes on another
// stream, which may be slower.
func (c *Channel[In, Out]) awaitLanded(a *attachment) {
	ctx, cancel := context.WithTimeout(a.alive, recoveryTimeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	a.halted = true
	for a == c.own && c.latest.flying > 0 && a.lost == nil && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
}

// landedLocked takes the outcome of a message at a host, and says why the host is lost,
// nil if it is not.
func (c *Channel[In, Out]) landedLocked(a *attachment, m *queued[In], b *batch[Out], err, late error) (lost error) {
	r := Result[Out]{Seq: m.seq, Captured: m.Captured, Tag: m.Tag, Host: a.name}
	var refusal *wire.Fail
	switch {
	case a.fenced || c.ended != nil:
		c.stats.Dropped++
		c.stats.Skipped++
		return nil
	case err == nil:
		c.latest.lates = 0
		c.landLocked(r, b)
		return nil
	case errors.Is(late, offload.ErrDeadline):
		c.stats.Late++
		c.stats.Skipped++
		if c.latest.lates++; c.latest.lates >= latesBeforeLost {
			c.latest.lates = 0
			return fmt.Errorf("%w of %v, %d times in a row", offload.ErrDeadline, c.cfg.Deadline, latesBeforeLost)
		}
		return nil
	case errors.As(err, &refusal) && brokeGuest(refusal.Code):
		b.outs, b.err = nil, c.brokenBy(a, refusal)
		c.landLocked(r, b)
		return fmt.Errorf("%w: %w", errBroke, refusal)
	}
	c.stats.Skipped++
	if refusal == nil {
		return err
	}
	switch refusal.Code {
	case wire.CodeSkipped, offload.CodeOverloaded, wire.CodeGone: // its own stream tells of its end
		return nil
	}
	return err
}

// single exchanges a message for its outcome, on streams of its own: one, or one for each
// connection that a large message is spread over. The end of ctx resets them.
func (c *Channel[In, Out]) single(ctx context.Context, a *attachment, m *queued[In], b *batch[Out]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	message := frames.Get().(*[]byte)
	defer frames.Put(message)
	*message = c.ep.AppendIn((*message)[:0], m.Value)
	if len(*message) > wire.MaxPayload {
		return &wire.Fail{Code: wire.CodeSkipped}
	}
	n := partsOf(a.host, len(*message))
	if n == 1 {
		header := wire.AppendSingle(nil, wire.Message{ID: a.id, Epoch: a.epoch, Seq: m.seq, Size: len(*message)})
		return c.exchange(ctx, a, header, *message, func(st Stream) error { return c.readAnswer(st, a, m.seq, b) })
	}
	part := func(i int, read func(Stream) error) error {
		share := len(*message) / n
		body := (*message)[i*share:]
		if i < n-1 {
			body = body[:share]
		}
		p := wire.Part{ID: a.id, Epoch: a.epoch, Seq: m.seq, Index: i, Parts: n, Size: len(body)}
		return c.exchange(ctx, a, wire.AppendPart(nil, p), body, read)
	}
	var others sync.WaitGroup
	for i := 1; i < n; i++ {
		others.Go(func() {
			if err := part(i, readNothing); err != nil {
				cancel(err)
			}
		})
	}
	err := part(0, func(st Stream) error { return c.readAnswer(st, a, m.seq, b) })
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx) // of the part that failed first
	}
	cancel(nil)
	others.Wait()
	return err
}

// minPart is the least size of a message's part that is worth a stream.
const minPart = 8 << 10

// partsOf returns over how many connections to h a message is spread.
func partsOf(h Host, size int) int { return max(1, min(h.Stripes(), size/minPart, wire.MaxParts)) }

// exchange sends header and body on a stream of their own and calls read for the answer.
func (c *Channel[In, Out]) exchange(ctx context.Context, a *attachment, header, body []byte, read func(Stream) error) error {
	st, err := a.host.Open(ctx, c.cfg.Priority)
	if err != nil {
		return explain(err)
	}
	defer context.AfterFunc(ctx, st.Reset)()
	if len(body) < minPart {
		header, body = append(header, body...), nil
	}
	_, err = st.Write(header)
	if err == nil && len(body) > 0 {
		_, err = st.Write(body)
	}
	if err == nil {
		err = st.Close()
	}
	if err == nil {
		err = read(st)
	}
	if err = explain(err); err != nil && !errors.As(err, new(*wire.Fail)) {
		st.Reset()
	}
	return err
}

// readNothing reads the end of the stream, which is the answer to a part.
func readNothing(st Stream) error {
	t, err := wire.ReadType(st)
	switch {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	case t == wire.TypeFail:
		return readRefusal(st)
	}
	return fmt.Errorf("%w: frame 0x%02x answers a part", ErrPeer, t)
}

// readAnswer reads the outcome of message seq into b, or returns the refusal.
func (c *Channel[In, Out]) readAnswer(st Stream, a *attachment, seq uint64, b *batch[Out]) error {
	t, err := wire.ReadType(st)
	switch {
	case err != nil:
		return err
	case t == wire.TypeFail:
		return readRefusal(st)
	case t == wire.TypeOutcome:
		return c.readSingle(st, a, seq, b)
	}
	return fmt.Errorf("%w: frame 0x%02x does not answer a message", ErrPeer, t)
}

// readRefusal reads a Fail and returns it as an error.
func readRefusal(st Stream) error {
	f, err := wire.ReadFail(st)
	if err != nil {
		return err
	}
	return f
}

func (c *Channel[In, Out]) readSingle(st io.Reader, a *attachment, seq uint64, b *batch[Out]) error {
	o, err := wire.ReadOutcome(st)
	if err != nil {
		return err
	}
	if o.Seq != seq {
		return fmt.Errorf("%w: outcome of message %d on the stream of %d", ErrPeer, o.Seq, seq)
	}
	payload := frames.Get().(*[]byte)
	defer frames.Put(payload)
	if *payload, err = wire.ReadPayload(st, *payload, o.Size); err != nil {
		return err
	}
	return c.decode(a.name, o.Status, *payload, b)
}

// moveLatest moves the far endpoint of a channel in mode Latest: it waits for the messages
// under way, and then copies the state.
func (c *Channel[In, Out]) moveLatest(m *move, t Target) error {
	var a *attachment
	if t != nil {
		var err error
		if a, err = c.claim(m.ctx, t); err != nil {
			return err
		}
	}
	err := c.settleLatest(m, a)
	if err != nil && a != nil {
		c.discard(a)
	}
	return err
}

// settleLatest makes a the owner, nil the UE.
func (c *Channel[In, Out]) settleLatest(m *move, a *attachment) error {
	begin := time.Now()
	defer func() { m.blocked = time.Since(begin) }()
	c.mu.Lock()
	c.latest.paused = true
	for (c.latest.flying > 0 || c.latest.working) && c.movableLocked() == nil && m.ctx.Err() == nil {
		c.awaitLocked(m.ctx)
	}
	err := c.movableLocked()
	if err == nil && m.ctx.Err() != nil {
		err = context.Cause(m.ctx)
	}
	c.mu.Unlock()
	if err == nil {
		err = c.giveState(m, a)
	}
	c.mu.Lock()
	c.latest.paused = false
	c.pumpLocked()
	c.mu.Unlock()
	return err
}

// giveState gives a, or the UE, the state, and makes it the owner. Nothing is
// under way.
func (c *Channel[In, Out]) giveState(m *move, a *attachment) error {
	k, err := c.stateNow(m.ctx)
	if err != nil {
		return err
	}
	if a == nil {
		return c.recoverLatestWith(k)
	}
	if err := c.give(a, k, always); err != nil {
		return err
	}
	if err := c.awaitRestored(m.ctx, a); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(c.movableLocked(), a.lost); err != nil {
		return err
	}
	gone := c.own
	if gone != nil {
		gone.fenced = true
		c.goLocked(gone.end)
	}
	c.own, c.live = a, nil
	c.saveAsLocked(k)
	return nil
}

// stateNow returns the far endpoint's state. Nothing is under way.
func (c *Channel[In, Out]) stateNow(ctx context.Context) (checkpoint, error) {
	c.mu.Lock()
	own, seq := c.own, c.delivered
	c.mu.Unlock()
	if own == nil {
		return checkpoint{seq: seq, state: c.live.AppendState(nil)}, nil
	}
	return c.snapshot(ctx, own)
}

// awaitRestored waits until a has taken its state, since messages on other streams could
// overtake it.
func (c *Channel[In, Out]) awaitRestored(ctx context.Context, a *attachment) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a.acks < a.restores && a.lost == nil && c.ended == nil && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	return c.unfitLocked(ctx, a)
}

// recoverLatestHere makes the UE the owner, with the last checkpoint. Messages handled
// since are lost, and Skipped counts them.
func (c *Channel[In, Out]) recoverLatestHere() error {
	c.mu.Lock()
	k := c.saved
	c.mu.Unlock()
	return c.recoverLatestWith(k)
}

func (c *Channel[In, Out]) recoverLatestWith(k checkpoint) error {
	live, err := c.load(k)
	if err != nil {
		return err
	}
	c.mu.Lock()
	gone := c.homeLocked(live)
	c.pumpLocked()
	c.mu.Unlock()
	endAll(gone)
	return nil
}
