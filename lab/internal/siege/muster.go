package siege

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// storms are the attacks that ask for new connections without end. They begin once all others have theirs: else they keep
// out attackers that need one, and a siege by all attacks is one by a few.
var storms = []string{"connections", "connections-tcp", "half-handshakes", "sessions", "handshakes", "initials"}

// A muster has attackers begin together, once each has its connections and its module. Nil lets each begin at once.
type muster struct {
	begun chan struct{} // closed by begin
	full  chan struct{} // closed once nobody is missing

	mu      sync.Mutex // leaf
	missing map[string]int
}

// newMuster returns one of attackers that make these attacks, each as often as it is named. It waits for no storms.
func newMuster(names []string) *muster {
	m := &muster{begun: make(chan struct{}), full: make(chan struct{}), missing: map[string]int{}}
	for _, name := range names {
		if !slices.Contains(storms, name) {
			m.missing[name]++
		}
	}
	if len(m.missing) == 0 {
		close(m.full)
	}
	return m
}

// enter notes that an attacker is ready to make the attack of this name.
func (m *muster) enter(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.missing[name] == 0 { // a storm
		return
	}
	if m.missing[name]--; m.missing[name] > 0 {
		return
	}
	if delete(m.missing, name); len(m.missing) == 0 {
		close(m.full)
	}
}

// begin lets all begin once nobody is missing, or ctx ends, and returns the attacks that lack attackers.
func (m *muster) begin(ctx context.Context) (missing []string) {
	select {
	case <-m.full:
	case <-ctx.Done():
	}
	close(m.begun)
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.missing))
}

// await waits until all begin, or ctx ends.
func (m *muster) await(ctx context.Context) {
	if m == nil {
		return
	}
	select {
	case <-m.begun:
	case <-ctx.Done():
	}
}
