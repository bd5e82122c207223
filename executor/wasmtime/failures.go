//go:build cgo

package wasmtime

import (
	"fmt"
	"sync"
	"time"
)

const (
	// failedFor is how long a module that was too much for a compiler is not tried again.
	failedFor = 10 * time.Minute
	// maxFailed bounds how many are remembered: 1 KB each. The oldest ones are forgotten.
	maxFailed = 1024
)

// failures are the modules that were too much for a compiler, each of its tenant. They
// may be used by many goroutines.
type failures struct {
	mu  sync.Mutex
	all map[key]failure
}

type failure struct {
	err error
	at  time.Time
}

func newFailures() *failures { return &failures{all: map[key]failure{}} }

// get returns why the module of k is not tried at now, nil if it may be.
func (f *failures) get(k key, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.all[k]
	wait := failedFor - now.Sub(v.at)
	if !ok || wait <= 0 {
		delete(f.all, k)
		return nil
	}
	return fmt.Errorf("%w; it was tried, and will be again in %v at the earliest", v.err, wait.Round(time.Second))
}

// put notes that the module of k has failed with err.
func (f *failures) put(k key, err error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[k] = failure{err, now}
	if len(f.all) <= maxFailed {
		return
	}
	oldest := k
	for other, v := range f.all {
		if v.at.Before(f.all[oldest].at) {
			oldest = other
		}
	}
	delete(f.all, oldest)
}
