package elastic_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Case C3: copies of the state are bounded by progress, by the caller's ctx and by the
// drain, not by the size of the state. 1 MB at 3 Mbit/s takes 2.8 s.

const slowState = 1_000_000

// slowDown makes the way to the UE, or from it, one of 3 Mbit/s.
func (w *world) slowDown(fromUE bool) {
	f := radio.Faults{Rate: 3e6}
	if fromUE {
		w.air.Set(ueIP, nil, f)
	} else {
		w.air.Set(nil, ueIP, f)
	}
}

// Checkpoints and moves of a large state over a slow link.
func TestLargeStateOverASlowLink(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		inBoth(t, func(t *testing.T, w *world) {
			w.slowDown(false)
			ep := hooked(idempotent, grows(1, slowState))
			a, b := w.host("a", w.guests(ep)), w.host("b", w.guests(ep))
			c := open(t, ep, elastic.Config{Deadline: 5 * time.Second})
			move(t, c, a)
			pace(t, c, 1, 2000, 10*time.Millisecond)
			var want int64
			collect(t, c, &want, 1, 1500, nil) // 15 s
			wantAt(t, c, "a", 0)
			if s := c.Stats(); idempotent && s.Checkpoints < 2 {
				t.Errorf("%d checkpoints in 15s, want two at least: %+v", s.Checkpoints, s)
			}
			moved := make(chan error, 1)
			go func() { moved <- moveWithin(t, c, b, time.Minute) }()
			collect(t, c, &want, 1501, 500, nil)
			if err := <-moved; err != nil {
				t.Errorf("move to b: %v", err)
			}
			wantAt(t, c, "b", 0)
			if err := moveWithin(t, c, nil, time.Minute); err != nil {
				t.Errorf("move home: %v", err)
			}
			wantAt(t, c, "", 0)
			send(t, c, 2001, 5)
			collect(t, c, &want, 2001, 5, nil)
		})
	}
}

// A recovery of a large state over a slow link: the standby gets it, and takes over.
func TestLargeStateToAStandby(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		w.slowDown(true)
		ep := hooked(true, grows(1, slowState))
		a, b := w.host("a", w.guests(ep)), w.host("b", w.guests(ep))
		c := open(t, ep, elastic.Config{
			Deadline: time.Second, CheckpointMessages: 512, CheckpointInterval: time.Hour, Standby: []elastic.Target{a, b},
		})
		move(t, c, a)
		pace(t, c, 1, 2000, 10*time.Millisecond)
		var want int64
		collect(t, c, &want, 1, 1500, nil)
		wantAt(t, c, "a", 0)
		go a.stop()
		collect(t, c, &want, 1501, 500, nil)
		wantAt(t, c, "b", 1)
	})
}

// A host that drains for 10 s over a slow link keeps its far endpoint alive until it has
// left, idempotent or not.
func TestDrainOverASlowLink(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
			inBoth(t, func(t *testing.T, w *world) {
				w.slowDown(false)
				ep := hooked(idempotent, grows(1, slowState))
				a := w.host("a", w.guests(ep))
				c := open(t, ep, elastic.Config{Mode: mode, CheckpointInterval: time.Hour})
				move(t, c, a)
				var want int64
				for i := range int64(20) { // one at a time: in mode Latest none is passed over
					send(t, c, i+1, 1)
					collect(t, c, &want, i+1, 1, nil)
				}
				a.drain()
				time.Sleep(10 * time.Second)
				wantAt(t, c, "", 0)
				a.stop()
				send(t, c, 21, 1)
				collect(t, c, &want, 21, 1, nil)
			})
		}
	}
}

// A state of which nothing more comes ends a move in bounded time, and nothing has
// changed. So does a state of which nothing comes at all.
func TestStateThatStalls(t *testing.T) {
	for _, some := range []bool{true, false} {
		for _, idempotent := range []bool{true, false} {
			inBoth(t, func(t *testing.T, w *world) {
				serve := far.NewServer(far.Config{
					Open: func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
						return native.New(sums(idempotent)), nil
					},
				})
				a := w.host("a", nil)
				var stalled atomic.Bool
				stalled.Store(true)
				a.rude = func(typ wire.Type, st link.Stream) {
					if typ != wire.TypeSnapshot || !stalled.Load() {
						serve.Serve(st.Context(), typ, st)
						return
					}
					if some {
						st.Write(append(wire.AppendState(nil, wire.TypeState, wire.State{Seq: 10, Size: 1000}), make([]byte, 500)...))
					}
					<-st.Context().Done()
				}
				c := open(t, sums(idempotent), elastic.Config{Deadline: time.Second, CheckpointInterval: time.Hour})
				move(t, c, a)
				var want int64
				send(t, c, 1, 10)
				collect(t, c, &want, 1, 10, nil)
				begin := time.Now()
				if err := moveWithin(t, c, nil, time.Minute); err == nil {
					t.Error("a move without a state did not fail")
				}
				if took := time.Since(begin); took > 15*time.Second {
					t.Errorf("the move failed after %v, want 5s without a byte", took)
				}
				wantAt(t, c, "a", 0)
				send(t, c, 11, 10)
				collect(t, c, &want, 11, 10, nil)
				stalled.Store(false)
				move(t, c, nil)
				send(t, c, 21, 10)
				collect(t, c, &want, 21, 10, nil)
				serve.Close()
			})
		}
	}
}

