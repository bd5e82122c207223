package ue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// ErrLate is the cause of a call that had no answer by its function's deadline.
var ErrLate = errors.New("no answer by the deadline")

// Call sends a request on a stream of its own and returns the reply.
func (f *far) Call(ctx context.Context, d *offload.Desc, request []byte) (*offload.Reply, error) {
	ctx, cancel := withDeadline(ctx, d.Deadline)
	defer cancel()
	reply, err := exchange(ctx, f.sess, d, request)
	if err != nil {
		f.edge.failed(f.sess, err)
		return nil, err
	}
	return reply, nil
}

// withDeadline bounds ctx by d, if d is a deadline.
func withDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("%w of %v", ErrLate, d))
}

// exchange carries one call over s. Until the whole request has been handed to
// the connection the function cannot have started.
func exchange(ctx context.Context, s *session, d *offload.Desc, request []byte) (*offload.Reply, error) {
	fail := func(fate offload.Fate, err error) error {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return &offload.CallError{Func: d.Name, Host: s.host, Fate: fate, Err: err}
	}
	if !s.enter() {
		return nil, fail(offload.NotStarted, errLeave)
	}
	defer s.exit()
	st, err := s.open(ctx)
	if err != nil {
		return nil, fail(offload.NotStarted, link.Explain(err))
	}
	st.SetPriority(link.Urgency(0), false)
	stop := context.AfterFunc(ctx, st.Reset)
	defer stop()
	up, err := send(ctx, st, d, request)
	if err != nil {
		return nil, fail(offload.NotStarted, link.Explain(err))
	}
	reply, err := receive(st)
	if err != nil {
		st.CloseRead()
		return nil, fail(fateOf(err), link.Explain(err))
	}
	reply.Host, reply.BytesUp = s.host, up
	return reply, nil
}

// send writes the call and ends the sending side.
func send(ctx context.Context, st *link.Stream, d *offload.Desc, request []byte) (int, error) {
	if len(request) > wire.MaxPayload {
		return 0, fmt.Errorf("request of %d bytes, over %d", len(request), wire.MaxPayload)
	}
	c := wire.Call{Module: d.Module.Digest, Fn: d.Index, Size: len(request)}
	if t, ok := ctx.Deadline(); ok {
		c.Deadline = max(time.Until(t), time.Microsecond)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	*buf = append(wire.AppendCall((*buf)[:0], c), request...)
	if _, err := st.Write(*buf); err != nil {
		return 0, err
	}
	return len(*buf), st.Close()
}

// receive reads the answer of a call.
func receive(st *link.Stream) (*offload.Reply, error) {
	r := readers.Get().(*bufio.Reader)
	in := &counted{r: st}
	r.Reset(in)
	defer readers.Put(r)
	t, err := wire.ReadType(r)
	if err != nil {
		return nil, err
	}
	switch t {
	case wire.TypeResult:
		reply, err := receiveResult(r)
		if err == nil {
			reply.BytesDown = in.n
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

func receiveResult(r io.Reader) (*offload.Reply, error) {
	res, err := wire.ReadResult(r)
	if err != nil {
		return nil, err
	}
	buf := buffers.Get().(*[]byte)
	if *buf, err = wire.ReadPayload(r, *buf, res.Size); err == nil {
		err = wire.ReadEnd(r)
	}
	if err != nil {
		buffers.Put(buf)
		return nil, err
	}
	reply := &offload.Reply{
		Status: abi.Status(res.Status), Payload: *buf,
		Queue: res.Queue, Run: res.Run,
		Free: func() { buffers.Put(buf) },
	}
	for _, s := range res.Spans {
		reply.Spans = append(reply.Spans, offload.Span(s))
	}
	return reply, nil
}

// fateOf says what err, which ended the wait for an answer, tells of the call.
func fateOf(err error) offload.Fate {
	var f *wire.Fail
	if errors.As(err, &f) && !f.Started {
		return offload.NotStarted
	}
	return offload.Unknown
}

// counted counts the bytes read through it.
type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

var (
	buffers = sync.Pool{New: func() any { return new([]byte) }}
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
)
