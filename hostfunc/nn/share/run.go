package share

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// errBroken is the error of computations whose batch broke off in a panic.
var errBroken = errors.New("share: the computation broke off")

// run computes a batch, and tells each job how that went. It has a goroutine of its own: whoever waits
// for it may give up.
func (b *Backend) run(ctx context.Context, batch []*job) {
	errs := make([]error, len(batch))
	for i := range errs {
		errs[i] = errBroken // unless it is known better
	}
	begin := time.Now()
	defer func() {
		broken := recover()
		b.finish(batch, time.Since(begin), errors.Join(errs...) == nil)
		for i, j := range batch {
			j.s.ended()
			o := outcome{err: errs[i]}
			if i == 0 {
				o.broken = broken
			}
			j.wake <- o
		}
	}()
	compute(ctx, batch, errs)
}

// compute computes a batch. Where that fails, each is computed alone: one of them
// must not spoil another's.
func compute(ctx context.Context, batch []*job, errs []error) {
	if len(batch) == 1 {
		errs[0] = batch[0].s.BackendSession.Compute(ctx)
		return
	}
	// The context is one of several.
	ctx = context.WithoutCancel(ctx)
	sessions := make([]nn.BackendSession, len(batch))
	for i, j := range batch {
		sessions[i] = j.s.BackendSession
	}
	if batch[0].s.g.batch.ComputeBatch(ctx, sessions) == nil {
		clear(errs)
		return
	}
	for i, s := range sessions {
		errs[i] = s.Compute(ctx)
	}
}

// finish gives the network back and charges for it.
func (b *Backend) finish(batch []*job, d time.Duration, good bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := time.Duration(len(batch))
	for _, j := range batch {
		j.account.served += d/n/j.account.weight - j.charged
		j.account.jobs--
		if i := slices.Index(b.spares, j); i >= 0 {
			b.spares = slices.Delete(b.spares, i, i+1)
		}
	}
	if good {
		batch[0].s.g.learnLocked(len(batch), d)
	}
	b.stats.Runs++
	b.stats.Computed += uint64(len(batch))
	b.stats.Busy += d
	b.free++
	b.assignLocked()
}
