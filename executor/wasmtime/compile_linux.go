//go:build cgo

package wasmtime

import (
	"runtime"
	"sync"
	"syscall"
)

// niceness is that of compilations: a tenth of a core beside a thread that
// computes, and a whole one when nobody else wants it.
const niceness = 10

// background runs f, which must be C code for its most part, on a thread of low
// priority and returns after it. The thread ends with it, as its priority cannot be
// raised again. Go code on such a thread would hold up the collector.
func background(f func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		// Where that is not allowed, compilations are in the way of calls.
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness)
		f()
	})
	wg.Wait()
}
