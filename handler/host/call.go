package host

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// call answers a call, whose type has been read from st.
func (s *session) call(st *link.Stream) {
	buf := buffers.Get().(*callBuffers)
	defer buffers.Put(buf)
	c, err := wire.ReadCall(st)
	if err == nil {
		buf.request, err = wire.ReadPayload(st, buf.request, c.Size)
	}
	if err == nil {
		err = wire.ReadEnd(st)
	}
	if err != nil {
		s.refuse(st, err)
		return
	}
	buf.reply = s.h.run(st.Context(), s.joined(), c, buf.request, buf.reply[:0])
	if st.Context().Err() == nil { // else the UE has given the call up
		answer(st, buf.reply)
	}
}

type callBuffers struct{ request, reply []byte }

var buffers = sync.Pool{New: func() any { return new(callBuffers) }}

// run runs a call of a UE's session and appends the frame that answers it to dst.
func (h *Handler) run(ctx context.Context, g *group, c wire.Call, request, dst []byte) []byte {
	limit := h.cfg.CallLimit
	if c.Deadline > 0 {
		limit = min(limit, c.Deadline)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dst, err := h.tryRun(ctx, g, c, request, dst)
	if err == nil {
		return dst
	}
	fail := failOf(err)
	h.cfg.Logger.Warn("call failed", "ue", g.key.ue, "fn", c.Fn, "code", fail.Code.String(), "why", fail.Text)
	return wire.AppendFail(dst[:0], fail)
}

// tryRun takes a place in the tenant's queue, then an instance, then a turn.
func (h *Handler) tryRun(ctx context.Context, g *group, c wire.Call, request, dst []byte) ([]byte, error) {
	if err := h.draining(); err != nil {
		return dst, err
	}
	select {
	case g.tenant.queue <- struct{}{}:
		defer func() { <-g.tenant.queue }()
	default:
		return dst, &wire.Fail{Code: wire.CodeOverloaded}
	}
	begin := time.Now()
	m, err := h.mods.get(ctx, g.tenant, c.Module)
	if err != nil {
		return dst, err
	}
	defer h.mods.done(m)
	ctx, cancel := context.WithTimeout(ctx, m.deadline)
	defer cancel()
	waited := time.Since(begin)
	call := &executor.Call{Account: g.account}
	err = m.pool.Call(executor.WithCall(ctx, call), c.Fn, request, func(a executor.Answer) error {
		if len(a.Payload) > wire.MaxPayload {
			return &wire.Fail{Code: wire.CodeTooLarge, Started: true, Text: "reply of the guest function"}
		}
		dst = appendResult(dst, a.Reply, waited+a.Queue, a.Run, call.Spans)
		return nil
	})
	return dst, err
}

// draining returns why nothing more is begun, nil while things are.
func (h *Handler) draining() error {
	select {
	case <-h.ended:
		return &wire.Fail{Code: wire.CodeDraining}
	default:
		return nil
	}
}

func appendResult(dst []byte, r executor.Reply, queue, run time.Duration, spans []executor.Span) []byte {
	res := wire.Result{Status: byte(r.Status), Queue: queue, Run: run, Size: len(r.Payload)}
	for _, s := range spans {
		res.Spans = append(res.Spans, wire.Span(s))
	}
	return append(wire.AppendResult(dst, res), r.Payload...)
}

// failOf returns the Fail that says err to the UE.
func failOf(err error) wire.Fail {
	var f *wire.Fail
	if errors.As(err, &f) {
		return *f
	}
	if fail := denied(err); fail != nil {
		return *fail
	}
	fail := wire.Fail{Code: wire.CodeInternal, Started: !errors.Is(err, executor.ErrNotStarted), Text: err.Error()}
	switch {
	case errors.Is(err, executor.ErrDeadline), errors.Is(err, context.DeadlineExceeded):
		fail.Code = wire.CodeDeadline
	case errors.Is(err, executor.ErrTrap), errors.Is(err, executor.ErrFuel), errors.Is(err, executor.ErrABI), errors.Is(err, executor.ErrDiscarded):
		fail.Code = wire.CodeTrap
	}
	return fail
}
