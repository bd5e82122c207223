// Package cores says how many cores this process computes on, and keeps its network from waiting for its guests.
package cores

import (
	"runtime"
	"sync"
	"sync/atomic"
)

var (
	spare atomic.Int64 // processors of the runtime beyond the cores
	once  sync.Once
)

// N returns how many cores this process computes on: GOMAXPROCS, without what [Interleave] has added.
func N() int { return max(1, runtime.GOMAXPROCS(0)-int(spare.Load())) }

// Interleave lets goroutines run beside guests that have all cores. A guest is C to Go's runtime: it keeps its processor until the
// runtime's monitor has had the core for a moment, some ms, and takes it away. So Interleave adds a processor, and leaves it
// to the kernel who has the core; and it asks the kernel to let a thread that wakes up interrupt another one after 0.1 ms
// (Linux 6.12). Its error says why the kernel does not; the processor is there nevertheless. Further calls do nothing.
//
// GOMAXPROCS does not follow changes of the control group from then on.
func Interleave() (err error) {
	once.Do(func() {
		spare.Store(1)
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
		err = shortenSlices(slice)
	})
	return err
}
