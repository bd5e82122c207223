package share

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// An account says what a tenant was served. Backend.mu guards it.
type account struct {
	weight time.Duration
	served time.Duration // over the weight
	jobs   int           // that wait or run
}

// A job is a computation that waits or runs.
type job struct {
	// Set by join, then constant.
	s        *session
	account  *account
	joined   time.Time
	deadline time.Time    // zero: none
	until    time.Time    // it is held back for others; zero: it is not
	wake     chan outcome // capacity 1: who wakes it does not wait for it
	giveUp   func()       // of a spare run; nil: it is none

	charged time.Duration // to its account, beforehand; Backend.mu guards it
	leads   bool          // it is the first of a batch, which it is to run; Backend.mu guards it
}

// An outcome is what a job waits for: to run a batch, of which it is the first, and then to hear
// how that went.
type outcome struct {
	batch  []*job
	err    error
	broken any // what the network panicked with, for the first
}

// join adds a computation of s. It returns nil where that is a spare run, and somebody has or wants a network.
func (b *Backend) join(ctx context.Context, s *session) *job {
	j := &job{s: s, joined: time.Now(), wake: make(chan outcome, 1), giveUp: executor.SpareOf(ctx)}
	j.deadline, _ = ctx.Deadline()
	b.mu.Lock()
	if j.giveUp != nil && (b.free == 0 || len(b.waiting) > 0) {
		b.mu.Unlock()
		return nil
	}
	j.account = b.accountLocked(executor.AccountOf(ctx))
	j.account.jobs++
	if j.giveUp == nil {
		j.until = b.untilLocked(j)
	} else {
		b.spares = append(b.spares, j)
	}
	b.waiting = append(b.waiting, j)
	b.assignLocked()
	var tell []*job
	if b.free == 0 && slices.Contains(b.waiting, j) {
		tell = slices.Clone(b.spares)
	}
	b.mu.Unlock()
	for _, spare := range tell {
		spare.giveUp()
	}
	return j
}

// accountLocked returns the account of the tenant of s. Time at which it had
// nothing to compute does not count for it.
func (b *Backend) accountLocked(s *executor.Account) *account {
	var tenant *executor.Tenant
	if s != nil {
		tenant = s.Tenant
	}
	a := b.accounts[tenant]
	if a == nil {
		// An account that says no more than a new one would is let go.
		maps.DeleteFunc(b.accounts, func(_ *executor.Tenant, a *account) bool { return a.jobs == 0 && a.served <= b.floor })
		a = &account{weight: 1}
		if tenant != nil {
			a.weight = time.Duration(max(tenant.Quota().Weight, 1))
		}
		b.accounts[tenant] = a
	}
	if a.jobs == 0 {
		a.served = max(a.served, b.floor)
	}
	return a
}

// untilLocked returns how long j is held back for others to join it: never so long
// that the largest batch would miss its deadline.
func (b *Backend) untilLocked(j *job) time.Time {
	g := j.s.g
	if b.window <= 0 || g.most == 1 {
		return time.Time{}
	}
	until := j.joined.Add(b.window)
	if j.deadline.IsZero() {
		return until
	}
	d, ok := g.expectLocked(g.most)
	if !ok {
		return time.Time{}
	}
	if last := j.deadline.Add(-d); last.Before(until) {
		return last
	}
	return until
}

// wait waits for j's turn, until ctx ends: then j leaves the queue. Where it has its turn by then, wait
// returns what result does, or a batch, whose other jobs count on it.
func (b *Backend) wait(ctx context.Context, j *job) outcome {
	select {
	case o := <-j.wake:
		return o
	case <-ctx.Done():
	}
	switch waited, leads := b.withdraw(j); {
	case waited:
		return outcome{err: context.Cause(ctx)}
	case leads:
		return <-j.wake
	}
	return j.result(ctx)
}

// grace is how long a computation may take to stop once its context has ended.
const grace = 5 * time.Millisecond

