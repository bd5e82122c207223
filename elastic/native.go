package elastic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// A native is a far endpoint on the UE. All of its handling goes through handle: what a
// Handle does wrong stays within.
type native[In, Out any] struct {
	name  string
	grace time.Duration // after the channel's end
	live  *codegen.Live[In, Out]
	ctx   handleContext
	emit  func(Out) error // appends to outs

	outs   []Out         // that the message under way has emitted
	result handled[Out]  // of the last message
	gaveUp atomic.Uint64 // the message that the end of the channel gave up; 0: none
	at     Result[Out]   // what goes with its outcome
	then   func()        // is called when Handle has returned
	has    uint64        // the last message that it has handled; only while it is brought up
}

func (c *Channel[In, Out]) native(live *codegen.Live[In, Out]) *native[In, Out] {
	n := &native[In, Out]{name: c.ep.Name, live: live}
	n.ctx.channel, n.ctx.parent, n.ctx.limit = c, c.closing, max(c.cfg.Deadline, 0)
	n.grace = cmp.Or(n.ctx.limit, closeGrace)
	n.emit = func(out Out) error {
		n.outs = append(n.outs, out)
		return nil
	}
	return n
}

// A handled is what handling a message natively came to.
type handled[Out any] struct {
	outs []Out // valid until the next message
	err  error
	// broke says that err is the channel's and not Handle's own: the message broke the far
	// endpoint, whose state may be half changed.
	broke bool
}

// handle calls Handle, and then, which finds in result what that came to. It does so too when Handle
// panics or ends its goroutine. These, and an error after the deadline, break the far endpoint.
func (n *native[In, Out]) handle(in In, then func()) {
	clear(n.outs)
	n.outs, n.then = n.outs[:0], then
	n.result.err, n.result.broke = errGoexit, true // until Handle returns
	defer n.returned()
	err := n.live.Handle(&n.ctx, in, n.emit)
	n.result.err, n.result.broke = err, false
}

// returned is deferred by handle.
func (n *native[In, Out]) returned() {
	r := &n.result
	r.outs = n.outs
	if p := recover(); p != nil {
		*r = n.broken(offload.CodePanicked, offload.PanicError(abi.PanicLine(p)))
	} else if r.broke {
		*r = n.broken(offload.CodePanicked, errGoexit)
	} else if r.err != nil && n.ctx.late() {
		*r = n.broken(offload.CodeDeadline, r.err)
	}
	n.ctx.renew()
	n.then()
}

// errGoexit is the cause when Handle ends its goroutine.
var errGoexit = errors.New("its goroutine was ended by runtime.Goexit")

// broken is the outcome of a message that broke the far endpoint.
func (n *native[In, Out]) broken(code offload.Code, why error) handled[Out] {
	fate := offload.Ended
	if code == offload.CodeDeadline {
		fate = offload.Stopped
	}
	return handled[Out]{err: &offload.CallError{Func: n.name, Code: code, Fate: fate, Err: why}, broke: true}
}

// apart is handle in a goroutine of its own, which it leaves behind, with n, when Handle
// takes longer than limit, if that is not 0, or longer than n.grace after ctx has ended.
// Its result is then errLeft.
func (n *native[In, Out]) apart(ctx context.Context, in In, limit time.Duration) (h handled[Out]) {
	done := make(chan handled[Out], 1)
	go func() { // ends with Handle, which nobody can stop
		n.handle(in, func() { done <- n.result })
	}()
	over, cancel := never(limit)
	defer cancel()
	select {
	case h = <-done:
		return h
	case <-over:
	case <-ctx.Done():
		grace, cancel := never(n.grace)
		defer cancel()
		select {
		case h = <-done:
			return h
		case <-over:
		case <-grace:
		}
	}
	return n.left()
}

// closeGrace is how long a Handle without a deadline may take to return after the
// channel has ended.
const closeGrace = time.Second

// never returns a channel that is ready after d, or never if d is 0.
func never(d time.Duration) (ready <-chan time.Time, stop func()) {
	if d <= 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// errLeft says that a Handle was left behind.
var errLeft = fmt.Errorf("it has not returned, and was left behind: %w", offload.ErrDeadline)

func (n *native[In, Out]) left() handled[Out] { return n.broken(offload.CodeDeadline, errLeft) }

// handleEntry handles a message of the log apart.
//
// limit is the message's deadline, 0 for none. A Handle that ignores it has some time more: a UE may
// be slower than the hosts that the deadline is made for, and a late outcome is one.
func (c *Channel[In, Out]) handleEntry(ctx context.Context, n *native[In, Out], frame []byte, limit time.Duration) handled[Out] {
	in, err := c.readIn(frame[wire.MessageHeader:])
	if err != nil {
		return handled[Out]{err: err} // a host would answer the same
	}
	n.ctx.limit = limit
	h := n.apart(ctx, in, slowness*limit)
	if errors.Is(h.err, errLeft) {
		c.mu.Lock()
		c.stats.LeftBehind++
		c.mu.Unlock()
	}
	return h
}

// A handleContext is the context of one Handle after another on the UE: it ends with the channel,
// or at the deadline of a message, and has no values. The deadline counts from when Handle first asks for it,
// so that a Handle that does not ask costs nothing.
type handleContext struct {
	channel any             // whose Handle it is
	parent  context.Context // the channel's
	limit   time.Duration   // 0: none
	asked   atomic.Pointer[asked]
}

// An asked is the context of a Handle that asked for one.
type asked struct {
	context.Context
	cancel context.CancelFunc
}

// inner returns the context of the Handle under way.
func (h *handleContext) inner() *asked {
	if a := h.asked.Load(); a != nil {
		return a
	}
	a := new(asked)
	if h.limit > 0 {
		a.Context, a.cancel = context.WithTimeoutCause(h.parent, h.limit, offload.ErrDeadline)
	} else {
		a.Context, a.cancel = context.WithCancel(h.parent)
	}
	if !h.asked.CompareAndSwap(nil, a) {
		a.cancel()
		return h.inner()
	}
	return a
}

// Deadline implements context.Context.
func (h *handleContext) Deadline() (time.Time, bool) { return h.inner().Deadline() }

// Done implements context.Context.
func (h *handleContext) Done() <-chan struct{} { return h.inner().Done() }

// Err implements context.Context.
func (h *handleContext) Err() error { return h.inner().Err() }

// Value implements context.Context.
func (h *handleContext) Value(key any) any {
	if _, ok := key.(insideKey); ok {
		return h.channel
	}
	return h.inner().Value(key)
}

// late says whether the deadline of the Handle under way has passed.
func (h *handleContext) late() bool {
	a := h.asked.Load()
	return a != nil && errors.Is(context.Cause(a), offload.ErrDeadline)
}

// renew ends the context of the Handle that has returned.
func (h *handleContext) renew() {
	if a := h.asked.Load(); a != nil {
		h.asked.Store(nil)
		a.cancel()
	}
}

// insideKey asks a context for the channel whose Handle it was given to.
type insideKey struct{}

// inside says whether ctx comes from a Handle of this channel.
func (c *Channel[In, Out]) inside(ctx context.Context) bool { return ctx.Value(insideKey{}) == any(c) }

// misused says why ctx is of no use for a call that waits.
func (c *Channel[In, Out]) misused(ctx context.Context) error {
	switch {
	case ctx == nil:
		return errNoContext
	case c.inside(ctx):
		return errInside
	}
	return nil
}
