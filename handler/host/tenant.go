package host

import (
	"cmp"
	"errors"
	"maps"
	"slices"

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
	rules    capability.Rules
	queue    chan struct{} // one for each of its calls that runs or waits
	memory   *budget.Share // bytes held for its UEs
	channels *budget.Share // far endpoints of its channels
	peers    *budget.Share // its connections

	users int          // connections, sessions and modules; guarded by the handler's mu, as is
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
		rules := h.cfg.Policy.For(name)
		t = &tenant{
			Tenant: executor.NewTenant(name, rules.Quota), rules: rules,
			queue:    make(chan struct{}, h.cfg.Calls+h.cfg.Waiting),
			memory:   h.memory.Share(rules.Quota.Weight, rules.Quota.Buffers),
			channels: h.channels.Share(rules.Quota.Weight, bound(rules.Quota.Channels, h.cfg.Channels)),
			peers:    h.peers.Share(rules.Quota.Weight, bound(rules.Quota.Connections, h.cfg.Connections)),
		}
		t.Share(t.memory, h.room.Share(rules.Quota.Weight, cmp.Or(rules.Quota.Memory, h.cfg.InstanceMemory)))
		h.tenants[name] = t
	}
	t.users++
	return t
}

func (h *Handler) leave(t *tenant) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.users--; t.users == 0 {
		h.gone.Add(t.Bill())
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
	sessions := map[*tenant]int{}
	for _, s := range h.sessions {
		sessions[s.tenant]++
	}
	networks := h.networksLocked()
	var all []TenantStats
	for _, name := range slices.Sorted(maps.Keys(h.tenants)) {
		t := h.tenants[name]
		all = append(all, TenantStats{
			Name: name, Sessions: sessions[t], Channels: int(t.channels.Stats().Held), Waiting: len(t.queue),
			Holding: t.Holding(), Bill: t.Bill(), Network: networks[name],
			Memory: memoryStats(t.memory.Stats()),
		})
	}
	return all
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
