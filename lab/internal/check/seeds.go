package check

import (
	"context"
	"errors"
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
	// Parallel is how many run at once. Zero means one.
	Parallel int
	// Progress is told once a second how far it is. Nil is silent.
	Progress io.Writer

	// Counts are of all scripts.
	Counts Counts

	sabotage *sabotage
	next     atomic.Int64
	mu       sync.Mutex
	failure  *Failure
}

// Run runs the checker outside of tests, until ctx ends. It returns a [*Failure]
// for the first script that broke the contract, shrunk.
func (s *Seeds) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { s.next.Store(int64(s.N)) })()
	ok, says, err := runTest(func(t *testing.T) {
		stop := s.report()
		defer stop()
		t.Run("seeds", s.test)
	})
	switch {
	case s.failure != nil:
		return s.failure
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && !ok:
		return errors.New("the checker itself failed: " + says)
	}
	return err
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
	script := s.Script
	if script == nil {
		script = Generate(seed)
	}
	why := r.run(script)
	if why == "" {
		return true
	}
	r.t.Logf("seed %d failed and is being shrunk: %.2000s", seed, why)
	again := &runner{t: r.t, count: new(Counts), sabotage: r.sabotage}
	small, why := Shrink(script, why, again.run)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.failure = &Failure{Script: small, Why: fmt.Sprintf("seed %d: %s", seed, why)}
	}
	return false
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
