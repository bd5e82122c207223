// Package share shares the networks of an edge host between tenants and sessions.
//
// A [Backend] wraps another one. Computations wait in it, so that it can put them into a
// fair order, and into batches:
//
//	b := share.New(onnxBackend, share.Config{Nets: 1})
//	cfg.Functions = append(cfg.Functions, host.Functions(b, grant.Models))
//
// # Fairness
//
// A free network goes to the tenant that has had the least time of computation, divided
// by its weight ([executor.Tenant].Quota), and among the computations of that tenant to
// the one that waits longest. A tenant saves up nothing while it computes nothing. A
// computation belongs to the tenant of the call in its context; those without one belong
// to one tenant together.
//
// A spare run ([executor.SpareOf]) computes only where nobody waits for a network, and is told to end as soon as somebody does.
//
// # Batches
//
// Waiting computations of one network run as one batch, if it is an [nn.BatchGraph]. None
// is held back for that longer than Config.Window. A batch grows only as long as all
// computations in it are expected to meet their deadlines, by the times of earlier
// batches. Its time is charged to them in equal parts.
//
// # What is not promised
//
// A running computation is not interrupted for another tenant: the tenant whose turn it
// is waits until one computation of another ends. A computation in a batch, or on a backend that
// cannot stop one, runs to its end, even when its context ends earlier. Its caller does not
// wait for that, its tenant is charged for it, and its session is of no use until then.
//
// # Concurrency
//
// A Backend may be used by many goroutines. A run of a network has a goroutine of its own. A
// computation gives up the core of its call while it waits ([executor.Aside]).
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
	// Nets is how many computations, of all networks together, run at once. It must
	// not exceed how many of one network the wrapped backend runs at once. Zero means
	// 1: a computation has all cores, or the accelerator, to itself.
	Nets int
	// Window is how long a computation is held back for others to join it, if its
	// deadline allows that. Zero means not at all: a batch has only computations that
	// had to wait anyway.
	Window time.Duration
}

// Stats counts what a [Backend] did.
type Stats struct {
	Waiting  int           // computations that wait now
	Computed uint64        // computations that ran
	Runs     uint64        // runs of networks: fewer than Computed when there were batches
	Busy     time.Duration // the sum of the times of the runs
}

// A Backend is an [nn.Backend] that shares the networks of another one.
type Backend struct {
	// Set by New, then constant.
	inner  nn.Backend
	window time.Duration

	mu       sync.Mutex // leaf lock
	free     int        // computations that may begin
	waiting  []*job     // in the order they came
	accounts map[*executor.Tenant]*account
	floor    time.Duration // where accounts begin
	spares   []*job        // that run, and give way to who waits
	timer    *time.Timer   // for jobs that are held back; nil when there are none
	graphs   map[string]*graph
	stats    Stats
}

// New returns a backend that shares the networks of b. The caller closes b.
func New(b nn.Backend, cfg Config) *Backend {
	return &Backend{
		inner: b, window: cfg.Window, free: max(cfg.Nets, 1),
		accounts: make(map[*executor.Tenant]*account), graphs: make(map[string]*graph),
	}
}

// Graph returns the graph of that name of the wrapped backend, shared.
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

// Find implements [nn.Finder]. It finds nothing unless the wrapped backend is one.
func (b *Backend) Find(digest [sha256.Size]byte) (string, bool) {
	if f, ok := b.inner.(nn.Finder); ok {
		return f.Find(digest)
	}
	return "", false
}

// Stats returns the counts of the backend.
func (b *Backend) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Waiting = len(b.waiting)
	return s
}
