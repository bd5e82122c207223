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
	var payload buffer
	defer payload.drop()
	if err := s.readWhole(ctx, st, &payload, m.Size); err != nil {
		reject(st, err)
		return
	}
	a.settle(ctx, st, m, payload.b)
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
	var payload buffer
	defer payload.drop()
	err = s.readWhole(ctx, st, &payload, p.Size)
	a.come.leave(p.Size) // the puzzle counts it from here on
	var z *puzzle
	if err == nil {
		z, err = a.come.join(p, &payload)
	}
	if err != nil {
		reject(st, err)
		return
	}
	if err := a.come.await(ctx, z); err != nil { // each part waits: the first one may never come
		a.come.drop(p.Seq, z)
		reject(st, err)
		return
	}
	if p.Index == 0 {
		a.assemble(ctx, st, wire.Message{Epoch: p.Epoch, Seq: p.Seq}, z)
	}
}

// assemble joins the parts of m, and answers it on st.
func (a *attachment) assemble(ctx context.Context, st Stream, m wire.Message, z *puzzle) {
	defer z.drop()
	var whole buffer
	defer whole.drop()
	if err := z.message(ctx, a.memory, &whole); err != nil {
		reject(st, err)
		return
	}
	a.settle(ctx, st, m, whole.b)
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
	var frame buffer
	defer frame.drop()
	if err := a.handleNewest(ctx, m, payload, &frame); err != nil {
		a.fail(st, err)
		return
	}
	wire.WritePaced(st, frame.b)
}

// handleNewest handles a message, unless a newer one has come or the UE has given it up. Once it has begun
// it goes on when the UE gives it up: to stop it would cost the far endpoint its state.
func (a *attachment) handleNewest(ctx context.Context, m wire.Message, payload []byte, frame *buffer) error {
	a.come.note(m.Seq)
	a.using.acquire()
	defer a.using.release()
	if a.broken != nil {
		return errGone
	}
	if m.Epoch < a.epoch || m.Seq <= a.seq || a.come.past(m.Seq) || ctx.Err() != nil {
		return &wire.Fail{Code: wire.CodeSkipped}
	}
	return a.handleLocked(a.life, m, payload, frame)
}

// readWhole reads the n bytes that end a stream into b.
func (s *Server) readWhole(ctx context.Context, st Stream, b *buffer, n int) error {
	if err := b.read(ctx, s.cfg.Memory, st, st, n); err != nil {
		return err
	}
	return wire.ReadEnd(st)
}

// reject refuses a message that may still be on its way.
func reject(st Stream, err error) {
	io.Copy(io.Discard, io.LimitReader(st, wire.MaxPayload))
	refuse(st, err)
}
