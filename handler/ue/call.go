package ue

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// router is the handler as the router of this process's elastic functions.
type router struct{ h *Handler }

// Route decides how the next call of d runs.
func (r router) Route(d *offload.Desc) *route.Way {
	f := r.h.function(d)
	why := f.whyNot()
	c := policy.Call{Function: f.number, Number: f.calls.Add(1) - 1, Ready: why == nil, Now: f.now()}
	r.h.viewer.called()
	v := r.h.viewer.view.Load()
	decided := r.h.policy.Load().Decide(c, v)
	if f.require.Load().Private {
		decided = policy.Decision{Why: policy.Why{Reason: policy.Private}}
	}
	if e := r.h.explainer; e != nil {
		e.decided(&decision{view: v, call: c, decided: decided, fallback: why})
	}
	if decided.Where != policy.OnUE && why != nil {
		f.fellBack(why)
		return &route.Way{Account: f, Fallback: why, Why: asRoute(decided.Why)}
	}
	f.goTo(decided.Where)
	return f.way(&decided)
}

// way returns how a call runs that is decided so. Calls share it for as long as the decision at a place is the same.
func (f *function) way(d *policy.Decision) *route.Way {
	hedge := d.Hedge
	if d.Where == policy.OnUE || !f.desc.Idempotent || f.desc.Redundancy > 1 { // what is not compared does not replace what is
		hedge = 0
	}
	last, why := &f.ways[d.Where], asRoute(d.Why)
	if w := last.Load(); w != nil && w.Hedge == hedge && w.Why == why {
		return w
	}
	w := &route.Way{Account: f, Hedge: hedge, Why: why}
	if d.Where == policy.OnEdge {
		w.Caller = f
	}
	last.Store(w)
	return w
}

func asRoute(w policy.Why) route.Why { return route.Why{Reason: uint8(w.Reason), A: w.A, B: w.B} }

// Call runs a call on the function's targets: one, or as many as its redundancy says.
func (f *function) Call(ctx context.Context, d *offload.Desc, frame []byte) (*route.Reply, error) {
	begin := time.Now()
	f.hedges.earn()
	reply, err := f.send(ctx, d, frame)
	if err != nil && !gaveUp(ctx) {
		f.outcome(policy.Outcome{Bytes: len(frame) - route.Room, Took: time.Since(begin), Missed: true})
	}
	switch {
	case err == nil:
		f.answered()
	case ctx.Err() == nil && route.MayRepeat(err, d.Idempotent):
		f.fellBack(err)
	}
	return reply, err
}

func (f *function) send(ctx context.Context, d *offload.Desc, frame []byte) (*route.Reply, error) {
	switch chosen, why := f.where.Load().choose(d.Module); len(chosen) {
	case 0: // there were some when it was decided
		return nil, &offload.CallError{Func: d.Name, Code: codeOf(why), Fate: offload.NotStarted, Err: why}
	case 1:
		return chosen[0].Call(ctx, d, frame)
	default:
		return f.vote(ctx, d, frame, chosen)
	}
}

// Call runs a call on the edge host, over the session in view.
func (t *target) Call(ctx context.Context, d *offload.Desc, frame []byte) (*route.Reply, error) {
	v := t.view.Load()
	if v.sess == nil {
		return nil, &offload.CallError{Func: d.Name, Host: t.addr, Code: codeOf(v.why), Fate: offload.NotStarted, Err: v.why}
	}
	begin := t.felt.begin()
	reply, fate, err := v.sess.call(ctx, d, frame)
	if err == nil || !gaveUp(ctx) {
		t.felt.end(begin, err != nil)
	}
	if err == nil {
		return reply, nil
	}
	if overtaken(ctx) {
		t.failed(v.sess, offload.ErrDeadline) // the next call must not wait, too
	} else {
		t.failed(v.sess, err)
	}
	code := codeOf(err)
	if ended := ctx.Err(); ended != nil && errors.Is(err, context.Cause(ctx)) {
		code = offload.CodeOf(ended) // the caller's own cause says nothing of what ended
	}
	return nil, &offload.CallError{Func: d.Name, Host: v.sess.host, Code: code, Fate: fate, Err: err}
}

// overtaken says that the UE had the result of a call first.
func overtaken(ctx context.Context) bool {
	return ctx.Err() != nil && context.Cause(ctx) == route.ErrOvertaken
}

// gaveUp says that the caller of a call did not wait for its end.
func gaveUp(ctx context.Context) bool { return ctx.Err() != nil && !overtaken(ctx) }

