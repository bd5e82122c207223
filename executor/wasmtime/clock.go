//go:build cgo

package wasmtime

import (
	"sync"
	"sync/atomic"
	"time"
)

// linger is how many ticks a clock goes on when no call runs: calls that come one
// after the other need not wake it each time, which takes longer than a call.
const linger = 5

// epochs is what of a wasmtime engine a clock needs.
type epochs interface{ IncrementEpoch() }

// A clock advances the epoch of an engine, a tick at a time, while calls run that
// want it. At each epoch the guests that run ask whether they may go on; so a clock
// knows of no deadlines.
type clock struct {
	// Set by startClock, then constant.
	engine epochs
	tick   time.Duration
	wake   chan struct{} // capacity 1: who wakes it does not wait for it
	quit   chan struct{}
	kick   func()    // advances the epoch now, from any goroutine
	once   sync.Once // closes quit
	wg     sync.WaitGroup

	running atomic.Int64 // calls that want ticks
	asleep  atomic.Bool  // no ticks come, until wake
}

// startClock starts the clock of engine, which stop ends.
func startClock(engine epochs, tick time.Duration) *clock {
	c := &clock{engine: engine, tick: tick, wake: make(chan struct{}, 1), quit: make(chan struct{}), kick: engine.IncrementEpoch}
	c.wg.Go(c.run)
	return c
}

// stop ends the clock's goroutine. It may be called twice.
func (c *clock) stop() {
	c.once.Do(func() { close(c.quit) })
	c.wg.Wait()
}

// begin has ticks come until end.
func (c *clock) begin() {
	c.running.Add(1)
	if c.asleep.Load() && c.asleep.CompareAndSwap(true, false) {
		c.wake <- struct{}{}
	}
}

func (c *clock) end() { c.running.Add(-1) }

// run ticks while there are calls.
func (c *clock) run() {
	t := time.NewTicker(c.tick)
	defer t.Stop()
	for {
		t.Stop()
		if !c.sleep() {
			return
		}
		t.Reset(c.tick)
		for idle := 0; idle < linger; {
			select {
			case <-t.C:
			case <-c.quit:
				return
			}
			c.engine.IncrementEpoch()
			idle++
			if c.running.Load() > 0 {
				idle = 0
			}
		}
	}
}

// sleep waits until a call wants ticks. It returns false at the end.
func (c *clock) sleep() bool {
	c.asleep.Store(true)
	// A call that began before it could see asleep does not wake us.
	if c.running.Load() > 0 && c.asleep.CompareAndSwap(true, false) {
		return true
	}
	select {
	case <-c.wake:
		return true
	case <-c.quit:
		return false
	}
}
