package ue

import (
	"context"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
)

// A callStream carries calls to an edge host, one after another: opening one for each call
// would cost a small call a third of its time. Between calls its strand keeps it.
type callStream struct {
	link.Stream
	of   *strand
	size int // of the frame of the call under way

	timer *time.Timer   // resets the stream at the deadline; nil: none was set yet
	timed bool          // the timer is set
	limit time.Duration // that it was set to
	stop  func() bool   // ends the watch of the context of the call under way; nil: it never ends
}

// maxIdle is how many idle streams a connection keeps. A UE has seldom more calls of one
// host in flight, and each costs 1.6 KB here and 4 KB and a goroutine there.
const maxIdle = 16

// largeCall is the size from which frames are sent one after another, in the order of
// their calls: the first of two video frames then arrives in half the time, and the second
// no later. Packets of smaller frames go out between those of others. See link.Urgency.
const largeCall = 16 << 10

// borrow returns a stream for a call whose frame has size bytes: an idle one, or a new
// one on the connection whose turn it is.
func (s *session) borrow(ctx context.Context, by time.Time, size int) (*callStream, error) {
	strand := s.next()
	if st := strand.takeIdle(size); st != nil {
		return st, nil
	}
	if !by.IsZero() { // the host may allow no more streams for now
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, by, offload.ErrDeadline)
		defer cancel()
	}
	ls, err := strand.conn.Open(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, link.Explain(err)
	}
	st := &callStream{Stream: ls, of: strand}
	strand.sending(st, size)
	return st, nil
}

// takeIdle takes an idle stream for a frame of size bytes, nil when there is none. quic-go
// sends large frames in the order of their streams' numbers. So a large frame takes a
// stream whose number is higher than those of the large frames that are being sent.
func (s *strand) takeIdle(size int) *callStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return nil
	}
	at := len(s.idle) - 1
	if size >= largeCall {
		for i, st := range s.idle {
			if st.Number() > s.idle[at].Number() {
				at = i
			}
		}
		if s.large > 0 && s.idle[at].Number() < s.newest {
			return nil
		}
	}
	st := s.idle[at]
	s.idle = append(s.idle[:at], s.idle[at+1:]...)
	s.sendingLocked(st, size)
	return st
}

// sending takes note that a call whose frame has size bytes goes over st.
func (s *strand) sending(st *callStream, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendingLocked(st, size)
}

func (s *strand) sendingLocked(st *callStream, size int) {
	if st.size == 0 || (st.size >= largeCall) != (size >= largeCall) {
		st.SetPriority(link.Urgency(0), size < largeCall)
	}
	st.size = size
	if size >= largeCall {
		s.large++
		s.newest = max(s.newest, st.Number())
	}
}

// sentLocked takes note that the call over st has ended.
func (s *strand) sentLocked(st *callStream) {
	if st.size < largeCall {
		return
	}
	if s.large--; s.large == 0 {
		s.newest = 0
	}
}

// begin watches the call that begins: the stream is reset at its deadline, by, and at
// the end of ctx.
func (st *callStream) begin(ctx context.Context, by time.Time) {
	if !by.IsZero() {
		st.limit, st.timed = time.Until(by), true
		if st.timer == nil {
			st.timer = time.AfterFunc(st.limit, st.Reset)
		} else {
			st.timer.Reset(st.limit)
		}
	}
	if ctx.Done() != nil {
		st.stop = context.AfterFunc(ctx, st.Reset)
	}
}

// end ends the watch of begin, which had ctx. It returns why the stream was reset, nil if it was not.
func (st *callStream) end(ctx context.Context) (why error) {
	if st.timed && !st.timer.Stop() {
		why = fmt.Errorf("%w of %v", offload.ErrDeadline, st.limit.Round(time.Millisecond))
	}
	if st.stop != nil && !st.stop() {
		why = context.Cause(ctx)
	}
	st.timed, st.stop = false, nil
	return why
}

// giveBack keeps st for the next call.
func (st *callStream) giveBack() {
	s := st.of
	s.mu.Lock()
	s.sentLocked(st)
	full := len(s.idle) >= maxIdle
	if !full {
		s.idle = append(s.idle, st)
	}
	s.mu.Unlock()
	if full {
		st.Close()
		st.CloseRead() // nothing comes any more
	}
}

// drop resets st, so that the host stops its call, too.
func (st *callStream) drop() {
	st.of.mu.Lock()
	st.of.sentLocked(st)
	st.of.mu.Unlock()
	st.Reset()
}
