package elastic

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/bungee-xr/bungee/internal/wire"
)

// arrivals are the messages of mode Latest that have come to a far endpoint and
// wait for it, whole or in part. Only the newest whole one is worth handling.
type arrivals struct {
	mu     sync.Mutex // leaf, not held during I/O
	newest uint64     // whole message
	bytes  int        // of all that waits
	count  int
	parts  map[uint64]*puzzle
}

// A puzzle is a message that comes in parts.
type puzzle struct {
	parts [][]byte
	left  int
	bytes int
	whole chan struct{} // closed when left is 0
}

// enter lets in size bytes of a message, if not too much waits. Messages that the
// UE has given up may still be here.
func (e *farEnd) enter(size int) error {
	a := &e.come
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !e.Latest:
		return protocol("a message of mode latest for a channel of mode ordered")
	case a.count >= 2*wire.MaxParts*int(e.Window), a.count > 0 && a.bytes+size > maxArrivals:
		return &wire.Fail{Code: wire.CodeOverloaded, Text: "too much under way"}
	}
	a.count++
	a.bytes += size
	return nil
}

// maxArrivals bounds the bytes of messages that wait, but for one message.
const maxArrivals = 32 << 20

func (e *farEnd) leave(size int) {
	e.come.mu.Lock()
	defer e.come.mu.Unlock()
	e.come.count--
	e.come.bytes -= size
}

// Single answers a message of mode Latest on st, whose frame type has been read.
func (s *Server) Single(ctx context.Context, st Stream) {
	m, err := wire.ReadSingle(st)
	if err == nil && (m.Quiet || m.Skip) {
		err = protocol("a replay in mode latest")
	}
	var e *farEnd
	if err == nil {
		e, err = s.find(m.ID)
	}
	if err == nil {
		err = e.enter(m.Size)
	}
	if err != nil {
		reject(st, err)
		return
	}
	defer e.leave(m.Size)
	payload, err := readWhole(st, m.Size)
	if err != nil {
		reject(st, err)
		return
	}
	e.settle(ctx, st, m, payload)
}

// Part takes a part of a message of mode Latest on st, whose frame type has been
// read. The first one's stream gets the message's answer.
func (s *Server) Part(ctx context.Context, st Stream) {
	p, err := wire.ReadPart(st)
	var e *farEnd
	if err == nil {
		e, err = s.find(p.ID)
	}
	if err == nil {
		err = e.enter(p.Size)
	}
	if err != nil {
		reject(st, err)
		return
	}
	payload, err := readWhole(st, p.Size)
	e.leave(p.Size) // the puzzle counts it from here on
	var z *puzzle
	if err == nil {
		z, err = e.join(p, payload)
	}
	if err != nil {
		reject(st, err)
		return
	}
	if p.Index > 0 {
		st.Close()
		return
	}
	defer e.drop(p.Seq, z)
	select {
	case <-z.whole:
	case <-ctx.Done():
		st.Reset()
		return
	}
	e.settle(ctx, st, wire.Message{Epoch: p.Epoch, Seq: p.Seq}, z.message())
}

// join adds a part to its puzzle.
func (e *farEnd) join(p wire.Part, payload []byte) (*puzzle, error) {
	a := &e.come
	a.mu.Lock()
	defer a.mu.Unlock()
	z := a.parts[p.Seq]
	switch {
	case p.Seq <= a.newest:
		return nil, &wire.Fail{Code: wire.CodeSkipped}
	case z == nil:
		a.makeRoomLocked(2*int(e.Window), p.Size)
		z = &puzzle{parts: make([][]byte, p.Parts), left: p.Parts, whole: make(chan struct{})}
		if a.parts == nil {
			a.parts = map[uint64]*puzzle{}
		}
		a.parts[p.Seq] = z
	case len(z.parts) != p.Parts || z.parts[p.Index] != nil:
		return nil, protocol("part %d of %d of message %d, which has %d", p.Index, p.Parts, p.Seq, len(z.parts))
	case z.bytes+p.Size > wire.MaxPayload:
		return nil, protocol("message %d has more than %d bytes", p.Seq, wire.MaxPayload)
	}
	z.parts[p.Index] = append([]byte{}, payload...)
	z.left--
	z.bytes += p.Size
	a.bytes += p.Size
	if z.left == 0 {
		close(z.whole)
	}
	return z, nil
}

// makeRoomLocked makes room for one more puzzle: the oldest go.
func (a *arrivals) makeRoomLocked(most, size int) {
	for len(a.parts) >= most || a.bytes+size > maxArrivals && len(a.parts) > 0 {
		oldest := ^uint64(0)
		for seq := range a.parts {
			oldest = min(oldest, seq)
		}
		a.bytes -= a.parts[oldest].bytes
		delete(a.parts, oldest)
	}
}

// drop takes a puzzle away.
func (e *farEnd) drop(seq uint64, z *puzzle) {
	a := &e.come
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.parts[seq] == z {
		a.bytes -= z.bytes
		delete(a.parts, seq)
	}
}

// message returns the parts in one.
func (z *puzzle) message() []byte {
	b := make([]byte, 0, z.bytes)
	for _, p := range z.parts {
		b = append(b, p...)
	}
	return b
}

// settle answers a message of mode Latest on st: with its outcome, or with that it
// was skipped.
func (e *farEnd) settle(ctx context.Context, st Stream, m wire.Message, payload []byte) {
	frame, err := e.handleNewest(ctx, m, payload)
	if err != nil {
		refuse(st, err)
		var f *wire.Fail
		if errors.As(err, &f) && f.Started {
			e.send(wire.AppendHalt(nil, wire.Halt{Fail: failOf(err)}))
		}
		return
	}
	st.Write(frame)
	st.Close()
}

// handleNewest handles a message, unless a newer one has come.
func (e *farEnd) handleNewest(ctx context.Context, m wire.Message, payload []byte) (frame []byte, err error) {
	e.come.mu.Lock()
	e.come.newest = max(e.come.newest, m.Seq)
	e.come.mu.Unlock()
	e.using.acquire()
	defer e.using.release()
	if e.broken != nil {
		return nil, errGone
	}
	e.come.mu.Lock()
	newest := e.come.newest
	e.come.mu.Unlock()
	if m.Epoch < e.epoch || m.Seq <= e.seq || m.Seq < newest || ctx.Err() != nil {
		return nil, &wire.Fail{Code: wire.CodeSkipped}
	}
	return e.handleLocked(ctx, m, payload, nil)
}

// readWhole reads the n bytes that end a stream.
func readWhole(st Stream, n int) ([]byte, error) {
	b, err := wire.ReadPayload(st, nil, n)
	if err != nil {
		return nil, err
	}
	return b, wire.ReadEnd(st)
}

// reject refuses a message that may still be on its way.
func reject(st Stream, err error) {
	io.Copy(io.Discard, io.LimitReader(st, wire.MaxPayload))
	refuse(st, err)
}
