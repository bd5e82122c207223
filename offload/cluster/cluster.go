// Package cluster keeps which edge hosts there are, and whether they take sessions. It is the resource manager's part of
// the offload manager.
//
// A [Backend] says which hosts belong to the cluster, and what its operator wants of each: [Static] has a list, [Embedded]
// takes whoever proves to be an edge host. A [Registry] adds what the hosts themselves do: register, beat, go. From
// both comes the state of each host that package placement decides with.
//
//	r := cluster.New(cluster.Static("edge-1", "edge-2"), time.Second)
//	err := r.Register(now, "edge-1")
//	for _, c := range r.Tick(now) { // edge-2 is silent
//		...
//	}
//
// # Concurrency
//
// A Registry belongs to one goroutine; what time it is, its caller says. A Backend may be used by any number of them.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// A Want is what the operator wants of a host.
type Want int

// The wants. Zero is what hosts are for.
const (
	Serve  Want = iota
	Cordon      // keep its sessions, and take no more
	Drain       // let go of its sessions
)

// String returns "serve", "cordon" or "drain".
func (w Want) String() string {
	if w < Serve || w > Drain {
		return "unknown"
	}
	return [...]string{"serve", "cordon", "drain"}[w]
}

// A Member is a host that belongs to the cluster.
type Member struct {
	Name string
	Want Want
	By   time.Time // when a host that drains shall be empty; zero: at once
}

// ErrNoMember says that a host does not belong to the cluster.
var ErrNoMember = errors.New("it is no member of the cluster")

// MaxMembers bounds the hosts of a cluster.
const MaxMembers = 10_000

// A Backend says which hosts belong to the cluster. Its methods may be called by many goroutines at once.
// Implementations are checked by package clustertest.
type Backend interface {
	// Members returns the hosts that belong to the cluster, sorted by name. It returns at once: a backend that
	// watches something returns what it has seen last. The slice is the caller's.
	Members() []Member
	// Join says whether a host that has proved its name belongs to the cluster, and may add it. It returns at once.
	// The error is ErrNoMember, or says what is full.
	Join(name string) error
	// Set says what the operator wants of a member from now on. It may wait for a network until ctx ends. The error of
	// a host that is no member is ErrNoMember.
	Set(ctx context.Context, m Member) error
}

// A Forgetful is a Backend that forgets what the operator wants when the process ends. Who has kept that gives it back.
type Forgetful interface {
	Backend
	// Restore says what the operator wants of hosts, those that join later included.
	Restore(wants []Member)
}

// A list is a Backend in memory. What the operator wants is forgotten with the process.
type list struct {
	open bool // whoever comes belongs to it

	mu     sync.Mutex
	all    map[string]Member
	sorted []Member          // all, by name; nil: to be made again
	wanted map[string]Member // restored, of hosts that may join
}

// Static returns a Backend of these hosts and no others. It is [Forgetful].
func Static(names ...string) Backend {
	l := &list{all: map[string]Member{}}
	for _, n := range names {
		l.all[n] = Member{Name: n}
	}
	return l
}

// Embedded returns a Backend that every edge host belongs to from when it joins: one with a certificate of the authority, as
// those that a manager has in its own process. Those that are expected belong to it before. It is [Forgetful].
func Embedded(expected ...string) Backend {
	l := Static(expected...).(*list)
	l.open = true
	return l
}

// Members implements Backend.
func (l *list) Members() []Member {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sorted == nil {
		l.sorted = slices.SortedFunc(maps.Values(l.all), func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	}
	return slices.Clone(l.sorted)
}

// Join implements Backend.
func (l *list) Join(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch _, ok := l.all[name]; {
	case ok:
		return nil
	case !l.open:
		return fmt.Errorf("host %q: %w: the operator's list does not have it", name, ErrNoMember)
	case len(l.all) >= MaxMembers:
		return fmt.Errorf("host %q: the cluster has %d hosts, and may have no more", name, MaxMembers)
	}
	m, ok := l.wanted[name]
	if !ok {
		m = Member{Name: name}
	}
	l.all[name], l.sorted = m, nil
	return nil
}

// Restore implements Forgetful.
func (l *list) Restore(wants []Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted, l.sorted = map[string]Member{}, nil
	for _, m := range wants {
		l.wanted[m.Name] = m
		if _, ok := l.all[m.Name]; ok {
			l.all[m.Name] = m
		}
	}
}

// Set implements Backend.
func (l *list) Set(_ context.Context, m Member) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.all[m.Name]; !ok {
		return fmt.Errorf("host %q: %w", m.Name, ErrNoMember)
	}
	l.all[m.Name], l.sorted = m, nil
	return nil
}
