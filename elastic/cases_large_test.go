package elastic_test

import (
	"context"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/race"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A real state of a byte more than a state may have, at a host and on the UE: moves and
// checkpoints fail, and the channel goes on.
func TestStateOf64MiBAndAByte(t *testing.T) {
	if testing.Short() || race.Enabled {
		t.Skip("copies states of 64 MiB: go test -run TestStateOf64MiBAndAByte ./elastic")
	}
	t.Run("at a host", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			ep := hooked(true, exceeds(1))
			a := w.host("a", func() (far.Endpoint, error) { return native.New(ep), nil })
			c := open(t, ep, elastic.Config{Window: 16, Deadline: -1, CheckpointMessages: 8})
			move(t, c, a)
			wantStateOverTheBound(t, c, 64)
		})
	})
	t.Run("on the UE", func(t *testing.T) {
		for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
			for _, idempotent := range []bool{true, false} {
				inBoth(t, func(t *testing.T, w *world) {
					a := w.host("a", w.guests(sums(idempotent)))
					c := open(t, hooked(idempotent, exceeds(1)), elastic.Config{Mode: mode})
					var want int64
					send(t, c, 1, 1)
					collect(t, c, &want, 1, 1, nil)
					told := reason(t, c, elastic.MoveFailed)
					wantCode(t, "Move", c.Move(t.Context(), a), offload.CodeTooLarge)
					wantTold(t, told, offload.CodeTooLarge)
					wantAt(t, c, "", 0)
					send(t, c, 2, 1)
					collect(t, c, &want, 2, 1, nil)
				})
			}
		}
	})
}

// exceeds is a hook that makes the state larger than it may be: by a byte, if the message
// is the first one.
func exceeds(at int64) hook {
	return func(_ context.Context, s *sum, n int64) {
		if n == at {
			s.Pad = make([]byte, wire.MaxState+1-7) // 7: two small numbers and the header of the bytes
		}
	}
}
