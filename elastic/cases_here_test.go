package elastic_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
)

// What the UE does when it has the far endpoint, or gets it.

// Senders on the UE take turns, though nobody calls Recv.
func TestSendersOnTheUETakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, hooked(true, takes(time.Second)), elastic.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		sent := make(chan error, 3)
		for range cap(sent) {
			go func() { sent <- c.Send(ctx, 1) }()
		}
		for range cap(sent) {
			if err := <-sent; err != nil {
				t.Errorf("send: %v", err)
			}
		}
	})
}

// Each message on the UE has its own deadline, and overruns once, even where its outcome says so too.
func TestOverrunsOnTheUEAreCountedOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		second time.Duration
		n      int64
		want   uint64
	}{
		{"in time", 90 * time.Millisecond, 2, 0},
		{"late", 150 * time.Millisecond, 2, 1},
		{"late, with an error for outcome", 150 * time.Millisecond, -2, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			ep := hooked(true, func(ctx context.Context, _ *sum, n int64) {
				ctx.Done() // its deadline counts from here
				time.Sleep(90 * time.Millisecond)
				if n == tt.n {
					time.Sleep(tt.second - 90*time.Millisecond)
				}
			})
			c := open(t, ep, elastic.Config{Deadline: 100 * time.Millisecond})
			for _, n := range []int64{1, tt.n, 3} {
				if err := c.Send(t.Context(), n); err != nil {
					t.Fatal(err)
				}
			}
			if s := c.Stats(); s.Overran != tt.want {
				t.Errorf("%s: %d of 3 messages overran, want %d", tt.name, s.Overran, tt.want)
			}
		})
	}
}

// A replay on the UE may take what it takes. The messages after it have their deadline.
func TestDeadlineAfterAReplayOnTheUE(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var limited atomic.Bool
		ep := hooked(true, func(ctx context.Context, _ *sum, n int64) {
			if n == 3 {
				time.Sleep(time.Second)
			}
			_, ok := ctx.Deadline()
			limited.Store(ok)
		})
		a := w.host("a", w.guests(sums(true)))
		c := open(t, ep, elastic.Config{Deadline: 100 * time.Millisecond, CheckpointInterval: time.Hour})
		move(t, c, a)
		var want int64
		send(t, c, 1, 5)
		collect(t, c, &want, 1, 5, nil)
		a.stop()
		send(t, c, 6, 1)
		collect(t, c, &want, 6, 1, nil)
		if !limited.Load() {
			t.Error("message 6 has no deadline")
		}
		if s := c.Stats(); c.Where() != "" || s.LeftBehind != 0 {
			t.Errorf("at %q: %+v, want no Handle left behind", c.Where(), s)
		}
	})
}

// The messages that were kept for a Move to the UE are not once the far endpoint is there.
func TestMoveToTheUEReleasesTheLog(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.slowDown(false)
		ep := hooked(true, grows(1, slowState))
		c := open(t, ep, elastic.Config{CheckpointInterval: time.Hour})
		move(t, c, w.host("a", w.guests(ep)))
		pace(t, c, 1, 100, 10*time.Millisecond)
		var want int64
		collect(t, c, &want, 1, 10, nil)
		move(t, c, nil)
		collect(t, c, &want, 11, 90, nil)
		if s := c.Stats(); s.Buffered != 0 || s.BufferedBytes != 0 || s.Replayed == 0 {
			t.Errorf("%+v, want messages replayed, and none kept", s)
		}
	})
}

// A Move to the UE ends with its context, not with the replay.
func TestMoveToTheUEEndsWithItsContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.slowDown(false)
		a := w.host("a", w.guests(hooked(true, grows(1, slowState))))
		c := open(t, hooked(true, takes(100*time.Millisecond)), elastic.Config{CheckpointInterval: time.Hour})
		move(t, c, a)
		pace(t, c, 1, 300, 10*time.Millisecond)
		var want int64
		collect(t, c, &want, 1, 10, nil)
		begin := time.Now()
		err := moveWithin(t, c, nil, 5*time.Second) // the state comes after 2.8 s, with 280 messages to be replayed
		if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took > 5200*time.Millisecond {
			t.Errorf("the Move took %v: %v; want 5s, and the message under way", took, err)
		}
		collect(t, c, &want, 11, 290, nil)
		wantAt(t, c, "a", 0)
	})
}

// A message that is being answered in a recovery on the UE when the channel ends has no outcome.
func TestCloseDuringARecoveryOnTheUE(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		free := make(chan struct{})
		defer close(free)
		a := w.host("a", w.guests(hooked(true, sticks(free, 3))))
		ep := hooked(true, func(ctx context.Context, _ *sum, n int64) {
			if n == 5 {
				<-ctx.Done()
			}
		})
		c := open(t, ep, elastic.Config{})
		move(t, c, a)
		send(t, c, 1, 6)
		var want int64
		collect(t, c, &want, 1, 2, nil)
		go a.stop()
		collect(t, c, &want, 3, 2, nil)
		c.Close()
		if r, err := c.Recv(t.Context()); !errors.Is(err, elastic.ErrClosed) {
			t.Errorf("after Close: %+v, %v; want ErrClosed", r, err)
		}
	})
}

// A message that overran on the UE for the first time is tried again there.
func TestSecondTryOnTheUE(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		free := make(chan struct{})
		defer close(free)
		var tries atomic.Int32
		a := w.host("a", w.guests(hooked(true, sticks(free, 3))))
		ep := hooked(true, func(_ context.Context, _ *sum, n int64) {
			if n == 3 && tries.Add(1) == 1 {
				<-free
			}
		})
		c := open(t, ep, elastic.Config{Deadline: 5 * time.Second})
		move(t, c, a)
		send(t, c, 1, 6)
		var want int64
		collect(t, c, &want, 1, 2, nil)
		go a.stop()
		collect(t, c, &want, 3, 4, nil)
		if s := c.Stats(); s.LeftBehind != 1 || s.Overran != 0 {
			t.Errorf("%+v, want one Handle left behind, and no message given up", s)
		}
	})
}

// A row of messages that break the UE in a recovery has the ones before replayed once, not once for each.
func TestPoisonInARowOnTheUE(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		free := make(chan struct{})
		defer close(free)
		var first atomic.Int32
		a := w.host("a", w.guests(hooked(true, sticks(free, 21))))
		poison := []int64{21, 22, 23, 24, 25}
		count := func(_ context.Context, _ *sum, n int64) {
			if n == 1 {
				first.Add(1)
			}
		}
		c := open(t, hooked(true, both(count, breaks(poison...))), elastic.Config{Deadline: 5 * time.Second, CheckpointInterval: time.Hour})
		move(t, c, a)
		send(t, c, 1, 30)
		var want int64
		collect(t, c, &want, 1, 20, nil)
		go a.stop()
		collect(t, c, &want, 21, 10, panicked(poison...))
		if n := first.Load(); n != 2 {
			t.Errorf("the first message was replayed %d times, want twice: to recover, and after the first poison", n)
		}
	})
}
