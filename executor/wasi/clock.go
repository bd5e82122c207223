package wasi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// The clocks of the standard. Those of processor time are not given.
const (
	clockWall uint32 = iota
	clockMonotonic
)

// The made-up clock begins at virtualStart and advances by virtualStep with each
// reading, so that a guest which waits by reading it comes to an end.
const (
	virtualStep  = time.Microsecond
	virtualLimit = math.MaxInt64 / 2 // where it stands still: 146 years on
)

var virtualStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// A clock is what an instance takes for time.
type clock struct {
	start   time.Time     // of the monotonic clock; zero: the clock is made up
	elapsed time.Duration // on the made-up clock
}

func newClock(real bool) clock {
	if real {
		return clock{start: time.Now()}
	}
	return clock{}
}

// made says that the clock is made up.
func (c *clock) made() bool { return c.start.IsZero() }

// now returns the time of the wall clock.
func (c *clock) now() time.Time {
	if !c.made() {
		return time.Now()
	}
	c.advance(virtualStep)
	return virtualStart.Add(c.elapsed)
}

// read returns the time of clock id in nanoseconds.
func (c *clock) read(id uint32) (uint64, error) {
	switch id {
	case clockWall:
		return uint64(c.now().UnixNano()), nil
	case clockMonotonic:
		return uint64(c.since()), nil
	}
	return 0, eInvalid
}

// since returns the time of the monotonic clock.
func (c *clock) since() time.Duration {
	if !c.made() {
		return time.Since(c.start)
	}
	c.advance(virtualStep)
	return c.elapsed
}

func (c *clock) advance(d time.Duration) { c.elapsed += min(d, virtualLimit-c.elapsed) }

// sleep returns after d, or at once on the made-up clock. It ends early when ctx
// does: the guest has a moment then to see that its call was cancelled, and traps
// when its deadline is over.
func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	if c.made() {
		c.advance(d)
		return nil
	}
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	executor.Aside(ctx, func() {
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	})
	if err := ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
		return trap{fmt.Errorf("sleep of %v: %w", d, err)}
	}
	return nil
}

func clockResGet(in *instance, c call) error {
	if c.i32(0) > clockMonotonic {
		return eInvalid
	}
	res := uint64(1)
	if in.clock.made() {
		res = uint64(virtualStep)
	}
	return c.put64(1, res)
}

func clockTimeGet(in *instance, c call) error {
	t, err := in.clock.read(c.i32(0))
	if err != nil {
		return err
	}
	return c.put64(2, t)
}
