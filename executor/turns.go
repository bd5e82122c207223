package executor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/cores"
)

// Turns shares cores between the calls of tenants. A free core goes to the waiting
// tenant that has had the least time on a core, in proportion to the tenants' weights. A
// guest that runs long gives up its core to such a tenant, where its engine can suspend
// it. So a tenant whose guests never end takes only time that others leave idle. A tenant that is far behind
// the others, as one of short calls is, need not wait for that: each core has a fast lane, in which one call
// of such a tenant computes beside the one that has the core. All
// calls of a tenant must use the same Turns. In the same way a tenant's accounts share what it has, to equal parts.
type Turns struct {
	mu      sync.Mutex
	free    int
	lanes   int     // fast lanes that are free
	running []*Turn // that hold a core, or a lane
	waiting []*Turn // in the order they came
	nobody  Tenant  // of calls that have no tenant
	tenants level
}

// NewTurns returns the turns of n cores. Zero means GOMAXPROCS.
func NewTurns(n int) *Turns {
	if n <= 0 {
		n = cores.N()
	}
	return &Turns{free: n, lanes: n}
}

// A Turn is the right of a call to a core. It belongs to one goroutine.
type Turn struct {
	turns  *Turns
	tenant *Tenant
	mine   *party        // of the account, among the tenant's
	ready  chan struct{} // capacity 1: the core has been given to it

	// Guarded by turns.mu.
	held   bool
	fast   bool          // what it holds is a fast lane
	had    time.Duration // charged since it got the core
	since  time.Time     // when it was last charged for it
	owed   time.Duration // charged since it was last settled
	wanted func()        // see OnWanted

	giveUp func() // of a spare turn, see TakeSpare; else nil; constant
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

// A Contest says who wants the core of a call besides it.
type Contest struct {
	// Waiting is how many calls have no core: they wait for one, or compute in a fast lane. If there is one, processor time
	// is to be charged, see [Turn.Settle].
	Waiting int
	// Ahead says that its tenant has had less than others by as much as lets it into a fast lane, so that its guest goes before theirs.
	Ahead bool
}

// Contest says who wants the core of a call now that has one.
func (u *Turn) Contest() Contest {
	t := u.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	c := Contest{Waiting: len(t.waiting), Ahead: t.tenants.behind(&u.tenant.party)}
	for _, r := range t.running {
		if r.fast {
			c.Waiting++
		}
	}
	return c
}

// Settle says how much processor time was used since the turn was taken or last settled. A core is charged by the clock while
// it is held, and who holds it may yet wait: for the operating system, which has other threads, or for Go's scheduler on the way back from a guest.
// That is given back, or a call of 1 ms that was held up for 200 ms would stand behind all others for seconds.
// An engine settles before each [Turn.Yield] and at the end of a call, at least of one that began in a [Contest].
func (u *Turn) Settle(used time.Duration) {
	u.turns.mu.Lock()
	defer u.turns.mu.Unlock()
	u.charge()
	if over := u.owed - used; over > 0 {
		u.tenant.charge(-over)
		u.mine.charge(-over)
		u.had -= over
	}
	u.owed = 0
}

// Take waits for a core for tenant, and the account of ctx, and returns the turn that has it. When ctx ends
// first it returns its cause. tenant may be nil.
func (t *Turns) Take(ctx context.Context, tenant *Tenant) (*Turn, error) {
	u := t.turn(tenant, AccountOf(ctx))
	return u, u.wait(ctx)
}

// turn returns a turn without a core. tenant and account may be nil; an account of another tenant does not count.
func (t *Turns) turn(tenant *Tenant, account *Account) *Turn {
	if tenant == nil {
		tenant = &t.nobody
	}
	u := &Turn{turns: t, tenant: tenant, mine: &tenant.others, ready: make(chan struct{}, 1)}
	if account != nil && account.Tenant == tenant {
		u.mine = &account.party
	}
	return u
}

// TakeSpare returns a turn for tenant if a core is free that nobody waits for, else nil. tenant may be nil. Once
// another call waits for a core, giveUp is called, on any goroutine: it must not block, and has the holder end. The turn
// never waits for a core, and [Turn.Yield] gives it to whoever waits.
func (t *Turns) TakeSpare(tenant *Tenant, giveUp func()) *Turn {
	u := t.turn(tenant, nil)
	u.giveUp = giveUp
	if !u.takeSpare() {
		return nil
	}
	return u
}

// SpareOf returns what has the spare run end that ctx belongs to, as [Turns.TakeSpare] has it, nil where ctx belongs to none. What
// calls wait for besides a core calls it once one does.
func SpareOf(ctx context.Context) (giveUp func()) {
	if c := CallOf(ctx); c != nil && c.Turn != nil {
		return c.Turn.giveUp
	}
	return nil
}

// takeSpare takes a core if one is free, for which nobody waits then.
func (u *Turn) takeSpare() bool {
	t := u.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free == 0 {
		return false
	}
	u.join()
	t.assign()
	<-u.ready
	return true
}

// InUse returns how many cores turns have at the moment, those aside that [Turns.TakeSpare] has returned: a call gets
// such a core at once.
func (t *Turns) InUse() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range t.running {
		if u.giveUp == nil && !u.fast {
			n++
		}
	}
	return n
}