// Case C4: when Move fails nothing has changed. A state that its target refuses stays
// where it was: on the UE, or at a host.
func TestRestoreIsRefused(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		for _, idempotent := range []bool{true, false} {
			for _, from := range []string{"", "a"} {
				inBoth(t, func(t *testing.T, w *world) {
					ep := sums(idempotent)
					a := w.host("a", w.guests(ep))
					b := w.host("b", func() (far.Endpoint, error) { return full{native.New(ep)}, nil })
					c := open(t, ep, elastic.Config{Mode: mode, Deadline: time.Second})
					what := fmt.Sprintf("%v, idempotent %t, from %q", mode, idempotent, from)
					if from == "a" {
						move(t, c, a)
					}
					var want int64
					for i := range int64(30) {
						if i == 10 || i == 20 {
							wantCode(t, what, moveWithin(t, c, b, time.Minute), offload.CodeOutOfMemory)
							time.Sleep(time.Second) // what comes late does no harm
							wantAt(t, c, from, 0)
						}
						send(t, c, i+1, 1)
						collect(t, c, &want, i+1, 1, nil)
					}
				})
			}
		}
	}
}

// full is a far endpoint whose memory takes no state.
type full struct{ far.Endpoint }

func (full) Restore(_ context.Context, state []byte) error {
	time.Sleep(300 * time.Millisecond)
	return &wire.Fail{Code: offload.CodeOutOfMemory, Started: true}
}

// Case C7: a checkpoint that cannot count yet is not taken again. Results are full while
// outcomes are under way.
func TestCheckpointsWhileNobodyReceives(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		a := w.host("a", w.guests(hooked(true, takes(time.Millisecond))))
		c := open(t, sums(true), elastic.Config{Window: 16, CheckpointMessages: 1, Deadline: time.Second})
		move(t, c, a)
		pace(t, c, 1, 32, 0)
		time.Sleep(time.Second)
		before := c.Stats()
		time.Sleep(10 * time.Second)
		after := c.Stats()
		if before.Waiting != 16 || before.Sent < 24 {
			t.Errorf("%+v: want 16 results that wait, and outcomes under way", before)
		}
		if n := after.Checkpoints - before.Checkpoints; n > 10 {
			t.Errorf("%d checkpoints in 10s in which nothing happened, want one a second at most", n)
		}
		if err := moveWithin(t, c, nil, 10*time.Second); err != nil {
			t.Errorf("move home: %v", err)
		}
		var want int64
		collect(t, c, &want, 1, 32, nil)
		wantAt(t, c, "", 0)
	})
}

// Case C9: moves one after the other work although nobody calls Recv.
func TestMovesWhileNobodyReceives(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		for _, second := range []string{"a", "c", ""} {
			inBoth(t, func(t *testing.T, w *world) {
				ep := hooked(idempotent, takes(time.Millisecond))
				hosts := map[string]elastic.Target{"": nil}
				for _, name := range []string{"a", "b", "c"} {
					hosts[name] = w.host(name, w.guests(ep))
				}
				c := open(t, ep, elastic.Config{Window: 8, Deadline: time.Second})
				move(t, c, hosts["a"])
				pace(t, c, 1, 16, 0)
				time.Sleep(100 * time.Millisecond)
				if s := c.Stats(); s.Waiting != 8 || s.Sent < 12 {
					t.Errorf("%+v: want 8 results that wait, and outcomes under way", s)
				}
				for _, to := range []string{"b", second} {
					if err := moveWithin(t, c, hosts[to], 30*time.Second); err != nil {
						t.Errorf("idempotent %t: move to %q: %v", idempotent, to, err)
					}
				}
				if c.Where() != second {
					t.Errorf("idempotent %t: the channel is at %q, want %q", idempotent, c.Where(), second)
				}
				var want int64
				collect(t, c, &want, 1, 16, nil)
				send(t, c, 17, 4)
				collect(t, c, &want, 17, 4, nil)
			})
		}
	}
}

// A move that waits for another one ends with its ctx.
func TestMoveBehindAMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, sums(true), elastic.Config{})
		first := make(chan error, 1)
		go func() { first <- moveWithin(t, c, sleepy{}, time.Minute) }()
		synctest.Wait()
		begin := time.Now()
		wantCode(t, "the second move", moveWithin(t, c, nil, time.Second), offload.CodeDeadline)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("the second move took %v, want its second", took)
		}
		<-first
	})
}

