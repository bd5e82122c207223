package elastic

import (
	"context"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/offload"
)

// stallTimeout is how long a transfer of a state, or the host's work on one, may go without
// a sign of life. A transfer that moves on may take any time: a state of 1 MB takes 3 s at
// 3 Mbit/s. The host's part of it is bounded by its own limit for a guest function.
const stallTimeout = 5 * time.Second

// chunk is how much of a state is written at once: at 100 kbit/s it takes 1.3 s.
const chunk = 16 << 10

// A watched is a stream that is reset when ctx ends, or nothing moves on it for patience.
type watched struct {
	Stream
	ctx      context.Context
	patience time.Duration
	timer    *time.Timer
	detach   func() bool // from ctx
}

func watch(ctx context.Context, st Stream, patience time.Duration) watched {
	return watched{Stream: st, ctx: ctx, patience: patience, timer: time.AfterFunc(patience, st.Reset), detach: context.AfterFunc(ctx, st.Reset)}
}

// Read implements io.Reader.
func (w watched) Read(b []byte) (int, error) {
	n, err := w.Stream.Read(b)
	if n > 0 {
		w.moved()
	}
	return n, err
}

// Write implements io.Writer.
func (w watched) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		var k int
		k, err = w.Stream.Write(b[n:min(n+chunk, len(b))])
		n += k
		w.moved()
	}
	return n, err
}

// moved notes a sign of life.
func (w watched) moved() { w.timer.Reset(w.patience) }

// end ends the watch, once, and returns why the transfer failed. One that gave no err has failed all
// the same if the watch has reset the stream, or is about to.
func (w watched) end(err error) error {
	inTime, detached := w.timer.Stop(), w.detach()
	switch {
	case !inTime:
		return fmt.Errorf("nothing moved for %v: %w", w.patience, offload.ErrDeadline)
	case !detached:
		return context.Cause(w.ctx)
	case err == nil:
		return nil
	}
	return explain(err)
}
