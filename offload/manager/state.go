package manager

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// state returns what the ledger knows, for people.
func (l *ledger) state(now time.Time) State {
	st := State{Epoch: l.start.epoch, Settled: l.settled}
	for _, c := range l.registry.Hosts() {
		x := Host{Name: c.Name, State: c.State.String(), Want: c.Want.String()}
		if h := l.hosts[c.Name]; h != nil {
			k := h.learned.Capacity()
			x.Addresses, x.Turns, x.Learned, x.Load, x.Version = h.register.Addresses, float64(h.register.Turns), k.Learned, k.Load, h.register.Version
			x.Sessions, x.Since = len(l.snapshot.On(c.Name)), now.Sub(h.since)
			x.Modules = h.services(now, k.Stretch)
		}
		st.Hosts = append(st.Hosts, x)
	}
	for _, s := range l.sorted() {
		st.Sessions = append(st.Sessions, Session{
			Tenant: s.key.ue.Tenant, UE: s.key.ue.Name, Number: s.key.n, State: s.state.String(), Module: short(s.ask.Module),
			Primary: hostOf(s.primary), Standby: hostOf(s.standby), Connected: s.peer != nil,
			Latency: s.decided.Predicted.Latency.Seconds() * 1e3, Why: s.last.Why,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(l.hosts)) {
		for _, le := range l.hosts[name].sorted() {
			st.Leases = append(st.Leases, Lease{ID: fmt.Sprintf("%x", le.ID), Host: name, Session: le.s.id, State: le.state.String(), Calls: le.calls})
		}
	}
	return st
}

// services returns what the modules take of which a host has told something, by digest.
func (h *host) services(now time.Time, stretch float64) (all []Service) {
	for d := range h.modules {
		s := h.learned.Service(now, d)
		turn := s.Time.Seconds() * 1e3
		all = append(all, Service{Module: short(d), Turn: turn, Inference: turn * stretch, Probe: s.Probe.Seconds() * 1e3, Rate: s.Rate})
	}
	slices.SortFunc(all, func(a, b Service) int { return strings.Compare(a.Module, b.Module) })
	return all
}

// short returns the name of a module for people: the first 8 bytes of its digest.
func short(module [32]byte) string { return fmt.Sprintf("%x", module[:8]) }

// stats returns numbers for metrics.
func (l *ledger) stats() Stats {
	s := Stats{Counts: l.count, Epoch: l.start.epoch, Settled: l.settled, Hosts: map[string]int{}, Sessions: map[string]int{}, Leases: len(l.leases)}
	for _, h := range l.registry.Hosts() {
		s.Hosts[h.State.String()]++
	}
	for _, x := range l.sessions {
		s.Sessions[x.state.String()]++
	}
	for _, h := range l.hosts {
		s.Waiting += len(h.orders)
	}
	return s
}
