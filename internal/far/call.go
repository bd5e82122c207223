package far

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// calls answers the calls that come on st, one after another, until the UE ends the
// stream. A UE that resets it cancels the call under way. Between two calls the
// stream may be idle for any time, and holds a reader and no buffers.
func (s *Server) calls(ctx context.Context, st Stream) {
	r := readers.Get().(*bufio.Reader)
	r.Reset(st)
	defer func() { r.Reset(nil); readers.Put(r) }()
	for s.call(ctx, st, r) && s.awaitCall(ctx, st, r) {
	}
}

// readers have room for a call of 1 KB: one read brings type, header and request.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 1536) }}

// callBuffers are what a call needs. What they hold while they are used is leased by
// each call; between calls they are scratch that the garbage collector may take.
type callBuffers struct {
	request []byte
	lease   budget.Lease // of the request
	reply   Reply
}

var buffers = sync.Pool{New: func() any { return new(callBuffers) }}

// put lets go of what a call held.
func (b *callBuffers) put() {
	n, m := cap(b.request), cap(b.reply.Frame)
	if n > large {
		b.request = nil
	}
	if m > large {
		b.reply.Frame = nil
	}
	letGo(&b.lease, n)
	letGo(&b.reply.lease, m)
	buffers.Put(b)
}

// read reads a request of n bytes from r, which reads from st.
func (b *callBuffers) read(ctx context.Context, share *budget.Share, r io.Reader, st Stream, n int) (err error) {
	if b.lease, err = share.Acquire(ctx, int64(n)); err != nil {
		return overloaded(err, false)
	}
	if cap(b.request) < n {
		b.request = make([]byte, n)
	}
	b.request = b.request[:n]
	return wire.ReadPaced(r, st, b.request)
}

// A Reply takes the frame that answers a call.
type Reply struct {
	// Frame is the answer. Whoever appends to it has asked for room first.
	Frame []byte

	lease budget.Lease
}

// Room makes room for a frame of n bytes. It waits until the host has as much, and its
// error, a *wire.Fail, says that the guest function has run. Ask TryRoom first: a call that
// waits should have no core.
func (r *Reply) Room(ctx context.Context, n int) error {
	return r.room(n, r.lease.Grow(ctx, int64(n)))
}

// TryRoom is Room that does not wait.
func (r *Reply) TryRoom(n int) error { return r.room(n, r.lease.TryGrow(int64(n))) }

func (r *Reply) room(n int, err error) error {
	if err != nil {
		return overloaded(err, true)
	}
	if cap(r.Frame) < n {
		r.Frame = make([]byte, 0, n)
	}
	r.Frame = r.Frame[:0]
	return nil
}

// call answers a call, whose type has been read from r. It says whether another one
// may follow.
func (s *Server) call(ctx context.Context, st Stream, r *bufio.Reader) bool {
	buf := buffers.Get().(*callBuffers)
	defer buf.put()
	c, err := wire.ReadCall(r)
	if err == nil {
		err = buf.read(ctx, s.cfg.Memory, r, st, c.Size)
	}
	if err == nil {
		buf.reply.lease, buf.reply.Frame = s.cfg.Memory.Empty(), buf.reply.Frame[:0]
		err = s.cfg.Call(ctx, c, buf.request, &buf.reply)
	} else if !isNoRoom(err) {
		s.refuse(ctx, st, protocol("call: %v", err))
		return false
	} else if wire.SkipPaced(r, st, c.Size) != nil {
		st.Reset()
		return false
	}
	return s.reply(ctx, st, &buf.reply, err)
}

// isNoRoom says whether a request was not read for want of room.
func isNoRoom(err error) bool {
	var fail *wire.Fail
	return errors.As(err, &fail)
}

// reply sends the reply of a call, or its error. It says whether another call may follow.
func (s *Server) reply(ctx context.Context, st Stream, r *Reply, err error) bool {
	more := true
	if err != nil {
		fail := wire.FailOf(err)
		r.Frame = wire.AppendFail(r.Frame[:0], *fail)
		more = fail.Code != offload.CodeProtocol // this code tells the UE that the stream ends
	}
	if ctx.Err() == nil { // else the UE has cancelled the call
		if err = wire.WritePaced(st, r.Frame); err == nil {
			return more
		}
	}
	st.Reset()
	return false
}

// awaitCall waits for the next call and reads its type.
func (s *Server) awaitCall(ctx context.Context, st Stream, r *bufio.Reader) bool {
	st.SetReadDeadline(time.Time{})
	t, err := wire.ReadType(r)
	switch {
	case err == io.EOF:
		return false
	case err != nil:
		st.Reset()
		return false
	case t != wire.TypeCall:
		s.refuse(ctx, st, protocol("frame 0x%02x on a stream of calls", t))
		return false
	}
	st.SetReadDeadline(time.Now().Add(wire.FrameTimeout))
	return true
}
