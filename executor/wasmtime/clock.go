//go:build cgo

package wasmtime

import (
	"context"
	"sync"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
)

// never is a distance in epochs that no call lives to see.
const never = 1 << 60

// A clock advances the epoch of an engine, one epoch a tick, while calls with a
// deadline run. Epoch n begins n ticks after zero, however late the goroutine
// that counts runs; so a deadline is met late at worst, never early.
type clock struct {
	// Set by startClock, then constant.
	engine *wt.Engine
	tick   time.Duration
	wake   chan struct{} // capacity 1: a wake-up may be pending
	quit   chan struct{}
	wg     sync.WaitGroup

	mu      sync.Mutex
	running int  // calls with a deadline
	ticking bool // the goroutine counts
	zero    time.Time
	epoch   uint64 // of engine
}

// startClock starts the clock of engine, which stop ends.
func startClock(engine *wt.Engine, tick time.Duration) *clock {
	c := &clock{engine: engine, tick: tick, wake: make(chan struct{}, 1), quit: make(chan struct{})}
	c.wg.Go(c.run)
	return c
}

// stop ends the clock's goroutine.
func (c *clock) stop() {
	close(c.quit)
	c.wg.Wait()
}

// begin sets the deadline of ctx for what runs next in store. The function it
// returns is called once that has ended.
func (c *clock) begin(ctx context.Context, store *wt.Store) (end func()) {
	deadline, ok := ctx.Deadline()
	if !ok {
		store.SetEpochDeadline(never)
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	if !c.ticking {
		c.ticking = true
		c.zero = time.Now().Add(-time.Duration(c.epoch) * c.tick)
		select {
		case c.wake <- struct{}{}:
		default: // one is pending
		}
	}
	store.SetEpochDeadline(c.until(deadline))
	return c.end
}

// until returns how many epochs from the engine's are left at deadline.
// c.mu is held.
func (c *clock) until(deadline time.Time) uint64 {
	at := (deadline.Sub(c.zero) + c.tick - 1) / c.tick
	return uint64(min(max(int64(at)-int64(c.epoch), 0), never))
}

func (c *clock) end() {
	c.mu.Lock()
	c.running--
	c.mu.Unlock()
}

// run counts while there are calls.
func (c *clock) run() {
	t := time.NewTicker(c.tick)
	defer t.Stop()
	for {
		t.Stop()
		select {
		case <-c.wake:
		case <-c.quit:
			return
		}
		t.Reset(c.tick)
		for c.advance() {
			select {
			case <-t.C:
			case <-c.quit:
				return
			}
		}
	}
}

// advance brings the engine's epoch up to the time. It returns false, and
// counting ends, when no call is left.
func (c *clock) advance() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for want := uint64(time.Since(c.zero) / c.tick); c.epoch < want; c.epoch++ {
		c.engine.IncrementEpoch()
	}
	c.ticking = c.running > 0
	return c.ticking
}