// result waits for the end of a computation that runs, or until ctx has ended and it does not stop.
func (j *job) result(ctx context.Context) outcome {
	select {
	case o := <-j.wake:
		return o
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case o := <-j.wake:
		return o
	case <-late.C:
		return outcome{err: context.Cause(ctx)}
	}
}

// withdraw takes j out of the queue, and says whether it was there, and if not, whether it is
// the first of a batch.
func (b *Backend) withdraw(j *job) (waited, leads bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, j)
	if i < 0 {
		return false, j.leads
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	j.account.jobs--
	j.s.ended()
	b.assignLocked()
	return true, false
}

// assignLocked gives the networks that are free to those who wait.
func (b *Backend) assignLocked() {
	now := time.Now()
	for b.free > 0 {
		first := b.nextLocked(now)
		if first == nil {
			break
		}
		batch := b.batchLocked(first, now)
		b.waiting = slices.DeleteFunc(b.waiting, func(j *job) bool { return slices.Contains(batch, j) })
		b.free--
		b.floor = max(b.floor, first.account.served)
		b.beginLocked(batch, now)
		first.leads = true
		first.wake <- outcome{batch: batch}
	}
	b.scheduleLocked(now)
}

// nextLocked returns who has the best claim to a network, nil where nobody has.
func (b *Backend) nextLocked(now time.Time) *job {
	var best *job
	for _, j := range b.waiting {
		if (best == nil || j.account.served < best.account.served) && !b.heldLocked(j, now) {
			best = j
		}
	}
	return best
}

// heldLocked says whether j is held back: others may come yet.
func (b *Backend) heldLocked(j *job, now time.Time) bool {
	if !j.until.After(now) {
		return false
	}
	n := 0
	for _, other := range b.waiting {
		if other.s.g == j.s.g {
			n++
		}
	}
	return n < j.s.g.most
}

// batchLocked returns first and those who can be computed with it.
func (b *Backend) batchLocked(first *job, now time.Time) []*job {
	batch := []*job{first}
	g := first.s.g
	if g.most == 1 {
		return batch
	}
	others := slices.Clone(b.waiting)
	slices.SortStableFunc(others, func(x, y *job) int { return cmp.Compare(x.account.served, y.account.served) })
	for _, j := range others {
		if len(batch) == g.most {
			break
		}
		if j != first && j.s.g == g && inTimeLocked(g, append(batch, j), now) {
			batch = append(batch, j)
		}
	}
	return batch
}

// inTimeLocked says whether a batch meets the deadlines of all in it.
func inTimeLocked(g *graph, batch []*job, now time.Time) bool {
	d, ok := g.expectLocked(len(batch))
	end := now.Add(d)
	return !slices.ContainsFunc(batch, func(j *job) bool {
		return !j.deadline.IsZero() && (!ok || end.After(j.deadline))
	})
}

// beginLocked charges a batch what it is expected to take, so that a tenant with
// several networks at once pays for all of them.
func (b *Backend) beginLocked(batch []*job, now time.Time) {
	d, _ := batch[0].s.g.expectLocked(len(batch))
	for _, j := range batch {
		j.s.queue += now.Sub(j.joined)
		j.charged = d / time.Duration(len(batch)) / j.account.weight
		j.account.served += j.charged
	}
}

// scheduleLocked has those who are held back looked at again when the first of them is
// due.
func (b *Backend) scheduleLocked(now time.Time) {
	var next time.Time
	for _, j := range b.waiting {
		if j.until.After(now) && (next.IsZero() || j.until.Before(next)) {
			next = j.until
		}
	}
	switch {
	case next.IsZero() && b.timer != nil:
		b.timer.Stop()
	case next.IsZero():
	case b.timer == nil:
		b.timer = time.AfterFunc(next.Sub(now), b.due)
	default:
		b.timer.Reset(next.Sub(now))
	}
}

func (b *Backend) due() {
	b.mu.Lock()
	b.assignLocked()
	b.mu.Unlock()
}
