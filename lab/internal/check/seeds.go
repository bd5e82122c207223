package check

import (
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Seeds is a run of the checker over the scripts of many seeds.
type Seeds struct {
	// N is the number of seeds, and First the first of them.
	N     int
	First uint64
	// Script, if not nil, is run N times instead.
	Script *Script
	// Adversary has the scripts of an adversary drawn.
	Adversary bool
	// TCP has the UE reach its hosts over TCP.
	TCP bool
	// Survey has all scripts run, whatever fails, and tells Findings.
	Survey bool
	// Parallel is how many run at once. Zero means one.
	Parallel int
	// Progress is told once a second how far it is. Nil is silent.
	Progress io.Writer

	// Counts are of all scripts.
	Counts Counts
	// Findings are of a Survey: a failure for each shape, in the order of their seeds.
	Findings []*Finding

	sabotage *sabotage
	next     atomic.Int64
	mu       sync.Mutex
	failure  *Failure
}

// test runs the scripts in parallel subtests of t.
func (s *Seeds) test(t *testing.T) {
	debug.SetTraceback("all")
	for i := range max(1, s.Parallel) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			r := &runner{t: t, count: &s.Counts, sabotage: s.sabotage}
			for s.one(r) {
			}
		})
	}
}

// one runs the next script. It returns false when all have run, or one has failed.
func (s *Seeds) one(r *runner) bool {
	n := s.next.Add(1)
	if n > int64(s.N) || s.failed() != nil {
		return false
	}
	s.Counts.Seeds.Add(1)
	return s.seed(s.First+uint64(n)-1, r)
}

// seed runs the script of a seed. Where the program panics, the argument of this
// function tells which seed it was.
//
//go:noinline
func (s *Seeds) seed(seed uint64, r *runner) (ok bool) {
	script := s.script(seed)
	why := r.run(script)
	if why == "" {
		return true
	}
	again := &runner{t: r.t, count: new(Counts), sabotage: r.sabotage}
	s.found(seed, script, why, again.run)
	return false
}

// script returns the script of a seed.
func (s *Seeds) script(seed uint64) *Script {
	if s.Script != nil {
		return s.Script
	}
	draw := Generate
	if s.Adversary {
		draw = Attack
	}
	script := draw(seed)
	script.TCP = s.TCP
	return script
}

// found shrinks a script that has failed. again runs one and says why it fails.
func (s *Seeds) found(seed uint64, script *Script, why string, again func(*Script) string) {
	small, why := Shrink(script, why, again)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.failure = &Failure{Script: small, Why: fmt.Sprintf("seed %d: %s", seed, why)}
	}
}

func (s *Seeds) failed() *Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// report tells Progress how far the run is until the function that it returns is
// called.
func (s *Seeds) report() (stop func()) {
	if s.Progress == nil {
		return func() {}
	}
	tick := time.NewTicker(time.Second)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(s.Progress, "\r%d of %d seeds", min(s.next.Load(), int64(s.N)), s.N)
			case <-quit:
				return
			}
		}
	})
	return func() {
		tick.Stop()
		close(quit)
		wg.Wait()
		fmt.Fprintln(s.Progress)
	}
}
