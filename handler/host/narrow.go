package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A narrowPool has a deployment's instances for calls under leases that allow an instance less memory than the module is
// granted: what limits an instance is decided when it is made. Sessions with the same limit share it.
type narrowPool struct {
	*executor.Pool
	users int    // calls; guarded by deployments.mu
	used  uint64 // the clock of the last use; guarded by deployments.mu
}

// maxNarrow bounds the narrow pools of a deployment, those aside that calls use: whoever has many leases with limits of their own makes
// instances anew, and the host keeps few.
const maxNarrow = 8

// within returns what an instance of d is made with where a lease limits its memory, 0 for no limit. most is that limit where it is
// the smaller one, else 0. As with policies, what a module asks for is never cut: it is refused.
func (d *deployment) within(limit int64) (cfg executor.InstanceConfig, most int64, err error) {
	cfg = d.instance
	if limit <= 0 || limit >= cfg.Limits.WithDefaults().Memory {
		return cfg, 0, nil
	}
	if asked := d.module.Manifest().Limits.Memory; asked > limit {
		return cfg, 0, beyondLease(limit, fmt.Sprintf("its module asks for %d", asked))
	}
	cfg.Limits.Memory = limit
	return cfg, limit, nil
}

// poolWithin returns the pool of d's for calls under a lease that limits memory, and most as within does. The caller calls done after the call.
func (ds *deployments) poolWithin(d *deployment, limit int64) (p *executor.Pool, most int64, done func(), err error) {
	cfg, most, err := d.within(limit)
	if err != nil || most == 0 {
		return d.pool, 0, func() {}, err
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	n := d.narrow[most]
	if n == nil {
		if d.narrow == nil {
			d.narrow = map[int64]*narrowPool{}
		}
		n = &narrowPool{Pool: executor.NewPool(d.module.Module, executor.PoolConfig{Size: ds.h.cfg.Calls, Instance: cfg, Turns: ds.h.turns})}
		d.narrow[most] = n
	}
	ds.clock++
	n.used = ds.clock
	n.users++
	return n.Pool, most, func() { ds.doneWithin(d, n) }, nil
}

// doneWithin counts a call less in a pool, and closes one that is too many.
func (ds *deployments) doneWithin(d *deployment, n *narrowPool) {
	ds.mu.Lock()
	n.users--
	old := d.oldestNarrowLocked()
	ds.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

// oldestNarrowLocked takes out the narrow pool that has been unused for longest, if there are too many, else it returns nil.
func (d *deployment) oldestNarrowLocked() (old *narrowPool) {
	if len(d.narrow) <= maxNarrow {
		return nil
	}
	var key int64
	for limit, n := range d.narrow {
		if n.users == 0 && (old == nil || n.used < old.used) {
			old, key = n, limit
		}
	}
	delete(d.narrow, key) // 0, which there is not, where calls use all
	return old
}

// warmWithin makes an instance for calls under a lease that limits memory, unless there is one, so that whoever placed the UE hears
// whether the module fits.
func (ds *deployments) warmWithin(ctx context.Context, t *tenant, m digest, limit int64) error {
	d, err := ds.get(ctx, t, m, ds.h.cfg.CallLimit)
	if err != nil {
		return err
	}
	defer ds.done(d)
	pool, most, done, err := ds.poolWithin(d, limit)
	if err != nil || most == 0 {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, d.deadline)
	defer cancel()
	return narrowed(pool.Warm(ctx, 1), most)
}

// narrowed returns err, of an instance whose memory a lease limits to most bytes, with the lease named where it is why. Zero is no
// limit.
func narrowed(err error, most int64) error {
	switch {
	case most == 0:
	case errors.Is(err, executor.ErrMemory):
		return fmt.Errorf("%w: the lease limits memory to %d bytes", err, most)
	case errors.Is(err, executor.ErrABI) && errors.Is(err, executor.ErrNotStarted): // it begins with more
		return beyondLease(most, err.Error())
	}
	return err
}

// beyondLease refuses what needs more memory than a lease allows.
func beyondLease(limit int64, why string) error {
	return &wire.Fail{Code: offload.CodeDenied, Text: fmt.Sprintf("the lease limits memory to %d bytes: %s; ask the manager for more", limit, why)}
}
