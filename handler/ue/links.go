package ue

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A Link is what one connection to an edge host knows of its network. Counts are since the
// connection began, of what the UE sends.
type Link struct {
	Host      string // the edge host's name
	Path      string // in use: "192.0.2.7:49152 > 198.51.100.1:4433", the UE's address first
	Transport string // "quic" or "tcp"

	RTT    time.Duration // smoothed; zero until it is measured on this path
	MinRTT time.Duration // the least on this path
	Jitter time.Duration // mean deviation of the RTT
	Window uint64        // bytes that may be under way: the congestion window

	Packets, Lost uint64 // that were sent, and of these lost
	// Delivered is how many bytes were sent and are not lost, those under way among them. Its
	// growth between two Stats, over the time between, is the delivered rate.
	Delivered uint64
}

// links returns the connections of all targets, in the order of their hosts' names.
func (h *Handler) links() (all []Link) {
	h.mu.Lock()
	targets := slices.Collect(maps.Values(h.targets))
	h.mu.Unlock()
	for _, t := range targets {
		if s := t.view.Load().sess; s != nil {
			all = append(all, s.links()...)
		}
	}
	slices.SortStableFunc(all, func(a, b Link) int { return cmp.Compare(a.Host, b.Host) })
	return all
}

func (s *session) links() (all []Link) {
	for _, st := range *s.strands.Load() {
		m := st.conn.Metrics()
		l := Link{
			Host: s.host, Path: s.addr.String(), Transport: m.Transport,
			RTT: m.RTT, MinRTT: m.MinRTT, Jitter: m.Jitter, Window: m.Window,
			Packets: m.PacketsSent, Lost: m.PacketsLost, Delivered: m.Delivered(),
		}
		if m.Local != nil {
			l.Path = m.Local.String() + " > " + l.Path
		}
		all = append(all, l)
	}
	return all
}
