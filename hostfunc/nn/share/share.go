// Package share shares the networks of an edge host between tenants and sessions.
//
// A [Backend] wraps another one. Computations wait here, not there, and so can be put
// in an order that is fair, and into batches:
//
//	b := share.New(onnxBackend, share.Config{Nets: 1})
//	cfg.Functions = append(cfg.Functions, host.Functions(b, grant.Models))
//
// # Fairness
//
// A network that comes free goes to the tenant that has been served least, as time
// of computation over its weight ([executor.Tenant].Quota), and there to who waits
// longest. Time at which a tenant wanted nothing does not count for it. Whose a
// computation is the session of its context says; all others are one tenant.
//
// # Batches
//
// Computations of one network that wait run as one batch, where the network can:
// [nn.BatchGraph]. They are not held back for it, but by Config.Window. A batch
// grows no further than the deadlines of all in it allow, by the times that batches
// took before. Its time is charged in equal parts.
//
// # What is not promised
//
// A computation that runs is not interrupted for another tenant's: the longest that
// one waits for its turn is one computation of another. One in a batch runs to
// its end, also when its context ends.
//
// # Concurrency
//
// A Backend may be used by many goroutines. It has none of its own: who gets a network
// computes for all of the batch. While a computation waits, its call's turn on a core is
// given up ([executor.Aside]).
package share

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// Config configures a [Backend]. The zero Config is ready to use.
type Config struct {
	// Nets is how many computations run at once, of all networks together: no more
	// than the wrapped backend runs of one. Zero means 1: a computation has all cores,
	// or the accelerator.
	Nets int
	// Window is how long a computation is held back so that others may join
	// it, where its deadline allows that. Zero means not at all: then a batch is made of
	// those that waited anyway.
	Window time.Duration
}

// Stats counts what a [Backend] did.
type Stats struct {
	Waiting  int           // computations, at this moment
	Computed uint64        // computations that ran
	Runs     uint64        // of a network: fewer than Computed where there were batches
	Busy     time.Duration // the sum of the runs' times
}

// A Backend is an [nn.Backend] that shares another's networks.
type Backend struct {
	// Set by New, then constant.
	inner  nn.Backend
	window time.Duration

	mu       sync.Mutex // leaf lock
	free     int        // computations that may begin
	waiting  []*job     // in the order they came
	accounts map[*executor.Tenant]*account
	floor    time.Duration // where accounts begin
	timer    *time.Timer   // for jobs that are held back; nil when there are none
	graphs   map[string]*graph
	stats    Stats
}

// New returns a backend that shares the networks of b, which it does not own.
func New(b nn.Backend, cfg Config) *Backend {
	return &Backend{
		inner: b, window: cfg.Window, free: max(cfg.Nets, 1),
		accounts: make(map[*executor.Tenant]*account), graphs: make(map[string]*graph),
	}
}

// Graph returns the graph that the wrapped backend has under name, shared.
func (b *Backend) Graph(name string) (nn.BackendGraph, error) {
	inner, err := b.inner.Graph(name)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.graphs[name]
	if g == nil {
		g = newGraph(b, inner)
		b.graphs[name] = g
	}
	return g, nil
}

// Find implements [nn.Finder], where the wrapped backend does.
func (b *Backend) Find(digest [sha256.Size]byte) (string, bool) {
	if f, ok := b.inner.(nn.Finder); ok {
		return f.Find(digest)
	}
	return "", false
}

// Stats returns what the backend did so far.
func (b *Backend) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Waiting = len(b.waiting)
	return s
}
