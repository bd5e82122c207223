package elastic_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/offload"
)

// Case C12: a passed deadline has one error, in events and results, and it is a
// context.DeadlineExceeded. Where a host fell silent, and where it told that it stopped
// the message; in both modes.
func TestDeadlinesHaveOneError(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		for _, silent := range []bool{true, false} {
			inBoth(t, func(t *testing.T, w *world) {
				free := make(chan struct{})
				defer close(free)
				stuck := hooked(true, sticks(free, 1, 2, 3, 4, 5))
				serve := w.guests(stuck)
				if silent {
					serve = func() (far.Endpoint, error) { return native.New(stuck), nil }
				}
				a := w.host("a", serve)
				c := open(t, sums(true), elastic.Config{Mode: mode, Deadline: 100 * time.Millisecond})
				move(t, c, a)
				events, late := c.Events(t.Context()), make(chan error, 1)
				go func() {
					for e := range events {
						if e.Reason != nil {
							late <- e.Reason
							return
						}
					}
				}()
				pace(t, c, 1, 5, 200*time.Millisecond) // mode Latest leaves a host after three
				select {
				case err := <-late:
					for _, name := range []error{offload.ErrDeadline, context.DeadlineExceeded} {
						if !errors.Is(err, name) || offload.CodeOf(err) != offload.CodeDeadline {
							t.Errorf("%v, silent %t: reason %v of code %q is %q: %t", mode, silent, err, offload.CodeOf(err), name, errors.Is(err, name))
						}
					}
				case <-time.After(time.Minute):
					t.Errorf("%v, silent %t: no event has a reason: %+v", mode, silent, c.Stats())
				}
			})
		}
	}
}
