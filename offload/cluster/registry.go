package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/offload/placement"
)

// Missed is how many beats a host may miss before it is silent: one may be lost and one late.
const Missed = 3

// A Host is what is known of an edge host.
type Host struct {
	Name  string
	State placement.State
	Want  Want
	Since time.Time // when it came into this state
	By    time.Time // when a host that drains shall be empty; zero: at once
}

// A Change is that of a host's state.
type Change struct {
	Host     string
	From, To placement.State
}

// A Registry knows the state of each host. See the package's documentation.
type Registry struct {
	backend Backend
	beat    time.Duration
	hosts   map[string]*entry
}

// An entry is a host.
type entry struct {
	Host
	up     bool      // it has registered, and its connection has not ended since
	heard  time.Time // of it, last
	joined bool      // it has registered once
}

// New returns a registry of the backend's hosts, all of which are silent. They beat once in each interval, of which
// zero means a second.
func New(b Backend, interval time.Duration) *Registry {
	return &Registry{backend: b, beat: cmp.Or(interval, time.Second), hosts: map[string]*entry{}}
}

// Register takes note that a host has come, or come again. The error is the backend's.
func (r *Registry) Register(now time.Time, name string) error {
	if err := r.backend.Join(name); err != nil {
		return err
	}
	h := r.entry(now, name)
	h.up, h.joined, h.heard = true, true, now
	return nil
}

// Beat takes note of a sign of life of a host that has registered.
func (r *Registry) Beat(now time.Time, name string) {
	if h := r.hosts[name]; h != nil {
		h.heard = now
	}
}

// Gone takes note that a host's connection has ended: it is silent until it registers again.
func (r *Registry) Gone(name string) {
	if h := r.hosts[name]; h != nil {
		h.up = false
	}
}

func (r *Registry) entry(now time.Time, name string) *entry {
	h := r.hosts[name]
	if h == nil {
		h = &entry{Host: Host{Name: name, Since: now}}
		r.hosts[name] = h
	}
	return h
}

// Tick brings the states up to date, and returns those that have changed, by name. A host that is no member any longer is silent, and then
// forgotten.
func (r *Registry) Tick(now time.Time) (changes []Change) {
	members := r.backend.Members()
	for _, m := range members {
		h := r.entry(now, m.Name)
		h.Want, h.By = m.Want, m.By
		changes = h.change(now, h.next(now, m.Want, r.beat), changes)
	}
	if len(r.hosts) == len(members) { // so each is a member
		return changes
	}
	member := map[string]bool{}
	for _, m := range members {
		member[m.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(r.hosts)) {
		if !member[name] {
			changes = r.hosts[name].change(now, placement.Silent, changes)
			delete(r.hosts, name)
		}
	}
	return changes
}

// next returns the state of a member.
//
//	up, and heard of within 3 beats, and the operator wants it to serve -> ready
//	                                                        to cordon   -> cordoned
//	                                                        to drain    -> draining
//	else                                                                -> silent
func (h *entry) next(now time.Time, w Want, beat time.Duration) placement.State {
	switch {
	case !h.up || now.Sub(h.heard) > Missed*beat:
		return placement.Silent
	case w == Cordon:
		return placement.Cordoned
	case w == Drain:
		return placement.Draining
	}
	return placement.Ready
}

func (h *entry) change(now time.Time, to placement.State, changes []Change) []Change {
	if h.State == to {
		return changes
	}
	c := Change{h.Name, h.State, to}
	h.State, h.Since = to, now
	return append(changes, c)
}

// Host returns what is known of a host since the last Tick.
func (r *Registry) Host(name string) (Host, bool) {
	h := r.hosts[name]
	if h == nil {
		return Host{}, false
	}
	return h.Host, true
}

// Hosts returns all hosts, by name.
func (r *Registry) Hosts() []Host {
	var all []Host
	for _, name := range slices.Sorted(maps.Keys(r.hosts)) {
		all = append(all, r.hosts[name].Host)
	}
	return all
}

// Missing returns the members that have not registered yet, by name.
func (r *Registry) Missing() (names []string) {
	for _, m := range r.backend.Members() {
		if h := r.hosts[m.Name]; h == nil || !h.joined {
			names = append(names, m.Name)
		}
	}
	return names
}
