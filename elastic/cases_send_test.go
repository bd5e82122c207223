package elastic_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
)

// Case C8: accepted by Send means answered, whatever ends the channel meanwhile. Its
// messages take a while to encode.
func TestSendDuringShutdown(t *testing.T) {
	for _, where := range []string{"", "a"} {
		for _, idempotent := range []bool{true, false} {
			for delay := range 12 {
				inBoth(t, func(t *testing.T, w *world) {
					ep := sums(idempotent)
					encode := ep.AppendIn
					ep.AppendIn = func(b []byte, n int64) []byte {
						time.Sleep(5 * time.Millisecond)
						return encode(b, n)
					}
					c := open(t, ep, elastic.Config{Deadline: time.Second})
					if where != "" {
						move(t, c, w.host("a", w.guests(sums(idempotent))))
					}
					accepted := make(chan uint64)
					for range 3 {
						go func() {
							n := uint64(0)
							for c.Send(t.Context(), 1) == nil {
								n++
								time.Sleep(time.Millisecond)
							}
							accepted <- n
						}()
					}
					time.Sleep(20*time.Millisecond + time.Duration(delay)*time.Millisecond)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					if err := c.Shutdown(ctx); err != nil {
						t.Errorf("shutdown: %v", err)
					}
					sent := <-accepted + <-accepted + <-accepted
					wantAnswers(t, c, sent)
				})
			}
		}
	}
}

// wantAnswers receives what a channel that has ended still has.
func wantAnswers(t *testing.T, c *elastic.Channel[int64, int64], sent uint64) {
	t.Helper()
	got := uint64(0)
	for r, err := range c.Results(t.Context()) {
		if err != nil || r.Err != nil || r.Seq != got+1 {
			t.Fatalf("result %d: %+v, %v", got+1, r, err)
		}
		got++
	}
	if s := c.Stats(); got != sent || s.Sent != sent {
		t.Errorf("%d messages were accepted and %d answered: %+v", sent, got, s)
	}
}

// Shutdown answers what was accepted while a host is lost, and while a move goes on.
func TestShutdownDuringTrouble(t *testing.T) {
	for _, trouble := range []string{"lost host", "move", "move home"} {
		inBoth(t, func(t *testing.T, w *world) {
			slow := hooked(true, takes(2*time.Millisecond))
			a, b := w.host("a", w.guests(slow)), w.host("b", w.guests(slow))
			c := open(t, sums(true), elastic.Config{Deadline: time.Second})
			move(t, c, a)
			send(t, c, 1, 50)
			time.Sleep(20 * time.Millisecond)
			var wg sync.WaitGroup
			switch trouble {
			case "lost host":
				wg.Go(a.stop)
			case "move":
				wg.Go(func() { moveWithin(t, c, b, time.Minute) })
			case "move home":
				wg.Go(func() { moveWithin(t, c, nil, time.Minute) })
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := c.Shutdown(ctx); err != nil {
				t.Errorf("%s: shutdown: %v", trouble, err)
			}
			wg.Wait()
			wantAnswers(t, c, 50)
		})
	}
}

type key struct{}

// Case C10: on the UE, too, Handle depends on the state and the message alone. Its ctx is
// not the sender's: it has no values of it, and does not end with it. It ends at the
// message's deadline, or with the channel.
func TestHandlesContext(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		for _, deadline := range []time.Duration{time.Second, -1} {
			synctest.Test(t, func(t *testing.T) {
				ctx, giveUp := context.WithCancel(context.WithValue(t.Context(), key{}, "the sender's"))
				defer giveUp()
				looks := func(h context.Context, _ *sum, n int64) {
					begin := time.Now()
					if v := h.Value(key{}); v != nil {
						t.Errorf("message %d: Handle's ctx has a value: %v", n, v)
					}
					at, has := h.Deadline()
					switch {
					case has != (deadline > 0):
						t.Errorf("message %d: Handle's ctx has a deadline: %t, with a Deadline of %v", n, has, deadline)
					case has && (time.Until(at) > deadline || time.Until(at) <= 0):
						t.Errorf("message %d: Handle's deadline is in %v, want %v", n, time.Until(at), deadline)
					}
					if h.Err() != nil {
						t.Errorf("message %d: Handle's ctx has ended: %v", n, h.Err())
					}
					if n%2 == 1 {
						return
					}
					giveUp()
					time.Sleep(100 * time.Millisecond)
					if h.Err() != nil {
						t.Errorf("message %d: Handle's ctx ends with the sender's: %v", n, h.Err())
					}
					if deadline < 0 || mode == elastic.Latest { // a late message may be given up
						return
					}
					select {
					case <-h.Done():
						if took := time.Since(begin); took > deadline {
							t.Errorf("message %d: Handle's ctx ended after %v, want %v", n, took, deadline)
						}
						if err := h.Err(); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(context.Cause(h), offload.ErrDeadline) {
							t.Errorf("message %d: Handle's ctx ended with %v, because of %v", n, err, context.Cause(h))
						}
					case <-time.After(time.Minute):
						t.Errorf("message %d: Handle's ctx does not end at its deadline", n)
					}
				}
				c := open(t, hooked(true, looks), elastic.Config{Mode: mode, Deadline: deadline})
				var want int64
				for i := range int64(4) {
					if err := c.Send(ctx, i+1); err != nil {
						if i < 2 {
							t.Fatalf("send %d: %v", i+1, err)
						}
						send(t, c, i+1, 1) // ctx has ended
					}
					collect(t, c, &want, i+1, 1, nil)
				}
			})
		}
	}
}

