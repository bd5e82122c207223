package executor

import (
	"errors"
	"fmt"
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
	// Set by NewTenant, then constant.
	name  string
	quota capability.Quota

	mu     sync.Mutex
	budget Budget // of bytes outside instances; nil: none
	room   Budget // of instances' memory, beside the quota; nil: none
	holds  Holding
	bill   Bill
	fuel   fuel
	pools  map[*Pool]struct{}
	served time.Duration // time on a core over its weight; guarded by the Turns' mutex
}

// A Holding is what a tenant holds at a moment.
type Holding struct {
	Instances int
	Memory    int64 // the sum of the memory limits of its instances and of HoldMemory, in bytes
	Modules   int
}

// NewTenant returns a tenant that holds nothing.
func NewTenant(name string, quota capability.Quota) *Tenant {
	return &Tenant{name: name, quota: quota, pools: map[*Pool]struct{}{}, fuel: fuel{rate: quota.FuelPerSecond}}
}

// Name returns the name given to NewTenant.
func (t *Tenant) Name() string { return t.name }

// Quota returns the quota given to NewTenant.
func (t *Tenant) Quota() capability.Quota { return t.quota }

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

// HoldInstance counts one more instance, whose memory is limited to memory bytes. It
// returns ErrQuota when the quota has no room. Engines call it before they make an
// instance. t may be nil, which has no quota.
func (t *Tenant) HoldInstance(memory int64) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if most := t.quota.Instances; most > 0 && t.holds.Instances >= most {
		return t.over("%d instances", most)
	}
	if most := t.quota.Memory; most > 0 && t.holds.Memory+memory > most {
		return t.over("%d bytes of memory for all instances, of which %d are held and %d are asked for", most, t.holds.Memory, memory)
	}
	if t.room != nil && !t.room.Hold(memory) {
		return fmt.Errorf("%w: the host has no room for an instance of %d bytes beside the %d that tenant %q has", ErrQuota, memory, t.holds.Memory, t.name)
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
// instances, both beside its quota. Nil bounds nothing. It is called before the tenant is used.
func (t *Tenant) Share(bytes, instances Budget) {
	t.mu.Lock()
	t.budget, t.room = bytes, instances
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
	if t == nil || t.quota.FuelPerSecond == 0 {
		return 0, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
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

// reclaim closes an idle instance of another pool than p, and says whether it
// found one.
func (t *Tenant) reclaim(p *Pool) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	var others []*Pool
	for other := range t.pools {
		if other != p {
			others = append(others, other)
		}
	}
	t.mu.Unlock()
	for _, other := range others {
		if other.closeIdle() {
			return true
		}
	}
	return false
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

func (f *fuel) fill(now time.Time) {
	full := float64(f.rate)
	if f.at.IsZero() {
		f.level = full
	} else {
		f.level = min(full, f.level+full*now.Sub(f.at).Seconds())
	}
	f.at = now
}