// Two hosts may have one name, as one that starts anew at another address has: a Move goes from one to the other.
func TestMoveToAHostOfTheSameName(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ep := sums(true)
		before, after := w.host("a", w.guests(ep)), w.host("a", w.guests(ep))
		c := open(t, ep, elastic.Config{})
		move(t, c, before)
		var want int64
		send(t, c, 1, 5)
		collect(t, c, &want, 1, 5, nil)
		move(t, c, after)
		before.stop()
		send(t, c, 6, 5)
		collect(t, c, &want, 6, 5, nil)
		wantAt(t, c, "a", 0)
	})
}

// A Move from the UE that fails keeps no messages for a replay: any number can be sent after it.
func TestMoveThatFailsKeepsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ep := sums(true)
		a := w.host("a", func() (far.Endpoint, error) { return full{native.New(ep)}, nil })
		c := open(t, ep, elastic.Config{Window: 4, Deadline: time.Second})
		wantCode(t, "move", moveWithin(t, c, a, time.Minute), offload.CodeOutOfMemory)
		go send(t, c, 1, 100)
		var want int64
		collect(t, c, &want, 1, 100, nil)
	})
}

// The message that mode Latest was given while a Move switches begins when the Move is over, though none follows.
func TestNewestMessageAfterAMove(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.slowDown(false)
		ep := hooked(true, grows(1, slowState))
		a := w.host("a", w.guests(ep))
		c := open(t, ep, elastic.Config{Mode: elastic.Latest, CheckpointInterval: time.Hour})
		move(t, c, a)
		var want int64
		send(t, c, 1, 1)
		collect(t, c, &want, 1, 1, nil)
		moved := make(chan error, 1)
		go func() { moved <- moveWithin(t, c, nil, time.Minute) }()
		time.Sleep(time.Second) // of the 2.8 s that the copy takes
		send(t, c, 2, 1)
		collect(t, c, &want, 2, 1, nil)
		if err := <-moved; err != nil {
			t.Errorf("move: %v", err)
		}
	})
}

// In mode Latest the state that a Move has brought along is what a recovery begins with.
func TestLatestAfterAMoveAndACrash(t *testing.T) {
	for _, from := range []string{"", "a"} {
		inWorld(t, func(t *testing.T, w *world) {
			ep := sums(false)
			a, b := w.host("a", w.guests(ep)), w.host("b", w.guests(ep))
			c := open(t, ep, elastic.Config{Mode: elastic.Latest, CheckpointInterval: time.Hour})
			if from == "a" {
				move(t, c, a)
			}
			var want int64
			for i := range int64(5) { // one at a time: none is passed over
				send(t, c, i+1, 1)
				collect(t, c, &want, i+1, 1, nil)
			}
			fell := await(t, c, elastic.FellBack)
			move(t, c, b)
			b.stop()
			<-fell
			send(t, c, 6, 1)
			collect(t, c, &want, 6, 1, nil)
		})
	}
}

// The messages that mode Latest gave up have no outcome to come: a Move does not wait for these, nor does the next one.
func TestMovesAfterALateMessage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ep := sums(false)
		slow := w.guests(hooked(false, takes(200*time.Millisecond)))
		a, b := w.host("a", slow), w.host("b", w.guests(ep))
		c := open(t, ep, elastic.Config{Mode: elastic.Latest, Deadline: 100 * time.Millisecond})
		move(t, c, a)
		send(t, c, 1, 1)
		time.Sleep(time.Second)
		for _, to := range []elastic.Target{b, nil, b} {
			move(t, c, to)
		}
		if s := c.Stats(); s.Late != 1 || s.Fallbacks != 0 {
			t.Errorf("%+v, want one late message and no fallback", s)
		}
	})
}

// A standby has each checkpoint before it is needed: a recovery there does not wait for a large state.
func TestRecoveryDoesNotWaitForTheState(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.slowDown(true)
		ep := hooked(true, grows(1, slowState))
		a, b := w.host("a", w.guests(ep)), w.host("b", w.guests(ep))
		c := open(t, ep, elastic.Config{Standby: []elastic.Target{a, b}})
		ready := await(t, c, elastic.StandbyReady)
		move(t, c, a)
		<-ready
		var want int64
		send(t, c, 1, 1)
		collect(t, c, &want, 1, 1, nil)
		time.Sleep(10 * time.Second) // a checkpoint, and its way to b
		a.stop()
		begin := time.Now()
		send(t, c, 2, 1)
		collect(t, c, &want, 2, 1, nil)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the recovery took %v, want less than the 2.8s that the state takes", took)
		}
		wantAt(t, c, "b", 1)
	})
}