// call carries one call over s, on a stream of its own, within d.Deadline. The function
// cannot have started before the connection has taken the whole request.
func (s *session) call(ctx context.Context, d *offload.Desc, frame []byte) (*route.Reply, offload.Fate, error) {
	if n := len(frame) - route.Room; n > wire.MaxPayload {
		return nil, offload.NotStarted, &wire.Fail{Code: offload.CodeTooLarge, Text: fmt.Sprintf("request of %d bytes, over %d", n, wire.MaxPayload)}
	}
	if !s.enter() {
		return nil, offload.NotStarted, errLeave
	}
	defer s.exit()
	by := deadlineOf(d)
	st, err := s.borrow(ctx, by, len(frame))
	if err != nil {
		return nil, offload.NotStarted, err
	}
	st.begin(ctx, by)
	up, err := send(ctx, st, by, d, frame)
	fate := offload.NotStarted
	var reply *route.Reply
	if err == nil {
		reply, err = receive(st)
		fate = fateOf(err)
	}
	if why := st.end(ctx); err != nil {
		st.drop()
		return nil, fate, cmp.Or(why, link.Explain(err))
	} else if why != nil {
		st.drop() // it ended as the answer came
	} else {
		st.giveBack()
	}
	reply.Host, reply.BytesUp = s.host, up
	return reply, 0, nil
}

// deadlineOf returns when a call of d that begins now must be answered, zero for never.
func deadlineOf(d *offload.Desc) time.Time {
	if d.Deadline <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d.Deadline)
}

// The header fits into the room before the request.
var _ [route.Room - wire.CallHeader]struct{}

// send writes the header before the request, and both to the stream.
func send(ctx context.Context, st *callStream, by time.Time, d *offload.Desc, frame []byte) (int, error) {
	c := wire.Call{Module: d.Module.Digest, Fn: d.Index, Size: len(frame) - route.Room}
	if t, ok := ctx.Deadline(); ok && (by.IsZero() || t.Before(by)) {
		by = t
	}
	if !by.IsZero() {
		c.Deadline = max(time.Until(by), time.Microsecond)
	}
	frame = frame[route.Room-wire.CallHeader:]
	wire.AppendCall(frame[:0], c)
	return st.Write(frame)
}

// receive reads the answer of a call, after which nothing comes until the next one.
func receive(st io.Reader) (*route.Reply, error) {
	r := readers.Get().(*bufio.Reader)
	defer readers.Put(r)
	r.Reset(st)
	t, err := wire.ReadType(r)
	if err != nil {
		return nil, err
	}
	switch t {
	case wire.TypeResult:
		reply, err := receiveResult(r)
		if err == nil && r.Buffered() > 0 {
			return nil, fmt.Errorf("%w: bytes after the answer of a call", wire.ErrFrame)
		}
		return reply, err
	case wire.TypeFail:
		f, err := wire.ReadFail(r)
		if err != nil {
			return nil, err
		}
		return nil, f
	}
	return nil, fmt.Errorf("%w: 0x%02x does not answer a call", wire.ErrFrame, t)
}

func receiveResult(r io.Reader) (*route.Reply, error) {
	res, err := wire.ReadResult(r)
	if err != nil {
		return nil, err
	}
	reply := route.NewReply()
	if reply.Payload, err = wire.ReadPayload(r, reply.Payload, res.Size); err != nil {
		reply.Release()
		return nil, err
	}
	reply.Status, reply.Queue, reply.Run = abi.Status(res.Status), res.Queue, res.Run
	for _, s := range res.Spans {
		reply.Spans = append(reply.Spans, offload.Span(s))
	}
	reply.BytesDown = res.HeaderSize() + res.Size
	return reply, nil
}

// fateOf says what err, which ended the wait for an answer, tells of the call.
func fateOf(err error) offload.Fate {
	var f *wire.Fail
	switch {
	case !errors.As(err, &f):
		return offload.Unknown
	case f.Started:
		return offload.Stopped
	}
	return offload.NotStarted
}

// codeOf returns the code of what ended a call. An error without a code is the end of the
// connection: the host is lost.
func codeOf(err error) offload.Code {
	switch code := offload.CodeOf(err); {
	case code != offload.CodeInternal:
		return code
	case errors.Is(err, wire.ErrFrame):
		return offload.CodeProtocol
	case errors.As(err, new(*wire.Fail)):
		return offload.CodeInternal
	}
	return offload.CodeLost
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
