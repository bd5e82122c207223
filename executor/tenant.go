package executor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/capability"
)

// ErrQuota says that a tenant already holds what its quota allows. The error of a call
// that needed more is also ErrNotStarted.
var ErrQuota = errors.New("over the tenant's quota")

// A Tenant owns instances. It bounds what they hold together and sums up what their
// calls cost. It may be used by many goroutines.
type Tenant struct {
	name     string // constant
	party           // its weight is the quota's
	accounts level  // guarded by the Turns' mutex
	others   party  // of calls that belong to no account

	mu     sync.Mutex
	quota  capability.Quota
	budget Budget // of bytes outside instances; nil: none
	room   Budget // of instances' memory, beside the quota; nil: none
	vacate func(n int64) bool
	holds  Holding
	bill   Bill
	fuel   fuel
	pools  map[*Pool]struct{}

	closing int       // pools that are closing idle instances, whose memory still counts
	closed  sync.Cond // on mu: one of them has
}

// A Holding is what a tenant holds at a moment.
type Holding struct {
	Instances int
	Memory    int64 // the sum of the memory limits of its instances and of HoldMemory, in bytes
	Modules   int
}

// NewTenant returns a tenant that holds nothing.
func NewTenant(name string, quota capability.Quota) *Tenant {
	t := &Tenant{name: name, pools: map[*Pool]struct{}{}}
	t.closed.L = &t.mu
	t.SetQuota(quota)
	return t
}

// Name returns the name given to NewTenant.
func (t *Tenant) Name() string { return t.name }

// Quota returns the quota given to NewTenant, or the last one of SetQuota.
func (t *Tenant) Quota() capability.Quota {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.quota
}

// SetQuota changes the quota. What the tenant holds beyond it stays, and it gets nothing more
// until it holds less.
func (t *Tenant) SetQuota(quota capability.Quota) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.quota = quota
	t.weight.Store(int64(max(1, quota.Weight)))
	t.fuel.setRate(quota.FuelPerSecond, time.Now())
}

// Bill returns what all calls of the tenant's accounts cost so far.
func (t *Tenant) Bill() Bill {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bill
}

// Holding returns what the tenant holds now.
func (t *Tenant) Holding() Holding {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holds
}

// HoldModule counts one more module. It returns ErrQuota when the quota has no room.
func (t *Tenant) HoldModule() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if most := t.quota.Modules; most > 0 && t.holds.Modules >= most {
		return t.over("%d modules", most)
	}
	t.holds.Modules++
	return nil
}

// ReleaseModule counts one module less.
func (t *Tenant) ReleaseModule() {
	t.mu.Lock()
	t.holds.Modules--
	t.mu.Unlock()
}

// HoldInstance counts one more instance, whose memory is limited to memory bytes. Where there is
// no room for it, idle instances are closed, see [Tenant.Share]. It returns ErrQuota when that is of no
// use. Engines call it before they make an instance. t may be nil, which has no quota.
func (t *Tenant) HoldInstance(memory int64) error {
	if t == nil {
		return nil
	}
	for {
		err := t.holdInstance(memory)
		switch {
		case err == nil:
			return nil
		case t.awaitClosing():
		case errors.Is(err, errNoRoom) && t.vacate != nil && t.vacate(memory):
		case t.quota.Memory > 0 && memory > t.quota.Memory: // it never fits
			return err
		case !t.CloseIdle():
			return err
		}
	}
}

// awaitClosing waits until an idle instance of the tenant that is being closed is gone, and says whether there was one. That takes some ms, in which
// it counts: the tenant would be refused because of what makes room for others.
func (t *Tenant) awaitClosing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing == 0 {
		return false
	}
	t.closed.Wait()
	return true
}

// whileClosing runs f, which closes idle instances of the tenant.
func (t *Tenant) whileClosing(f func()) {
	if t == nil {
		f()
		return
	}
	t.mu.Lock()
	t.closing++
	t.mu.Unlock()
	f()
	t.mu.Lock()
	t.closing--
	t.closed.Broadcast()
	t.mu.Unlock()
}

// errNoRoom is the ErrQuota of a tenant that is within its quota, at a host that has no room.
var errNoRoom = fmt.Errorf("%w: the host has no room", ErrQuota)

func (t *Tenant) holdInstance(memory int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if most := t.quota.Instances; most > 0 && t.holds.Instances >= most {
		return t.over("%d instances", most)
	}
	if most := t.quota.Memory; most > 0 && t.holds.Memory+memory > most {
		return t.over("%d bytes of memory for all instances, of which %d are held and %d are asked for", most, t.holds.Memory, memory)
	}
	if t.room != nil && !t.room.Hold(memory) {
		return fmt.Errorf("%w for an instance of %d bytes beside the %d that tenant %q has", errNoRoom, memory, t.holds.Memory, t.name)
	}
	t.holds.Instances++
	t.holds.Memory += memory
	return nil
}

// ReleaseInstance counts one instance less. memory is that of HoldInstance.
func (t *Tenant) ReleaseInstance(memory int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.holds.Instances--
	t.holds.Memory -= memory
	if t.room != nil {
		t.room.Release(memory)
	}
	t.mu.Unlock()
}

// A Budget bounds bytes that a host holds for a tenant, so that tenants share what there is.
// Many goroutines use it at once; its methods do not block.
type Budget interface {
	// Hold counts n bytes more, at once, and says whether there is room for them.
	Hold(n int64) bool
	// Release counts n bytes less.
	Release(n int64)
}

