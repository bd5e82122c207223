//go:build cgo

package wasmtime

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A counter counts the epochs that a clock begins.
type counter struct {
	mu    sync.Mutex
	n     int64
	began *sync.Cond
}

func newCounter() *counter {
	c := new(counter)
	c.began = sync.NewCond(&c.mu)
	return c
}

func (c *counter) IncrementEpoch() {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	c.began.Broadcast()
}

func (c *counter) load() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// await waits until one more epoch begins.
func (c *counter) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for before := c.n; c.n == before; {
		c.began.Wait()
	}
}

func TestClockTicksWhileCallsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		epoch := newCounter()
		c := startClock(epoch, time.Millisecond)
		defer c.stop()
		// after returns how many ticks come within d.
		after := func(d time.Duration) int64 {
			before := epoch.load()
			time.Sleep(d)
			synctest.Wait()
			return epoch.load() - before
		}
		if got := after(time.Hour); got != 0 {
			t.Errorf("no call: got %d ticks, want none", got)
		}
		c.begin()
		if got := after(100 * time.Millisecond); got != 100 {
			t.Errorf("a call of 100 ms: got %d ticks of 1 ms, want 100", got)
		}
		c.begin()
		c.end()
		if got := after(50 * time.Millisecond); got != 50 {
			t.Errorf("one of two calls ended: got %d ticks in 50 ms, want 50", got)
		}
		c.end()
		if got := after(time.Hour); got != linger {
			t.Errorf("all calls ended: got %d more ticks, want %d", got, linger)
		}
		c.begin()
		defer c.end()
		if got := after(10 * time.Millisecond); got != 10 {
			t.Errorf("woken again: got %d ticks in 10 ms, want 10", got)
		}
	})
}

// A call that begins while the clock falls asleep must not go without ticks: this
// hangs where one does.
func TestClockWakes(t *testing.T) {
	epoch := newCounter()
	c := startClock(epoch, 20*time.Microsecond)
	defer c.stop()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 1000 {
				c.begin()
				epoch.await()
				c.end()
				for !c.asleep.Load() && c.running.Load() == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
}
