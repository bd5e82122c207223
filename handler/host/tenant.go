package host

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A tenant owns connections, sessions and modules. Its name is the one that the UE's
// certificate proves; its rules come from the policy. The handler forgets a tenant that has
// none of these.
type tenant struct {
	*executor.Tenant
	rules    atomic.Pointer[capability.Rules] // another one after each SetPolicy
	queue    chan struct{}                    // one for each of its calls that runs or waits
	memory   *budget.Share                    // bytes held for its UEs
	room     *budget.Share                    // memory limits of its instances
	channels *budget.Share                    // far endpoints of its channels
	peers    *budget.Share                    // its connections
	refused  *rate.Limiter                    // refusals that it is told of at once
	purse    *purse                           // what the host may do for it outside turns

	named bool         // it is monitored by name; guarded by the handler's mu, as are
	users int          // connections, sessions and modules
	ended NetworkStats // the counts of its connections that have ended
}

// enter returns the tenant of that name and counts one more user of it. The
// caller calls leave at the end of that.
func (h *Handler) enter(name string) *tenant {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.enterLocked(name)
}

func (h *Handler) enterLocked(name string) *tenant {
	t := h.tenants[name]
	if t == nil {
		t = &tenant{
			Tenant: executor.NewTenant(name, capability.Quota{}),
			queue:  make(chan struct{}, h.cfg.Calls+h.cfg.Waiting),
			memory: h.memory.Share(0, 0), room: h.room.Share(0, 0), channels: h.channels.Share(0, 0), peers: h.peers.Share(0, 0),
			refused: rate.NewLimiter(refusalsPerSecond, refusalsAtOnce), purse: newPurse(),
		}
		t.Share(t.memory, firstRoom{t.room}, func(n int64) bool { return h.vacate(t, n) })
		t.obey(&h.cfg, h.policy.For(name))
		t.named = h.names.add(name)
		h.tenants[name] = t
	}
	t.users++
	return t
}

// obey gives the tenant the rules of a policy.
func (t *tenant) obey(cfg *Config, rules capability.Rules) {
	q := rules.Quota
	t.rules.Store(&rules)
	t.SetQuota(q)
	t.memory.Set(q.Weight, q.Buffers)
	t.room.Set(q.Weight, cmp.Or(q.Memory, cfg.InstanceMemory))
	t.channels.Set(q.Weight, bound(q.Channels, cfg.Channels))
	t.peers.Set(q.Weight, bound(q.Connections, cfg.Connections))
}

func (h *Handler) leave(t *tenant) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.users--; t.users == 0 {
		h.gone.Add(t.Bill())
		h.names.drop(t)
		delete(h.tenants, t.Name())
	}
}

// bound returns the smaller one of quota and most. A quota of zero does not bound.
func bound(quota, most int) int64 {
	if quota > 0 {
		most = min(quota, most)
	}
	return int64(most)
}

// denied returns the Fail of a module that asks for what its tenant is not granted,
// or of a tenant that has as much as it may; nil for other errors.
func denied(err error) *wire.Fail {
	var refusal *capability.Refusal
	switch {
	case errors.As(err, &refusal):
		return &wire.Fail{Code: offload.CodeDenied, Text: err.Error()}
	case errors.Is(err, executor.ErrQuota):
		return &wire.Fail{Code: offload.CodeOverloaded, Text: err.Error()}
	}
	return nil
}

// TenantStats are what a tenant has and what its calls cost.
type TenantStats struct {
	Name     string
	Sessions int // of UEs
	Channels int // far endpoints
	Waiting  int // calls that run or wait
	Holding  executor.Holding
	Bill     executor.Bill
	Network  NetworkStats
	Memory   MemoryStats
}

// Tenants returns the tenants that have a connection, a session or a module, in the order of
// their names.
func (h *Handler) Tenants() []TenantStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]TenantStats, 0, len(h.tenants))
	stats := h.statsLocked()
	for _, name := range slices.Sorted(maps.Keys(h.tenants)) {
		all = append(all, stats(h.tenants[name]))
	}
	return all
}

// statsLocked returns a function that returns a tenant's.
func (h *Handler) statsLocked() func(*tenant) TenantStats {
	sessions := map[*tenant]int{}
	for _, s := range h.sessions {
		sessions[s.tenant]++
	}
	networks := h.networksLocked()
	return func(t *tenant) TenantStats {
		return TenantStats{
			Name: t.Name(), Sessions: sessions[t], Channels: int(t.channels.Stats().Held), Waiting: len(t.queue),
			Holding: t.Holding(), Bill: t.Bill(), Network: networks[t.Name()],
			Memory: memoryStats(t.memory.Stats()),
		}
	}
}

// Bill returns what all calls cost, also those of tenants that have left.
func (h *Handler) Bill() executor.Bill {
	h.mu.Lock()
	defer h.mu.Unlock()
	sum := h.gone
	for _, t := range h.tenants {
		sum.Add(t.Bill())
	}
	return sum
}
