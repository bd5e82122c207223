package executor

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Turns shares cores between the calls of tenants. A free core goes to the waiting
// tenant that has had the least time on a core, in proportion to the tenants' weights. A
// guest that runs long gives up its core to such a tenant, where its engine can suspend
// it. So a tenant whose guests never end takes only time that others leave idle. All
// calls of a tenant must use the same Turns.
type Turns struct {
	mu      sync.Mutex
	free    int
	running []*Turn // that hold a core
	waiting []*Turn // in the order they came
	nobody  Tenant  // of calls that have no tenant
	floor   time.Duration
}

// NewTurns returns the turns of n cores. Zero means GOMAXPROCS.
func NewTurns(n int) *Turns {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return &Turns{free: n}
}

// A Turn is the right of a call to a core. It belongs to one goroutine.
type Turn struct {
	turns  *Turns
	tenant *Tenant
	ready  chan struct{} // capacity 1: the core has been given to it

	// Guarded by turns.mu.
	held   bool
	began  time.Time // when it got the core
	since  time.Time // when it was last charged for it
	wanted func()    // see OnWanted
}

// OnWanted sets a function that is called when another call begins to wait while u has
// a core. An engine then lets its guest yield at once; its clock would tick late while
// all cores are busy. wanted is called on any goroutine, and must not block. Nil removes
// it.
func (u *Turn) OnWanted(wanted func()) {
	u.turns.mu.Lock()
	u.wanted = wanted
	u.turns.mu.Unlock()
}

// Take waits for a core for tenant and returns the turn that has it. When ctx ends
// first it returns its cause. tenant may be nil.
func (t *Turns) Take(ctx context.Context, tenant *Tenant) (*Turn, error) {
	if tenant == nil {
		tenant = &t.nobody
	}
	u := &Turn{turns: t, tenant: tenant, ready: make(chan struct{}, 1)}
	return u, u.wait(ctx)
}

// Yield gives the core to a waiting tenant that has had less time, and waits to get a
// core again. It keeps the core when no such tenant waits, and as long as this turn has
// had the core for less than 10 ms and that tenant is less than 10 ms behind. It returns
// false when ctx ended meanwhile; u has no core then.
func (u *Turn) Yield(ctx context.Context) bool {
	t := u.turns
	t.mu.Lock()
	u.charge()
	if !u.held || !u.yields(t.next()) {
		held := u.held
		t.mu.Unlock()
		return held
	}
	u.join() // before it leaves: it wants a core all the time
	u.leave()
	t.mu.Unlock()
	return u.await(ctx) == nil
}

// slice is the time on a core within which short calls do not interrupt each other: two
// of 5 ms are done sooner one after the other.
const slice = 10 * time.Millisecond

// yields says whether u, which has a core, gives it up for next. turns.mu is held.
func (u *Turn) yields(next *Turn) bool {
	if next == nil || next.tenant.served > u.tenant.served {
		return false
	}
	return u.tenant.served-next.tenant.served >= slice || u.since.Sub(u.began) >= slice
}

// Done gives the core back, if u has one.
func (u *Turn) Done() {
	u.turns.mu.Lock()
	u.leave()
	u.turns.mu.Unlock()
}

// Aside gives up the core of the call that ctx belongs to, runs wait, and waits for a
// core again. Host functions run what needs no core in it, such as waiting for a network.
func Aside(ctx context.Context, wait func()) {
	c := CallOf(ctx)
	if c == nil || c.Turn == nil {
		wait()
		return
	}
	c.Turn.Done()
	wait()
	// Without a core, as ctx is over, the guest is about to be stopped.
	_ = c.Turn.wait(ctx)
}

// wait waits for a core.
func (u *Turn) wait(ctx context.Context) error {
	u.turns.mu.Lock()
	u.join()
	u.turns.assign()
	var tell []func()
	if !u.held {
		tell = u.turns.tell()
	}
	u.turns.mu.Unlock()
	for _, wanted := range tell {
		wanted()
	}
	return u.await(ctx)
}

// tell returns what tells those who have a core that it is wanted. turns.mu is held.
func (t *Turns) tell() []func() {
	var all []func()
	for _, r := range t.running {
		if r.wanted != nil {
			all = append(all, r.wanted)
		}
	}
	return all
}

// claim bounds the advantage of a tenant that was idle: its first 20 ms go before
// tenants that compute all the time, so that short calls are as fast beside them as
// alone. It saves up no more than that while it is idle.
const claim = 20 * time.Millisecond

// join adds u to those who wait. turns.mu is held.
func (u *Turn) join() {
	t := u.turns
	if len(t.waiting) == 0 {
		t.even(u.tenant)
	}
	u.tenant.served = max(u.tenant.served, t.floor-claim)
	t.waiting = append(t.waiting, u)
}

// even makes those equal who have a core, and tenant, which wants one: as nobody waits,
// none of them has lacked one. t.mu is held.
func (t *Turns) even(tenant *Tenant) {
	t.floor = max(t.floor, tenant.served)
	for _, r := range t.running {
		r.charge()
		t.floor = max(t.floor, r.tenant.served)
	}
	for _, r := range t.running {
		r.tenant.served = t.floor
	}
}

// await waits until a core has been given to u.
func (u *Turn) await(ctx context.Context) error {
	t := u.turns
	select {
	case <-u.ready: // so no timer is needed for ctx
		return nil
	default:
	}
	select {
	case <-u.ready:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting, u); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	} else { // it got a core just then
		<-u.ready
		u.leave()
	}
	return context.Cause(ctx)
}

// leave gives up the core it may have. turns.mu is held.
func (u *Turn) leave() {
	if !u.held {
		return
	}
	u.charge()
	u.held = false
	t := u.turns
	t.running = slices.DeleteFunc(t.running, func(r *Turn) bool { return r == u })
	t.free++
	t.assign()
}

// charge counts the time since the last charge. turns.mu is held.
func (u *Turn) charge() {
	if u.held {
		now := time.Now()
		u.tenant.served += now.Sub(u.since) / time.Duration(max(1, u.tenant.quota.Weight))
		u.since = now
	}
}

// assign gives free cores to those who wait. t.mu is held.
func (t *Turns) assign() {
	for t.free > 0 {
		u := t.next()
		if u == nil {
			return
		}
		t.floor = max(t.floor, u.tenant.served)
		t.waiting = slices.Delete(t.waiting, slices.Index(t.waiting, u), slices.Index(t.waiting, u)+1)
		t.free--
		t.running = append(t.running, u)
		u.held, u.began = true, time.Now()
		u.since = u.began
		u.ready <- struct{}{}
	}
}

// next returns who has the best claim to a core, nil when nobody waits. t.mu is held.
func (t *Turns) next() *Turn {
	var best *Turn
	for _, u := range t.waiting {
		if best == nil || u.tenant.served < best.tenant.served {
			best = u
		}
	}
	return best
}