// Yield gives the core to a waiting tenant that has had less time, or to a waiting account of its own tenant that has, and waits to get a
// core again. It keeps the core when none waits, and as long as this turn has
// had the core for less than a slice and that one is less than one behind: 10 ms over the calls that wait, 3 ms at least. It returns
// false when ctx ended meanwhile; u has no core then. A spare turn gives the core to whoever waits, and returns false. One in a fast lane leaves it
// for the line as soon as its tenant is no longer far behind.
func (u *Turn) Yield(ctx context.Context) bool {
	t := u.turns
	t.mu.Lock()
	u.charge()
	if u.giveUp != nil && u.held && t.next() != nil {
		u.leave()
		t.mu.Unlock()
		u.giveUp()
		return false
	}
	if !u.held || !u.slow() && !u.yields(t.next()) {
		held := u.held
		t.mu.Unlock()
		return held
	}
	u.join() // before it leaves: it wants a core all the time
	u.leave()
	t.mu.Unlock()
	return u.await(ctx) == nil
}

// A slice is the time on a core within which short calls do not interrupt each other: two
// of 5 ms are done sooner one after the other. Many that wait share it, so that who has just come is behind a step of each.
const (
	slice      = 10 * time.Millisecond
	leastSlice = 3 * time.Millisecond // a call of 1 ms ends within it though the network has most of the core
)

// sliceOf returns the slice while so many calls wait.
func sliceOf(waiting int) time.Duration { return max(leastSlice, slice/time.Duration(max(1, waiting))) }

// slow says whether u has a fast lane and has used up what let it in. turns.mu is held.
func (u *Turn) slow() bool { return u.fast && !u.turns.tenants.behind(&u.tenant.party) }

// yields says whether u, which has a core, gives it up for next. turns.mu is held.
func (u *Turn) yields(next *Turn) bool {
	if next == nil {
		return false
	}
	mine, other := &u.tenant.party, &next.tenant.party
	if mine == other {
		mine, other = u.mine, next.mine
	}
	if other.served > mine.served {
		return false
	}
	long := sliceOf(len(u.turns.waiting))
	return mine.served-other.served >= long || u.had >= long
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

// errWanted is why a spare turn has no core any more.
var errWanted = errors.New("others want the core")

// wait waits for a core. A spare turn has one at once, or gives up.
func (u *Turn) wait(ctx context.Context) error {
	if u.giveUp != nil {
		if u.takeSpare() {
			return nil
		}
		u.giveUp()
		return errWanted
	}
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
		if r.giveUp != nil {
			all = append(all, r.giveUp)
		}
		if r.wanted != nil {
			all = append(all, r.wanted)
		}
	}
	return all
}

// join adds u to those who wait. turns.mu is held.
func (u *Turn) join() {
	t := u.turns
	if len(t.waiting) == 0 {
		t.even(u)
	}
	if !slices.ContainsFunc(t.waiting, func(w *Turn) bool { return w.tenant == u.tenant }) {
		t.evenAccounts(u)
	}
	t.tenants.join(&u.tenant.party)
	u.tenant.accounts.join(u.mine)
	t.waiting = append(t.waiting, u)
}

// even has the tenants begin anew of those who have a core, and of u, which wants one: nobody waits. t.mu is held.
func (t *Turns) even(u *Turn) {
	all := []*party{&u.tenant.party}
	for _, r := range t.running {
		r.charge()
		all = append(all, &r.tenant.party)
	}
	t.tenants.even(all)
}

// evenAccounts does so with the accounts of u's tenant, of which nobody waits. t.mu is held.
func (t *Turns) evenAccounts(u *Turn) {
	all := []*party{u.mine}
	for _, r := range t.running {
		if r.tenant == u.tenant {
			r.charge()
			all = append(all, r.mine)
		}
	}
	u.tenant.accounts.even(all)
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
	if u.fast {
		u.fast = false
		t.lanes++
	} else {
		t.free++
	}
	t.assign()
}

// charge counts the time since the last charge. turns.mu is held.
func (u *Turn) charge() {
	if u.held {
		now := time.Now()
		held := now.Sub(u.since)
		u.tenant.charge(held)
		u.mine.charge(held)
		u.owed += held
		u.had += held
		u.since = now
	}
}

// assign gives free cores to those in fast lanes and to those who wait, and free lanes to those of them who are far
// behind. t.mu is held.
func (t *Turns) assign() {
	for _, r := range t.running {
		if t.free > 0 && r.fast {
			r.fast = false
			t.free--
			t.lanes++
		}
	}
	for {
		u := t.next()
		switch {
		case u == nil:
			return
		case t.free > 0:
			t.free--
		case t.lanes > 0 && t.tenants.behind(&u.tenant.party) && !t.hasSpare():
			t.lanes--
			u.fast = true
		default:
			return
		}
		t.give(u)
	}
}

// hasSpare says whether a core is one's of [Turns.TakeSpare], who is to end for whoever waits. t.mu is held.
func (t *Turns) hasSpare() bool {
	return slices.ContainsFunc(t.running, func(r *Turn) bool { return r.giveUp != nil })
}

// give gives u, which waits, what was taken for it. t.mu is held.
func (t *Turns) give(u *Turn) {
	t.tenants.serve(&u.tenant.party)
	u.tenant.accounts.serve(u.mine)
	i := slices.Index(t.waiting, u)
	t.waiting = slices.Delete(t.waiting, i, i+1)
	t.running = append(t.running, u)
	u.held, u.had, u.since = true, 0, time.Now()
	u.ready <- struct{}{}
}

// next returns who has the best claim to a core, nil when nobody waits: of the tenant that has had least, of the account of it
// that has had least, who came first. t.mu is held.
func (t *Turns) next() *Turn {
	var best *Turn
	for _, u := range t.waiting {
		switch {
		case best == nil, u.tenant.served < best.tenant.served,
			u.tenant == best.tenant && u.mine.served < best.mine.served:
			best = u
		}
	}
	return best
}
