package host

import (
	"maps"
	"slices"
)

// Other is the name of the sum of the tenants that are not monitored by name.
const Other = "other"

// How many tenants are monitored by name, and how long their names may be together, in bytes: what names a
// tenant is a line for each thing that is told of it, and a page that is read each few seconds must
// stay small.
const (
	maxNamed      = 1000
	maxNamedBytes = 16 << 10
)

// names are the tenants that are monitored by name: those that came first, while they are there. The
// handler's mu guards it.
type names struct {
	count, bytes int
	left         TenantStats // counts of others that have left
}

// add says whether a tenant that comes is monitored by name until it leaves.
func (n *names) add(name string) bool {
	if name == Other || n.count >= maxNamed || n.bytes+len(name) > maxNamedBytes {
		return false
	}
	n.count++
	n.bytes += len(name)
	return true
}

// drop takes out a tenant that leaves.
func (n *names) drop(t *tenant) {
	if t.named {
		n.count--
		n.bytes -= len(t.Name())
		return
	}
	n.left.add(TenantStats{Bill: t.Bill(), Network: t.ended, Memory: refusedOf(memoryStats(t.memory.Stats()))})
}

// refusedOf returns the counts of m, which stay when the tenant has left.
func refusedOf(m MemoryStats) MemoryStats {
	return MemoryStats{TooMuch: m.TooMuch, Busy: m.Busy, Late: m.Late}
}

// add adds what another tenant has.
func (s *TenantStats) add(o TenantStats) {
	s.Sessions += o.Sessions
	s.Channels += o.Channels
	s.Waiting += o.Waiting
	s.Holding.Instances += o.Holding.Instances
	s.Holding.Memory += o.Holding.Memory
	s.Holding.Modules += o.Holding.Modules
	s.Bill.Add(o.Bill)
	s.Network.merge(o.Network)
	s.Memory.Most += o.Memory.Most
	s.Memory.Held += o.Memory.Held
	s.Memory.Waiting += o.Memory.Waiting
	s.Memory.TooMuch += o.Memory.TooMuch
	s.Memory.Busy += o.Memory.Busy
	s.Memory.Late += o.Memory.Late
}

// Monitored is what [Handler.Tenants] returns, bounded for monitoring: tenants by name, of which there
// are 1,000 at most with 16 KiB of names, in the order of these, and the sum of all others, which is called
// [Other], comes last. A tenant keeps its name as long as it is there. The counts of the sum never become
// less: those of its tenants that have left stay in it. It may hold more than a host may, since what each of
// its tenants may hold is summed up.
func (h *Handler) Monitored() []TenantStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	stats := h.statsLocked()
	all, other := make([]TenantStats, 0, h.names.count+1), h.names.left
	for _, name := range slices.Sorted(maps.Keys(h.tenants)) {
		if t := h.tenants[name]; t.named {
			all = append(all, stats(t))
		} else {
			other.add(stats(t))
		}
	}
	other.Name = Other
	return append(all, other)
}
