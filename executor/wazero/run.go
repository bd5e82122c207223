package wazero

import (
	"context"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// A run is the context of guest code between Begin and End. It has the values of
// the call's context, and ends with it when that is for its deadline, but
// [executor.CancelGrace] later when it was cancelled. wazero stops the guest then.
type run struct {
	context.Context                 // the call's
	values          context.Context // the call's, and what wazero is told by such
	instance        *instance
	done            chan struct{} // nil where the call's context never ends
	forget          func() bool

	mu    sync.Mutex
	over  bool
	why   error // that done is closed: ErrDeadline or ErrCanceled
	grace *time.Timer
}

func newRun(ctx context.Context, i *instance) *run {
	r := &run{Context: ctx, values: ctx, instance: i}
	if ctx.Done() != nil {
		r.done = make(chan struct{})
		r.forget = context.AfterFunc(ctx, r.ended)
	}
	return r
}

// Value implements [context.Context].
func (r *run) Value(key any) any { return r.values.Value(key) }

// Done implements [context.Context].
func (r *run) Done() <-chan struct{} { return r.done }

// Err implements [context.Context].
func (r *run) Err() error {
	switch r.stopped() {
	case nil:
		return nil
	case executor.ErrDeadline:
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// ended runs once the call's context has ended.
func (r *run) ended() {
	if r.Context.Err() == context.DeadlineExceeded {
		r.stop(executor.ErrDeadline)
		return
	}
	wait, why := executor.CancelGrace, executor.ErrCanceled
	if d, ok := r.Deadline(); ok && time.Until(d) < wait {
		wait, why = time.Until(d), executor.ErrDeadline
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.grace = time.AfterFunc(wait, func() { r.stop(why) })
	}
}

// stop ends the context, unless the run is over.
func (r *run) stop(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.why != nil {
		return
	}
	r.why = why
	close(r.done)
}

// stopped says why the context has ended. When it says nil after a call of guest
// code, that call has not been stopped, and will not be.
func (r *run) stopped() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why
}

// finish sees to it that nothing is stopped any more.
func (r *run) finish() {
	if r.forget != nil {
		r.forget()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.grace != nil {
		r.grace.Stop()
	}
}
