package elastic_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/offload"
)

// What broke, overran or failed is counted and told, with its reason.

func TestBrokenMessagesAreCounted(t *testing.T) {
	for _, where := range []string{"", "a"} {
		inBoth(t, func(t *testing.T, w *world) {
			ep := hooked(true, breaks(3, 7))
			c := open(t, hooked(true, panics(3, 7)), elastic.Config{})
			if where != "" {
				move(t, c, w.host("a", w.guests(ep)))
			}
			told := reason(t, c, elastic.Broke)
			send(t, c, 1, 10)
			var want int64
			collect(t, c, &want, 1, 10, panicked(3, 7))
			wantTold(t, told, offload.CodePanicked)
			if s := c.Stats(); s.Broken != 2 || s.Overran != 0 {
				t.Errorf("at %q: %+v, want 2 messages that broke it", where, s)
			}
		})
	}
}

// panics is a hook that panics before anything is done: on the UE, where no copy of the
// state is kept, what a Handle has done stays.
func panics(at ...int64) hook {
	poison := breaks(at...)
	return func(ctx context.Context, s *sum, n int64) {
		was := *s
		defer func() {
			if v := recover(); v != nil {
				*s = was
				panic(v)
			}
		}()
		poison(ctx, s, n)
	}
}

// A message that overruns on the UE is told of at its deadline, and its outcome is what
// Handle gives in the end: nothing could take it back.
func TestOverrunOnTheUE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, hooked(true, takes(time.Second)), elastic.Config{Deadline: 100 * time.Millisecond})
		told, begin := reason(t, c, elastic.Overran), time.Now()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			send(t, c, 1, 1)
		}()
		wantTold(t, told, offload.CodeDeadline)
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("told after %v, want the deadline of 100ms", took)
		}
		<-sent
		if took := time.Since(begin); took != time.Second {
			t.Errorf("Send took %v, want Handle's second", took)
		}
		var want int64
		collect(t, c, &want, 1, 1, nil)
		if s := c.Stats(); s.Overran != 1 || s.LeftBehind != 0 {
			t.Errorf("%+v, want one overrun and no Handle left behind", s)
		}
	})
}

// A Handle that overruns in a replay on the UE is left behind.
func TestLeftBehind(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		free := make(chan struct{})
		defer close(free)
		a := w.host("a", w.guests(hooked(true, takes(10*time.Millisecond))))
		c := open(t, hooked(true, sticks(free, 5)), elastic.Config{Deadline: 200 * time.Millisecond})
		move(t, c, a)
		send(t, c, 1, 10)
		var want int64
		collect(t, c, &want, 1, 2, nil)
		told := reason(t, c, elastic.Overran)
		go a.stop()
		collect(t, c, &want, 3, 8, overran(5))
		wantTold(t, told, offload.CodeDeadline)
		send(t, c, 11, 5)
		collect(t, c, &want, 11, 5, nil)
		if s := c.Stats(); s.LeftBehind == 0 || s.LeftBehind > 2 || s.Overran != 1 {
			t.Errorf("%+v, want one message that overran, and one or two Handles left behind", s)
		}
		wantAt(t, c, "", 1)
	})
}

// A checkpoint that fails is told of, and tried again ever less often.
func TestFailedCheckpointsAreCounted(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		a := w.host("a", func() (far.Endpoint, error) { return unsavable{native.New(sums(true))}, nil })
		c := open(t, sums(true), elastic.Config{Window: 1000, CheckpointMessages: 1})
		move(t, c, a)
		told := reason(t, c, elastic.CheckpointFailed)
		pace(t, c, 1, 600, 100*time.Millisecond) // for a minute
		var want int64
		collect(t, c, &want, 1, 500, nil)
		wantTold(t, told, offload.CodeTooLarge)
		if s := c.Stats(); s.CheckpointsFailed < 2 || s.CheckpointsFailed > 15 || s.Checkpoints != 0 {
			t.Errorf("%+v, want 2 to 15 checkpoints that failed in 50s", s)
		}
		wantAt(t, c, "a", 0)
	})
}

// Where few messages come, each has a checkpoint after the interval, and there are no others.
func TestCheckpointsByTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.host("a", w.guests(sums(true)))
		c := open(t, sums(true), elastic.Config{CheckpointInterval: time.Second})
		move(t, c, a)
		var want int64
		for i := range int64(3) {
			send(t, c, i+1, 1)
			collect(t, c, &want, i+1, 1, nil)
			time.Sleep(10 * time.Second)
			if s := c.Stats(); s.Checkpoints != uint64(i+1) {
				t.Errorf("%d checkpoints after %d messages, 10s apart: want as many", s.Checkpoints, i+1)
			}
		}
	})
}

// A checkpoint that fails is taken again soon, though the next one was far away.
func TestFailedCheckpointIsTakenAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.host("a", func() (far.Endpoint, error) { return unsavable{native.New(sums(true))}, nil })
		c := open(t, sums(true), elastic.Config{CheckpointMessages: 2, CheckpointInterval: time.Hour})
		move(t, c, a)
		send(t, c, 1, 2)
		time.Sleep(time.Second)
		if s := c.Stats(); s.CheckpointsFailed != 4 {
			t.Errorf("%d checkpoints have failed in a second, want 4: after 0, 100, 300 and 700 ms", s.CheckpointsFailed)
		}
	})
}

// The messages that a Move replays are counted, and told.
func TestMoveTellsWhatItReplayed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.slowDown(false)
		ep := hooked(true, grows(1, slowState))
		a, b := w.host("a", w.guests(ep)), w.host("b", w.guests(ep))
		c := open(t, ep, elastic.Config{CheckpointInterval: time.Hour})
		move(t, c, a)
		pace(t, c, 1, 100, 10*time.Millisecond)
		var want int64
		collect(t, c, &want, 1, 10, nil)
		move(t, c, b)
		collect(t, c, &want, 11, 90, nil)
		if s := c.Stats(); s.Replayed < 80 || s.Replayed > 90 {
			t.Errorf("%d messages were replayed, want those of the 2.8s that the state took: %+v", s.Replayed, s)
		}
	})
}
