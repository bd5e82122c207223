package elastic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/pack"
)

// single exchanges a message for its outcome, on streams of its own: one, or one for each
// connection that a large message is spread over. The end of ctx resets them.
func (c *latest[In, Out]) single(ctx context.Context, a *attachment, m *queued[In], b *batch[Out]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	message := frames.Get().(*[]byte)
	defer frames.Put(message)
	var err error
	if *message, err = c.appendIn((*message)[:0], 0, m.Value); err != nil {
		return &wire.Fail{Code: wire.CodeSkipped, Text: err.Error()}
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
	err = part(0, func(st Stream) error { return c.readAnswer(st, a, m.seq, b) })
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
func (c *latest[In, Out]) exchange(ctx context.Context, a *attachment, header, body []byte, read func(Stream) error) error {
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
func (c *latest[In, Out]) readAnswer(st Stream, a *attachment, seq uint64, b *batch[Out]) error {
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

func (c *latest[In, Out]) readSingle(st io.Reader, a *attachment, seq uint64, b *batch[Out]) error {
	o, err := wire.ReadOutcome(st)
	if err != nil {
		return err
	}
	if o.Seq != seq {
		return fmt.Errorf("%w: outcome of message %d on the stream of %d", ErrPeer, o.Seq, seq)
	}
	payload := new([]byte) // a large one is given to whoever receives the result
	if o.Size < pack.OwnedSize {
		payload = frames.Get().(*[]byte)
		defer frames.Put(payload)
	}
	if *payload, err = wire.ReadPayload(st, *payload, o.Size); err != nil {
		return err
	}
	return c.decode(a.name, o.Status, *payload, b)
}