// Handle's ctx ends with the channel.
func TestHandlesContextEndsWithTheChannel(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		for _, deadline := range []time.Duration{time.Hour, -1} {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan struct{})
				waits := func(h context.Context, _ *sum, _ int64) {
					<-h.Done()
					close(ended)
				}
				c := open(t, hooked(true, waits), elastic.Config{Mode: mode, Deadline: deadline})
				ctx, giveUp := context.WithTimeout(t.Context(), time.Minute)
				defer giveUp()
				go c.Send(ctx, 1)
				synctest.Wait()
				closesWithin(t, c, time.Second)
				begin := time.Now()
				<-ended
				if took := time.Since(begin); took > 0 {
					t.Errorf("Handle's ctx ended %v after the channel", took)
				}
			})
		}
	}
}

// A replay does what the first handling did, though the sender's ctx has ended.
func TestReplayAfterTheSendersContext(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		counts := func(h context.Context, s *sum, _ int64) {
			if h.Err() != nil {
				s.Total += 1e6 // what the sender's ctx may not do
			}
		}
		w.slowDown(true)
		c := open(t, hooked(true, both(counts, grows(1, 100_000))), elastic.Config{})
		a := w.host("a", w.guests(sums(true)))
		var want int64
		send(t, c, 1, 1)
		collect(t, c, &want, 1, 1, nil)
		moved := make(chan error, 1)
		go func() { moved <- moveWithin(t, c, a, time.Minute) }()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		n := int64(1)
		for range 100 {
			time.Sleep(2 * time.Millisecond)
			ctx := t.Context()
			if n%3 == 0 {
				ctx = ended
			}
			if c.Send(ctx, n+1) == nil {
				n++
			} else {
				send(t, c, n+1, 1)
				n++
			}
		}
		collect(t, c, &want, 2, n-1, nil)
		if err := <-moved; err != nil {
			t.Errorf("move: %v", err)
		}
		send(t, c, n+1, 5)
		collect(t, c, &want, n+1, 5, nil)
	})
}

// Handle's ctx costs nothing while nobody asks for it.
func TestHandlesContextCostsNothing(t *testing.T) {
	c := open(t, sums(true), elastic.Config{Deadline: time.Second})
	ctx := t.Context()
	n := testing.AllocsPerRun(1000, func() {
		if err := c.Send(ctx, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Recv(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("a message on the UE costs %v allocations, want 0", n)
	}
}
