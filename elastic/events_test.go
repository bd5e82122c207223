package elastic_test

import (
	"context"
	"iter"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
)

// A subscriber that is slow is told once how many events it missed.
func TestMissedEventsAreToldOnce(t *testing.T) {
	c := open(t, sums(true), elastic.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next, stop := iter.Pull(c.Events(ctx))
	defer stop()
	fail := func(n int) {
		for range n {
			c.Move(ctx, (*host)(nil)) // each one that fails is an event
		}
	}
	fail(64 + 6)
	for i := range 64 {
		if e, ok := next(); !ok || e.Missed != 0 {
			t.Fatalf("event %d: %+v, %t; want none missed", i, e, ok)
		}
	}
	fail(2)
	for i, want := range []int{6, 0} {
		if e, ok := next(); !ok || e.Missed != want {
			t.Errorf("event %d after a pause: %+v, %t; want %d missed", i, e, ok, want)
		}
	}
}
