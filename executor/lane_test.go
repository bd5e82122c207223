package executor_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// A tenant far behind computes beside one that does not yield, and one at a time does. It has the core once that is free.
func TestFastLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		known := []*executor.Tenant{seen(t, turns, "quiet"), seen(t, turns, "second")}
		busy := take(t, turns, weighted("busy", 1))
		if c := busy.Contest(); c != (executor.Contest{}) {
			t.Errorf("alone: got %+v", c)
		}
		time.Sleep(time.Second)
		quiet := take(t, turns, known[0])
		if c := quiet.Contest(); c.Waiting != 1 || !c.Ahead || turns.InUse() != 1 {
			t.Errorf("beside the busy one: got %+v, and %d cores in use", c, turns.InUse())
		}
		if c := busy.Contest(); c.Waiting != 1 || c.Ahead {
			t.Errorf("the busy one: got %+v", c)
		}
		second := make(chan *executor.Turn, 1)
		go func() { second <- await(t, turns, known[1]) }()
		synctest.Wait()
		if len(second) != 0 {
			t.Error("two tenants have the fast lane of one core")
		}
		if !quiet.Yield(t.Context()) {
			t.Error("the first one lost it")
		}
		busy.Done() // so the first one has the core, and the second one the lane
		(<-second).Done()
		spare := turns.TakeSpare(nil, func() {})
		if spare != nil {
			t.Error("the core is free, though the first one has left the lane for it")
		}
		quiet.Done()
		take(t, turns, nil).Done()
	})
}

// Nobody computes beside a spare turn, which gives way at once.
func TestNoFastLaneBesideSpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		busy := take(t, turns, weighted("busy", 1))
		time.Sleep(time.Second)
		busy.Done()
		var spare *executor.Turn
		told := 0
		spare = turns.TakeSpare(nil, func() { told++ })
		go func() {
			synctest.Wait() // until the other one waits
			spare.Done()
		}()
		u := await(t, turns, weighted("quiet", 1))
		if told != 1 || turns.InUse() != 1 {
			t.Errorf("told %d times to give up, and %d turns; want once, and one", told, turns.InUse())
		}
		u.Done()
	})
}

// Who computes for long leaves the fast lane, and shares the core with the others.
func TestFastLaneIsForShortCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const span = 10 * time.Second
		turns := executor.NewTurns(1)
		u := take(t, turns, weighted("before", 1))
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		had := make([]time.Duration, 10)
		for i := range had {
			tenant := weighted("busy", 1)
			wg.Go(func() { had[i] = spin(t, turns, tenant, time.Hour, span) })
			synctest.Wait()
		}
		u.Done()
		wg.Wait()
		var sum time.Duration
		for _, d := range had {
			sum += d
			if d < span/12 {
				t.Errorf("one of ten had %v of %v", d, span)
			}
		}
		if sum > span+span/10 {
			t.Errorf("all had %v of a core in %v: the lane is a second core to them", sum, span)
		}
	})
}
