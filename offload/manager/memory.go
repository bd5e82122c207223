package manager

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// What the collector is told. A manager holds much that lives long, and makes little garbage beside it: to collect often costs less than
// to hold as much garbage again. A limit (GOMEMLIMIT) would not do: where more lives than it allows, Go does nothing but collect.
const (
	smallProcess = 208 << 20 // bytes that the process takes, garbage included, if what lives allows it
	mostGarbage  = 200       // percent of what lives, however small the process is
	leastGarbage = 50        // percent of what lives, however large it is: with 15 a third of the time was for collecting while 10,000 sessions came
	lookEvery    = time.Second
)

// LimitMemory has Go's collector keep a process small that is a manager and nothing else, until stop is called: in 208 MiB, or, where
// what lives needs more, in what that needs and a half. GOGC and GOMEMLIMIT in the environment are the operator's word and stay: then
// it does nothing.
func LimitMemory() (stop func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(mostGarbage)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { followMemory(quit) })
	return func() {
		close(quit)
		wg.Wait()
		debug.SetGCPercent(before)
	}
}

// followMemory allows more or less garbage, as more or less lives. To set it stops all goroutines for a moment, so small changes are left.
func followMemory(quit <-chan struct{}) {
	is := mostGarbage
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-quit:
			return
		}
		if next := garbageFor(readMemory()); next > is+is/10 || next < is-is/10 {
			is = next
			debug.SetGCPercent(is)
		}
	}
}

// garbageFor returns how much garbage there may be, in percent as of GOGC, where live bytes of objects were found in use by the last collection,
// and rest is no objects: stacks, which count for the percentage too, and what the runtime needs.
func garbageFor(live, rest uint64) (percent int) {
	used := float64(live) + float64(rest)
	spare := smallProcess - used
	return int(min(max(100*spare/max(used, 1), leastGarbage), mostGarbage))
}

// readMemory returns what garbageFor decides by.
func readMemory() (live, rest uint64) {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(s)
	rest = s[1].Value.Uint64()
	for _, heap := range s[2:] {
		rest -= min(rest, heap.Value.Uint64())
	}
	return s[0].Value.Uint64(), rest
}
