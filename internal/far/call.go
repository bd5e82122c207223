package far

import (
	"bufio"
	"context"
	"io"
	"sync"
	"time"

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

type callBuffers struct{ request, reply []byte }

var buffers = sync.Pool{New: func() any { return new(callBuffers) }}

// call answers a call, whose type has been read from r. It says whether another one
// may follow.
func (s *Server) call(ctx context.Context, st Stream, r *bufio.Reader) bool {
	buf := buffers.Get().(*callBuffers)
	defer buffers.Put(buf)
	c, err := wire.ReadCall(r)
	if err == nil {
		buf.request, err = wire.ReadPayload(r, buf.request, c.Size)
	}
	if err != nil {
		s.refuse(ctx, st, protocol("call: %v", err))
		return false
	}
	buf.reply, err = s.cfg.Call(ctx, c, buf.request, buf.reply[:0])
	more := true
	if err != nil {
		fail := wire.FailOf(err)
		buf.reply = wire.AppendFail(buf.reply[:0], *fail)
		more = fail.Code != offload.CodeProtocol // this code tells the UE that the stream ends
	}
	if ctx.Err() == nil { // else the UE has cancelled the call
		st.SetWriteDeadline(time.Now().Add(wire.FrameTimeout))
		if _, err = st.Write(buf.reply); err == nil {
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
