package elastic_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Case C1: a message that breaks its far endpoint has an error for outcome wherever it
// is handled, the state is as if it had not been, and no panic leaves the channel.

// The host of a poison message stops: before its outcome, or after it.
func TestPoisonAtAHostThatStops(t *testing.T) {
	for _, tt := range []struct {
		name    string
		before  int64 // outcomes before the stop
		standby bool
	}{
		{"under way", 3, false},
		{"under way, with a standby", 3, true},
		{"answered", 12, false},
		{"answered, with a standby", 12, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, w *world) {
				a := w.host("a", w.guests(hooked(true, both(takes(4*time.Millisecond), breaks(7, 8)))))
				b := w.host("b", w.guests(hooked(true, both(takes(4*time.Millisecond), breaks(7, 8)))))
				conf, where := elastic.Config{}, ""
				if tt.standby {
					conf.Standby, where = []elastic.Target{a, b}, "b"
				}
				c := open(t, hooked(true, breaks(7, 8)), conf)
				ready := await(t, c, elastic.StandbyReady)
				move(t, c, a)
				if tt.standby {
					<-ready
				}
				go send(t, c, 1, 30)
				var want int64
				collect(t, c, &want, 1, tt.before, panicked(7, 8))
				go a.stop()
				collect(t, c, &want, tt.before+1, 30-tt.before, panicked(7, 8))
				wantAt(t, c, where, 1)
			})
		})
	}
}

// Poison comes again while the host of the poison before it gets a replay that is
// larger than its credit. Where the credit ends depends on where the checkpoint is.
func TestPoisonInARow(t *testing.T) {
	poison := []int64{29, 30, 31, 32, 33, 34, 35, 36, 37}
	for checkpoint := 16; checkpoint <= 24; checkpoint++ {
		inBoth(t, func(t *testing.T, w *world) {
			a := w.host("a", w.guests(hooked(true, both(takes(time.Millisecond), breaks(poison...)))))
			c := open(t, hooked(true, breaks(poison...)), elastic.Config{
				Window: 16, Deadline: 10 * time.Second, CheckpointMessages: checkpoint, CheckpointInterval: time.Hour,
			})
			move(t, c, a)
			go send(t, c, 1, 60)
			var want int64
			collect(t, c, &want, 1, 60, panicked(poison...))
			wantAt(t, c, "a", 0)
		})
	}
}

// Poison among the messages that a move replays quietly at its target.
func TestPoisonInTheCatchUpOfAMove(t *testing.T) {
	for _, to := range []string{"", "b"} {
		t.Run("to "+to, func(t *testing.T) {
			inBoth(t, func(t *testing.T, w *world) {
				slow := hooked(true, both(takes(4*time.Millisecond), breaks(15)))
				a, b := w.host("a", w.guests(slow)), w.host("b", w.guests(slow))
				var target elastic.Target
				if to != "" {
					target = b
				}
				c := open(t, hooked(true, breaks(15)), elastic.Config{})
				move(t, c, a)
				go send(t, c, 1, 30)
				var want int64
				collect(t, c, &want, 1, 2, nil)
				moved := make(chan error, 1)
				go func() { moved <- moveWithin(t, c, target, time.Minute) }()
				collect(t, c, &want, 3, 28, panicked(15))
				switch err := <-moved; {
				case err != nil && c.Where() != "a":
					t.Errorf("at %q after a move that failed with %v", c.Where(), err)
				case err == nil && c.Where() != to:
					t.Errorf("at %q after the move to %q", c.Where(), to)
				}
				if s := c.Stats(); s.Fallbacks != 0 {
					t.Errorf("%d fallbacks: the hosts are fine: %+v", s.Fallbacks, s)
				}
				send(t, c, 31, 5)
				collect(t, c, &want, 31, 5, nil)
			})
		})
	}
}

