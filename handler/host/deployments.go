package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

type digest = [sha256.Size]byte

// A deploymentKey names a module of a tenant. Two tenants with the same module share
// nothing of it.
type deploymentKey struct {
	tenant string
	digest digest
}

// deployments are the modules that are ready on this host, each with its pool of
// instances. When their number is at its limit, the one that has been unused for longest
// makes room, among those of the tenant that brings one and of tenants that have more than
// their share. The engine's cache still has its module when a UE asks for it again.
type deployments struct {
	h *Handler

	mu     sync.Mutex
	closed bool
	all    map[deploymentKey]*deployment
	clock  uint64         // counts uses
	wg     sync.WaitGroup // loads
}

// A deployment is a module of a tenant made ready on this host: loaded, and with a warm
// instance. It is being made until ready is closed; then err says whether it failed.
type deployment struct {
	key    deploymentKey
	tenant *tenant
	ready  chan struct{}
	err    error

	module *shared
	pool   *executor.Pool        // for calls; the far endpoints of channels have instances of their own
	narrow map[int64]*narrowPool // for calls under leases that allow an instance less memory, by that; guarded by deployments.mu
	linkage

	cold    bool                    // no instance is made when it is loaded: set before
	retired bool                    // it may be used no more and is closed by the last who does; guarded by deployments.mu
	users   int                     // guarded by deployments.mu
	used    uint64                  // the clock of the last use; guarded by deployments.mu
	want    int                     // who wait for it to be made; guarded by deployments.mu
	stop    context.CancelCauseFunc // ends its load
}

func newDeployments(h *Handler) *deployments {
	return &deployments{h: h, all: map[deploymentKey]*deployment{}}
}

func isNoModule(err error) bool {
	var f *wire.Fail
	return errors.As(err, &f) && f.Code == offload.CodeNoModule
}

// get returns the deployment of a module of t. While that is being made, get waits for at
// most limit. The caller calls done after its last use.
func (ds *deployments) get(ctx context.Context, t *tenant, m digest, limit time.Duration) (*deployment, error) {
	ds.mu.Lock()
	d := ds.all[deploymentKey{t.Name(), m}]
	if d == nil {
		ds.mu.Unlock()
		return nil, noModule(m)
	}
	ds.useLocked(d)
	d.want++
	ds.mu.Unlock()
	if !d.isReady() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if err := ds.await(ctx, d); err != nil {
		ds.done(d)
		return nil, err
	}
	return d, nil
}

func (ds *deployments) useLocked(d *deployment) {
	ds.clock++
	d.users++
	d.used = ds.clock
}

func (ds *deployments) done(d *deployment) {
	ds.mu.Lock()
	d.users--
	last := d.retired && d.users == 0
	ds.mu.Unlock()
	if last {
		ds.close(d)
	}
}

// has says whether a module is deployed, or being deployed.
func (ds *deployments) has(t *tenant, m digest) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.all[deploymentKey{t.Name(), m}] != nil
}

// have deploys a module from the engine's cache, unless it is deployed.
func (ds *deployments) have(ctx context.Context, t *tenant, m digest) error {
	_, err := ds.deploy(ctx, t, m, source{wasm: func() ([]byte, error) { return nil, noModule(m) }})
	return err
}

// haveSpare is have for who nobody waits for: it takes no other module's place, and no turn.
func (ds *deployments) haveSpare(ctx context.Context, t *tenant, m digest) error {
	_, err := ds.deploy(ctx, t, m, source{wasm: func() ([]byte, error) { return nil, noModule(m) }, spare: true})
	return err
}

// A source is where a load gets a module, and what is held for its bytes. The load lets go
// of that, since it may last longer than the request that began it.
type source struct {
	wasm  func() ([]byte, error)
	held  budget.Lease
	spare bool // the module takes no other's place, and its first call makes its first instance
}

// put deploys a module from its bytes, unless it is deployed, and lets go of held.
func (ds *deployments) put(ctx context.Context, t *tenant, m digest, wasm []byte, held budget.Lease) error {
	for {
		began, err := ds.deploy(ctx, t, m, source{wasm: func() ([]byte, error) { return wasm, nil }, held: held})
		switch {
		case !isNoModule(err):
			if !began {
				held.Discard()
			}
			return err
		case began:
			held = budget.Lease{} // the load has let go of it
		}
		// The load that this one waited for had no bytes, as a UE had only asked; or the policy says now that
		// the module is to be metered, or not. Load again.
	}
}

