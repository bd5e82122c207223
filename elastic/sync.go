package elastic

import (
	"context"
	"time"
)

// A lock is a mutex that may be held during I/O: in tests, a goroutine that waits for it
// does not stop virtual time, and a context can end the wait.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

// take takes the lock, unless ctx ends first.
func (l lock) take(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	default:
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// acquire takes the lock. Its holder releases it soon.
func (l lock) acquire() { l <- struct{}{} }

func (l lock) release() { <-l }

// A gate is where goroutines wait for a change. A mutex guards it.
type gate struct{ ch chan struct{} }

// wait returns a channel that is closed by the next open.
func (g *gate) wait() <-chan struct{} {
	if g.ch == nil {
		g.ch = make(chan struct{})
	}
	return g.ch
}

// open wakes all that wait.
func (g *gate) open() {
	if g.ch != nil {
		close(g.ch)
		g.ch = nil
	}
}

// An alarm calls fire once, some time after it was set. A mutex guards it; fire takes
// that mutex.
type alarm struct {
	fire  func()
	timer *time.Timer
	on    bool
}

// set makes the alarm fire in d, unless it is set.
func (a *alarm) set(d time.Duration) {
	if a.on {
		return
	}
	a.on = true
	if a.timer == nil {
		a.timer = time.AfterFunc(d, a.fire)
	} else {
		a.timer.Reset(d)
	}
}

func (a *alarm) stop() {
	a.on = false
	if a.timer != nil {
		a.timer.Stop()
	}
}

// A ring is a queue.
type ring[T any] struct {
	items   []T
	head, n int
}

func (r *ring[T]) len() int { return r.n }

// push adds an item, which is the zero value, and returns it.
func (r *ring[T]) push() *T {
	if r.n == len(r.items) {
		bigger := make([]T, max(4, 2*r.n))
		k := copy(bigger, r.items[r.head:])
		copy(bigger[k:], r.items[:r.head])
		r.items, r.head = bigger, 0
	}
	end := r.head + r.n
	if end >= len(r.items) {
		end -= len(r.items)
	}
	r.n++
	return &r.items[end]
}

func (r *ring[T]) pop() (v T, ok bool) {
	if r.n == 0 {
		return v, false
	}
	var zero T
	v, r.items[r.head] = r.items[r.head], zero
	if r.head++; r.head == len(r.items) {
		r.head = 0
	}
	r.n--
	return v, true
}

// first returns the item that pop would return. The ring is not empty.
func (r *ring[T]) first() *T { return &r.items[r.head] }
