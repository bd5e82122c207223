package host

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/far"
)

// leavePatience is how long a channel whose grant has changed may stay where it is: as long as one of a
// host that drains, by default.
const leavePatience = 10 * time.Second

// SetPolicy replaces the policy, for living tenants, too, while calls go on.
//
// Quotas hold at once: what a tenant has beyond a smaller one stays, and it gets nothing more until it
// has less. A call that runs or waits ends with what its module was granted before; each later one has
// the new grant. A module that its tenant may not run any more, or that asks for what it is not granted any
// more, is unloaded, and refused when the UE asks for it again. A channel whose module's grant has changed is
// told to move, as by a host that drains: its UE takes it, with its state, and may bring it back at once, to
// an instance with the new grant; after 10 s its instance is ended. A module whose tenant is metered now, or
// no more, is loaded anew.
//
// SetPolicy returns once all of this holds for new calls; channels may still be leaving.
func (h *Handler) SetPolicy(p *capability.Policy) {
	h.mu.Lock()
	h.policy = p
	for name, t := range h.tenants {
		t.obey(&h.cfg, p.For(name))
	}
	h.mu.Unlock()
	if h.deployed.regrant() {
		h.sendAway()
	}
}

// sendAway has the channels whose grants have changed leave.
func (h *Handler) sendAway() {
	retired := func(e far.Endpoint) bool { return h.deployed.isRetired(e.(*endpoint).d) }
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	for _, s := range h.sessions {
		h.wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), leavePatience)
			defer cancel()
			s.far.SendAway(ctx, "what its module may use has changed", retired)
		})
	}
}

// A shared is a module that deployments share: one, and those that it replaces until they are closed.
type shared struct {
	executor.Module
	metered bool
	users   int // deployments; guarded by deployments.mu

	// Set before the deployment is ready, then constant.
	probes  []capability.Probe // what it is to be probed with
	why     error              // why there are none, though its bytes have some
	release func()             // of the tenant's memory
}

// regrant has each module be granted what the policy says now, and says whether that retired one.
func (ds *deployments) regrant() (retired bool) {
	ds.mu.Lock()
	var stale []*deployment
	if ds.closed {
		ds.mu.Unlock()
		return false
	}
	for _, d := range ds.all {
		if d.isReady() && d.rules != d.tenant.rules.Load() { // a load under way looks itself
			stale = append(stale, d)
		}
	}
	ds.mu.Unlock()
	for _, d := range stale {
		if ds.replace(d) {
			retired = true
		}
	}
	return retired
}

// replace retires d if the policy grants its module anything else now, and puts a deployment of the same
// module in its place if it still grants what that asks for.
func (ds *deployments) replace(d *deployment) (retired bool) {
	rules := d.tenant.rules.Load()
	l, err := ds.h.link(d.tenant, rules, d.module.Manifest(), d.key.digest)
	ds.mu.Lock()
	if ds.closed || ds.all[d.key] != d { // it has made room, or was replaced
		ds.mu.Unlock()
		return false
	}
	keeps := err == nil && d.module.metered == rules.Meter
	if keeps && l.same(&d.linkage) {
		d.rules = rules
		ds.mu.Unlock()
		return false
	}
	if keeps {
		ds.all[d.key] = ds.successorLocked(d, l)
	} else {
		ds.forgetLocked(d)
	}
	d.retired = true
	unused := d.users == 0
	ds.mu.Unlock()
	if unused {
		ds.close(d)
	}
	return true
}

// successorLocked returns a deployment of d's module with linkage l. It makes its first instance when
// a call asks for one.
func (ds *deployments) successorLocked(d *deployment, l linkage) *deployment {
	d.module.users++
	return &deployment{
		key: d.key, tenant: ds.h.enter(d.tenant.Name()), ready: d.ready, module: d.module, linkage: l, used: d.used, stop: d.stop,
		pool: executor.NewPool(d.module.Module, executor.PoolConfig{Size: ds.h.cfg.Calls, Instance: l.instance, Turns: ds.h.turns}),
	}
}

// isRetired says whether d may be used no more.
func (ds *deployments) isRetired(d *deployment) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return d.retired
}

// relink grants a module that is being loaded what the policy says now.
func (d *deployment) relink(ctx context.Context, h *Handler) error {
	rules := d.tenant.rules.Load()
	d.pool.Close()
	err := error(nil)
	if d.module.metered != rules.Meter {
		err = noModule(d.key.digest) // its UE brings it again
	} else {
		err = d.open(ctx, h, rules)
	}
	if err != nil {
		d.module.Close()
		return badModule(err)
	}
	return nil
}