// deploy loads a module and warms one instance of it. It waits for a load under way,
// or begins one, which then owns src. A failed load leaves nothing, so that it can be tried
// again. A module that t may not run takes no other's place, and is not compiled.
func (ds *deployments) deploy(ctx context.Context, t *tenant, m digest, src source) (began bool, err error) {
	if err := t.rules.Load().Runs(m); err != nil {
		return false, denied(err)
	}
	key := deploymentKey{t.Name(), m}
	ds.mu.Lock()
	d := ds.all[key]
	var evicted *deployment
	if began = d == nil; began {
		if evicted, err = ds.roomLocked(t, src.spare); err == nil {
			d = &deployment{key: key, tenant: ds.h.enter(t.Name()), ready: make(chan struct{}), cold: src.spare}
			ds.all[key] = d
			ds.useLocked(d)
			ds.begin(d, src)
		}
	}
	if err == nil {
		d.want++
	}
	ds.mu.Unlock()
	ds.close(evicted)
	if err != nil {
		src.held.Discard()
		return began, err
	}
	return began, ds.await(ctx, d)
}

// errUnwanted is why a load ends that nobody waits for any more.
var errUnwanted = errors.New("no UE waits for the module any more")

// begin begins a load. It belongs to all who wait for it, not to the first UE, and ends
// with the last one's patience, or when the host drains.
func (ds *deployments) begin(d *deployment, src source) {
	ctx, stop := context.WithCancelCause(context.Background())
	d.stop = stop
	ds.wg.Go(func() { ds.load(ctx, d, src) })
	ds.wg.Go(func() {
		select {
		case <-d.ready:
			stop(nil)
		case <-ds.h.ended:
			stop(&wire.Fail{Code: offload.CodeDraining, Text: "while the module was being loaded"})
		}
	})
}

// await waits for the load of d, which the caller has counted in d.want. Who comes after a
// load has been ended begins another.
func (ds *deployments) await(ctx context.Context, d *deployment) error {
	err := d.wait(ctx)
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if d.want--; d.want == 0 && !d.isReady() {
		d.stop(errUnwanted)
		ds.forgetLocked(d)
	}
	return err
}

// forgetLocked lets nobody find d any more, unless nobody does.
func (ds *deployments) forgetLocked(d *deployment) {
	if ds.all[d.key] == d {
		delete(ds.all, d.key)
		d.tenant.ReleaseModule()
	}
}

func (d *deployment) isReady() bool {
	select {
	case <-d.ready:
		return true
	default:
		return false
	}
}

func (d *deployment) wait(ctx context.Context) error {
	select {
	case <-d.ready:
		return d.err
	case <-ctx.Done():
		return fmt.Errorf("%w: its module was being loaded: %w", executor.ErrNotStarted, context.Cause(ctx))
	}
}

// roomLocked counts one more module of t. It may take out a deployment that nobody
// uses, unless spare; the caller closes that, also when roomLocked fails.
func (ds *deployments) roomLocked(t *tenant, spare bool) (evicted *deployment, err error) {
	switch {
	case ds.closed:
		return nil, &wire.Fail{Code: offload.CodeDraining}
	case len(ds.all) >= ds.h.cfg.Modules:
		held := ds.heldLocked()
		evicted = ds.evictLocked(func(d *deployment) bool { return !spare && mayEvict(held, d.tenant.Name(), t.Name(), ds.h.cfg.Modules) })
		if evicted == nil {
			return nil, &wire.Fail{Code: offload.CodeOverloaded, Text: fmt.Sprintf("the host keeps %d modules, and all are in use or within their tenants' shares", ds.h.cfg.Modules)}
		}
	}
	err = t.HoldModule()
	if err != nil && evicted == nil && !spare {
		if evicted = ds.evictLocked(func(d *deployment) bool { return d.tenant.Tenant == t.Tenant }); evicted != nil {
			err = t.HoldModule()
		}
	}
	if err != nil {
		return evicted, denied(err)
	}
	return evicted, nil
}

// heldLocked returns how many modules each tenant has.
func (ds *deployments) heldLocked() map[string]int {
	held := map[string]int{}
	for k := range ds.all {
		held[k.tenant]++
	}
	return held
}

// mayEvict says whether a module of owner may make room for one of taker, on a host for so many
// modules: if it is taker's own, or if owner has more than an equal share. held has the modules
// of each tenant.
func mayEvict(held map[string]int, owner, taker string, modules int) bool {
	tenants := len(held)
	if held[taker] == 0 {
		tenants++
	}
	return owner == taker || held[owner] > max(1, modules/tenants)
}

// evictLocked takes out the deployment that has been unused for longest, among those that
// nobody uses and that may go. It returns nil when no deployment may.
func (ds *deployments) evictLocked(may func(*deployment) bool) *deployment {
	var oldest *deployment
	var key deploymentKey
	for k, d := range ds.all {
		if d.users == 0 && may(d) && (oldest == nil || d.used < oldest.used) {
			oldest, key = d, k
		}
	}
	if oldest != nil {
		delete(ds.all, key)
		oldest.tenant.ReleaseModule()
	}
	return oldest
}