// Poison on the UE, idempotent or not, in both modes: Case C11, too. The application
// gets an outcome, and the channel goes on.
func TestPoisonOnTheUE(t *testing.T) {
	poison := func(_ context.Context, _ *sum, n int64) {
		if n%3 == 2 {
			panic("poison")
		}
	}
	for _, idempotent := range []bool{true, false} {
		for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
			synctest.Test(t, func(t *testing.T) {
				c := open(t, hooked(idempotent, poison), elastic.Config{Mode: mode})
				var want int64
				for i := range int64(9) {
					send(t, c, i+1, 1) // one at a time: in mode Latest none is passed over
					var bad map[int64]offload.Code
					if (i+1)%3 == 2 {
						bad = panicked(i + 1)
					}
					collect(t, c, &want, i+1, 1, bad)
				}
			})
		}
	}
}

// Poison on the UE while the log records for a move: the state that arrives is as if
// the message had not been.
func TestPoisonWhileTheUERecords(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		w.air.Set(ueIP, nil, radio.Faults{Rate: 3e6})
		poison := breaks(32, 57, 82)
		a := w.host("a", w.guests(hooked(true, poison)))
		c := open(t, hooked(true, both(grows(1, 100_000), poison)), elastic.Config{})
		var want int64
		send(t, c, 1, 1)
		collect(t, c, &want, 1, 1, nil)
		pace(t, c, 2, 299, 2*time.Millisecond)
		moved := make(chan error, 1)
		go func() { moved <- moveWithin(t, c, a, time.Minute) }()
		collect(t, c, &want, 2, 299, panicked(32, 57, 82))
		if err := <-moved; err != nil {
			t.Fatalf("move: %v", err)
		}
		wantAt(t, c, "a", 0)
	})
}

// A far endpoint that runs natively on a host breaks alone: its host goes on.
func TestPoisonOnANativeHost(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		inBoth(t, func(t *testing.T, w *world) {
			serve := func() (far.Endpoint, error) { return native.New(hooked(true, breaks(3))), nil }
			a := w.host("a", serve)
			c := open(t, hooked(true, breaks(3)), elastic.Config{Mode: mode, Deadline: time.Second, CheckpointMessages: 1})
			move(t, c, a)
			var want int64
			for i := range int64(6) {
				send(t, c, i+1, 1)
				collect(t, c, &want, i+1, 1, panicked(3))
				time.Sleep(100 * time.Millisecond) // a checkpoint: mode Latest goes on from it
			}
			wantAt(t, c, "a", 0)
		})
	}
}

// Every way in which a guest breaks leaves the channel at its host.
func TestGuestsThatBreak(t *testing.T) {
	for _, code := range []offload.Code{offload.CodeTrapped, offload.CodePanicked, offload.CodeOutOfMemory, offload.CodeOutOfFuel, offload.CodeTooLarge} {
		t.Run(code.String(), func(t *testing.T) {
			inBoth(t, func(t *testing.T, w *world) {
				a := w.host("a", func() (far.Endpoint, error) { return failing{native.New(sums(true)), 7, code}, nil })
				c := open(t, sums(true), elastic.Config{Deadline: time.Second})
				move(t, c, a)
				go send(t, c, 1, 20)
				var want int64
				collect(t, c, &want, 1, 20, map[int64]offload.Code{7: code})
				wantAt(t, c, "a", 0)
			})
		})
	}
}

// failing fails at message at.
type failing struct {
	far.Endpoint
	at   byte
	code offload.Code
}

func (f failing) Handle(ctx context.Context, request []byte) (status abi.Status, payload []byte, err error) {
	if request[0] == f.at {
		return 0, nil, &wire.Fail{Code: f.code, Started: true}
	}
	return f.Endpoint.Handle(ctx, request)
}

// A Handle that ends its goroutine, as t.FailNow does, ends that alone: the channel goes on.
func TestGoexitInHandle(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		synctest.Test(t, func(t *testing.T) {
			exits := func(_ context.Context, _ *sum, n int64) {
				if n == 2 {
					runtime.Goexit()
				}
			}
			c := open(t, hooked(true, exits), elastic.Config{Mode: mode})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for i := range int64(3) {
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					if err := c.Send(ctx, i+1); err != nil {
						t.Errorf("%v: send %d: %v", mode, i+1, err)
					}
				}()
				<-sent
				r, err := c.Recv(ctx)
				if err != nil || r.Seq != uint64(i+1) || (r.Err != nil) != (i == 1) {
					t.Fatalf("%v: message %d: %+v, %v; want an error for the second one alone", mode, i+1, r, err)
				}
			}
		})
	}
}
