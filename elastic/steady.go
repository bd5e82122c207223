package elastic

import (
	"context"
	"fmt"
	"sync/atomic"
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
	stalled  *atomic.Bool
	detach   func() bool // from ctx
}

func watch(ctx context.Context, st Stream, patience time.Duration) watched {
	w := watched{Stream: st, ctx: ctx, patience: patience, stalled: new(atomic.Bool), detach: context.AfterFunc(ctx, st.Reset)}
	w.timer = time.AfterFunc(patience, func() {
		w.stalled.Store(true)
		st.Reset()
	})
	return w
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

// stop ends the watch.
func (w watched) stop() {
	w.timer.Stop()
	w.detach()
}

// explain says why the stream was reset, if it was the watch that did it.
func (w watched) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case w.stalled.Load():
		return fmt.Errorf("nothing moved for %v: %w", w.patience, offload.ErrDeadline)
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	}
	return explain(err)
}
