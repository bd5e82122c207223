package host

import (
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// NetworkStats are what a tenant's connections know of their networks, of what the host
// sends where nothing else is said. Counts include those of connections that have ended
// while the tenant had another one.
type NetworkStats struct {
	Connections int
	RTT         time.Duration // the mean of the connections' smoothed RTTs
	Jitter      time.Duration // the mean of their mean deviations

	PacketsSent, PacketsLost uint64
	BytesSent, BytesReceived uint64
	Delivered                uint64 // bytes sent and not lost; its growth is the delivered rate
}

// count adds the counts of a connection.
func (n *NetworkStats) count(m link.Metrics) {
	n.PacketsSent += m.PacketsSent
	n.PacketsLost += m.PacketsLost
	n.BytesSent += m.BytesSent
	n.BytesReceived += m.BytesReceived
	n.Delivered += m.Delivered()
}

// merge adds another tenant's. The means are those of all connections.
func (n *NetworkStats) merge(o NetworkStats) {
	mine, others := time.Duration(n.Connections), time.Duration(o.Connections)
	if all := mine + others; all > 0 {
		n.RTT = (n.RTT*mine + o.RTT*others) / all
		n.Jitter = (n.Jitter*mine + o.Jitter*others) / all
	}
	n.Connections += o.Connections
	n.PacketsSent += o.PacketsSent
	n.PacketsLost += o.PacketsLost
	n.BytesSent += o.BytesSent
	n.BytesReceived += o.BytesReceived
	n.Delivered += o.Delivered
}

// networksLocked returns the networks of the tenants by their names.
func (h *Handler) networksLocked() map[string]NetworkStats {
	all := map[string]NetworkStats{}
	for name, t := range h.tenants {
		all[name] = t.ended
	}
	for c := range h.conns {
		n, m := all[c.owner], c.link.Metrics()
		n.count(m)
		n.Connections++
		n.RTT += m.RTT
		n.Jitter += m.Jitter
		all[c.owner] = n
	}
	for name, n := range all {
		if k := time.Duration(n.Connections); k > 0 {
			n.RTT, n.Jitter = n.RTT/k, n.Jitter/k
			all[name] = n
		}
	}
	return all
}

// dropLocked takes out a connection that has ended.
func (h *Handler) dropLocked(c *conn) {
	delete(h.conns, c)
	if t := h.tenants[c.owner]; t != nil {
		t.ended.count(c.link.Metrics())
	}
}
