package far

import (
	"context"
	"io"

	"github.com/bungee-xr/bungee/internal/wire"
)

// single answers a message of mode Latest on st.
func (s *Server) single(ctx context.Context, st Stream) {
	m, err := wire.ReadSingle(st)
	if err == nil && (m.Quiet || m.Skip) {
		err = protocol("a replay in mode latest")
	}
	var a *attachment
	if err == nil {
		a, err = s.enter(m.ID, m.Size)
	}
	if err != nil {
		reject(st, err)
		return
	}
	defer a.come.leave(m.Size)
	payload, err := readWhole(st, m.Size)
	if err != nil {
		reject(st, err)
		return
	}
	a.settle(ctx, st, m, payload)
}

// part takes a part of a message of mode Latest on st. The stream of the first part
// gets the message's answer.
func (s *Server) part(ctx context.Context, st Stream) {
	p, err := wire.ReadPart(st)
	var a *attachment
	if err == nil {
		a, err = s.enter(p.ID, p.Size)
	}
	if err != nil {
		reject(st, err)
		return
	}
	payload, err := readWhole(st, p.Size)
	a.come.leave(p.Size) // the puzzle counts it from here on
	var z *puzzle
	if err == nil {
		z, err = a.come.join(p, payload)
	}
	if err != nil {
		reject(st, err)
		return
	}
	if p.Index > 0 {
		return
	}
	defer a.come.drop(p.Seq, z)
	select {
	case <-z.whole:
	case <-ctx.Done():
		st.Reset()
		return
	}
	a.settle(ctx, st, wire.Message{Epoch: p.Epoch, Seq: p.Seq}, z.message())
}

// enter admits size bytes of a message for the attachment with that ID.
func (s *Server) enter(id uint64, size int) (*attachment, error) {
	a, err := s.find(id)
	switch {
	case err != nil:
		return nil, err
	case !a.Latest:
		return nil, protocol("a message of mode latest for a channel of mode ordered")
	}
	return a, a.come.enter(size)
}

// settle answers a message of mode Latest on st: with its outcome, or with a Fail that
// says that it was skipped.
func (a *attachment) settle(ctx context.Context, st Stream, m wire.Message, payload []byte) {
	frame, err := a.handleNewest(ctx, m, payload)
	if err == nil {
		st.Write(frame)
		return
	}
	a.fail(st, err)
}

// handleNewest handles a message, unless a newer one has come or the UE has given it up. Once it has begun
// it goes on when the UE gives it up: to stop it would cost the far endpoint its state.
func (a *attachment) handleNewest(ctx context.Context, m wire.Message, payload []byte) (frame []byte, err error) {
	a.come.note(m.Seq)
	a.using.acquire()
	defer a.using.release()
	if a.broken != nil {
		return nil, errGone
	}
	if m.Epoch < a.epoch || m.Seq <= a.seq || a.come.past(m.Seq) || ctx.Err() != nil {
		return nil, &wire.Fail{Code: wire.CodeSkipped}
	}
	return a.handleLocked(a.life, m, payload, nil)
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