// Share sets what bounds HoldMemory, and what bounds the memory limits of the tenant's
// instances, both beside its quota. Nil bounds nothing. Where instances has no room for n bytes, vacate
// may make some, by CloseIdle of whichever tenant, and says whether it did; nil makes none. Share is called
// before the tenant is used.
func (t *Tenant) Share(bytes, instances Budget, vacate func(n int64) bool) {
	t.mu.Lock()
	t.budget, t.room, t.vacate = bytes, instances, vacate
	t.mu.Unlock()
}

// HoldMemory counts n bytes that a host function is about to hold for an instance outside its
// memory: a context of an inference, a buffer. It returns ErrQuota when the quota or the
// host has no room for them. t may be nil, which has no quota.
func (t *Tenant) HoldMemory(n int64) error {
	if t == nil || n <= 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if most := t.quota.Memory; most > 0 && t.holds.Memory+n > most {
		return t.over("%d bytes of memory, of which %d are held and %d are asked for", most, t.holds.Memory, n)
	}
	if t.budget != nil && !t.budget.Hold(n) {
		return fmt.Errorf("%w: tenant %q finds no room for %d bytes more", ErrQuota, t.name, n)
	}
	t.holds.Memory += n
	return nil
}

// ReleaseMemory counts n bytes less. n is that of HoldMemory.
func (t *Tenant) ReleaseMemory(n int64) {
	if t == nil || n <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.holds.Memory -= n
	if t.budget != nil {
		t.budget.Release(n)
	}
}

func (t *Tenant) over(format string, args ...any) error {
	return fmt.Errorf("%w: tenant %q may have %s", ErrQuota, t.name, fmt.Sprintf(format, args...))
}

// Charge adds b to the tenant's bill, for work that belongs to none of its accounts. t
// may be nil, which nobody bills.
func (t *Tenant) Charge(b Bill) {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.bill.Add(b)
	t.fuel.use(b.Fuel, time.Now())
	t.mu.Unlock()
}

// errNoFuel is the ErrQuota of a tenant that has used up its fuel: it has to wait, as no
// instance that comes free is of use.
var errNoFuel = fmt.Errorf("%w of fuel", ErrQuota)

// Fuel returns the fuel that a call may use if it begins now, 0 for no bound. It
// returns ErrQuota when the tenant has none left. Engines call it before they start a
// metered instance, and before each call of it. t may be nil, which has no quota.
func (t *Tenant) Fuel() (uint64, error) {
	if t == nil {
		return 0, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quota.FuelPerSecond == 0 {
		return 0, nil
	}
	have, wait := t.fuel.have(time.Now())
	if have == 0 {
		return 0, fmt.Errorf("%w: tenant %q may have %d a second; come back in %v", errNoFuel, t.name, t.quota.FuelPerSecond, wait.Round(time.Millisecond))
	}
	return have, nil
}

// join and part tell the tenant of its pools.
func (t *Tenant) join(p *Pool) {
	if t != nil {
		t.mu.Lock()
		t.pools[p] = struct{}{}
		t.mu.Unlock()
	}
}

func (t *Tenant) part(p *Pool) {
	if t != nil {
		t.mu.Lock()
		delete(t.pools, p)
		t.mu.Unlock()
	}
}

// CloseIdle closes the instance in the tenant's pools that nobody has needed for longest, and says
// whether there was one that nobody uses.
func (t *Tenant) CloseIdle() bool {
	for {
		p, _ := t.idlest()
		if p == nil {
			return false
		}
		if p.closeIdle() { // else a call has just taken it
			return true
		}
	}
}

// IdleSince returns since when nobody needs the instance that CloseIdle would close, and whether
// there is one.
func (t *Tenant) IdleSince() (time.Time, bool) {
	p, since := t.idlest()
	return since, p != nil
}

// idlest returns the pool of the instance that has been idle for longest, or nil.
func (t *Tenant) idlest() (idlest *Pool, since time.Time) {
	t.mu.Lock()
	pools := slices.Collect(maps.Keys(t.pools))
	t.mu.Unlock()
	for _, p := range pools {
		if at, ok := p.idleSince(); ok && (idlest == nil || at.Before(since)) {
			idlest, since = p, at
		}
	}
	return idlest, since
}

// A fuel is a bucket that fills by rate a second and holds one second's worth.
// Calls that run at once may overdraw it; later ones wait until that is made good.
type fuel struct {
	rate  uint64
	level float64
	at    time.Time // of level; zero: never used, so full
}

// have returns the units of fuel in the bucket, and if it is empty, the wait until it is not.
func (f *fuel) have(now time.Time) (units uint64, wait time.Duration) {
	f.fill(now)
	if f.level < 1 {
		return 0, time.Duration((1 - f.level) / float64(f.rate) * float64(time.Second))
	}
	return uint64(f.level), 0
}

func (f *fuel) use(units uint64, now time.Time) {
	if f.rate > 0 {
		f.fill(now)
		f.level -= float64(units)
	}
}

// setRate changes the rate. What was overdrawn stays so.
func (f *fuel) setRate(rate uint64, now time.Time) {
	if f.rate == rate {
		return
	}
	if f.rate > 0 && !f.at.IsZero() {
		f.fill(now)
	} else {
		f.at = time.Time{} // it was not used, or not bounded: it is full
	}
	f.rate = rate
	f.level = min(f.level, float64(rate))
}

func (f *fuel) fill(now time.Time) {
	full := float64(f.rate)
	if f.at.IsZero() {
		f.level = full
	} else {
		f.level = min(full, f.level+full*now.Sub(f.at).Seconds())
	}
	f.at = now
}