func (ds *deployments) load(ctx context.Context, d *deployment, src source) {
	d.err = d.make(ctx, ds.h, d.key.digest, src.wasm)
	src.wasm = nil
	src.held.Discard()
	ds.mu.Lock()
	for d.err == nil && d.rules != d.tenant.rules.Load() { // SetPolicy came between
		ds.mu.Unlock()
		d.err = d.relink(ctx, ds.h)
		ds.mu.Lock()
	}
	d.users--
	unwanted := ds.all[d.key] != d
	if d.err != nil {
		ds.forgetLocked(d)
	}
	close(d.ready)
	ds.mu.Unlock()
	switch {
	case d.err != nil:
		ds.h.leave(d.tenant)
	case unwanted: // it was made just as the last who had waited left
		ds.close(d)
	}
	log := ds.h.cfg.Logger.With("tenant", d.key.tenant, "module", fmt.Sprintf("%x", d.key.digest[:6]))
	switch {
	case d.err == nil:
		log.Info("module is loaded")
	case !isNoModule(d.err):
		log.Info("module is not loaded", "why", d.err)
	}
}

// make compiles a module, or takes it from the cache, and makes one instance of it. It
// calls no guest function.
func (d *deployment) make(ctx context.Context, h *Handler, m digest, wasm func() ([]byte, error)) error {
	rules := d.tenant.rules.Load()
	begin := time.Now()
	var compiled atomic.Bool
	var bytes []byte // of the module, if the engine asks for them, else what it has kept of them
	src := executor.Source{
		Digest: m, Tenant: d.tenant.Name(), Meter: rules.Meter,
		Wasm: func() (b []byte, err error) {
			b, err = wasm()
			bytes = b
			return b, err
		},
		Charge: func(b executor.Bill) {
			compiled.Store(true)
			d.tenant.Charge(b)
		},
	}
	if h.managed != nil {
		src.Probes = func(only []byte) { bytes = only }
	}
	module, err := h.cfg.Engine.Load(ctx, src)
	if compiled.Load() {
		h.times.compile.add(time.Since(begin))
	}
	if err != nil {
		return badModule(err)
	}
	d.module = &shared{Module: module, metered: rules.Meter, users: 1}
	if bytes != nil && h.managed != nil {
		d.module.keepProbes(d.tenant, bytes)
	}
	if err := d.open(ctx, h, rules); err != nil {
		d.module.Close()
		return badModule(err)
	}
	return nil
}

// open makes the pool of d's module. The guest's own initialisation may take what a call may.
func (d *deployment) open(ctx context.Context, h *Handler, rules *capability.Rules) (err error) {
	if d.linkage, err = h.link(d.tenant, rules, d.module.Manifest(), d.key.digest); err != nil {
		return err
	}
	pool := executor.NewPool(d.module.Module, executor.PoolConfig{Size: h.cfg.Calls, Instance: d.instance, Turns: h.turns})
	ctx, cancel := context.WithTimeout(ctx, d.deadline)
	defer cancel()
	if !d.cold {
		err = pool.Warm(ctx, 1)
	}
	if err != nil {
		pool.Close()
		return err
	}
	d.pool = pool
	return nil
}

func noModule(m digest) error {
	return &wire.Fail{Code: offload.CodeNoModule, Text: fmt.Sprintf("%x", m)}
}

func badModule(err error) error {
	if isNoModule(err) {
		return err
	}
	if fail := denied(err); fail != nil {
		return fail
	}
	var fail *wire.Fail
	switch {
	case errors.As(err, &fail): // of the host, which drains
		return fail
	case errors.Is(err, executor.ErrTooLarge):
		return &wire.Fail{Code: offload.CodeTooLarge, Text: err.Error()}
	}
	return &wire.Fail{Code: offload.CodeBadModule, Text: err.Error()}
}

// close frees a deployment that has been taken out. Nobody uses it. Nil is none.
func (ds *deployments) close(d *deployment) {
	if d == nil {
		return
	}
	d.pool.Close()
	for _, p := range d.narrow {
		p.Close()
	}
	ds.mu.Lock()
	d.module.users--
	last := d.module.users == 0
	ds.mu.Unlock()
	if last {
		d.module.Close()
	}
	ds.h.leave(d.tenant)
}

// closeAll frees all deployments. No call is running any more.
func (ds *deployments) closeAll() {
	ds.mu.Lock()
	ds.closed = true
	ds.mu.Unlock()
	ds.wg.Wait()
	for k, d := range ds.all {
		delete(ds.all, k)
		d.tenant.ReleaseModule()
		ds.close(d)
	}
}
