package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// Case C12: misuse has one answer each, and so has the end.

// unharmed runs f and turns a panic into an error.
func unharmed(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError{v}
		}
	}()
	return f()
}

type panicError struct{ v any }

func (e panicError) Error() string { return fmt.Sprint("panic: ", e.v) }

// wantRefused checks that f returns an error, and does not panic.
func wantRefused(t *testing.T, what string, f func() error) {
	t.Helper()
	if err := unharmed(f); err == nil || errors.As(err, new(panicError)) {
		t.Errorf("%s: %v, want an error", what, err)
	}
}

func TestNil(t *testing.T) {
	var none *host
	var noCtx context.Context
	wantRefused(t, "Open(nil)", func() error {
		_, err := elastic.Open((*codegen.Endpoint[int64, int64])(nil), elastic.Config{})
		return err
	})
	for what, standby := range map[string]elastic.Target{"nil": nil, "a nil pointer": none} {
		wantRefused(t, "Open with "+what+" as standby", func() error {
			_, err := elastic.Open(sums(true), elastic.Config{Standby: []elastic.Target{standby}})
			return err
		})
	}
	for what, misuse := range map[string]func(c *elastic.Channel[int64, int64]) error{
		"Move to a nil pointer": func(c *elastic.Channel[int64, int64]) error { return c.Move(t.Context(), none) },
		"Move(nil ctx)":         func(c *elastic.Channel[int64, int64]) error { return c.Move(noCtx, nil) },
		"Recv(nil)":             func(c *elastic.Channel[int64, int64]) error { _, err := c.Recv(noCtx); return err },
		"Send(nil)":             func(c *elastic.Channel[int64, int64]) error { return c.Send(noCtx, 1) },
		"Shutdown(nil)":         func(c *elastic.Channel[int64, int64]) error { return c.Shutdown(noCtx) },
	} {
		for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
			c, err := elastic.Open(sums(true), elastic.Config{Mode: mode})
			if err != nil {
				t.Fatal(err)
			}
			what := what + ", " + mode.String()
			wantRefused(t, what, func() error { return misuse(c) })
			if t.Failed() {
				continue // a lock may be held
			}
			send(t, c, 1, 1)
			var want int64
			collect(t, c, &want, 1, 1, nil)
			c.Close()
		}
	}
}

// What waits for the far endpoint is refused inside its Handle: it would wait for itself.
func TestMisuseInsideHandle(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		for _, derived := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var c *elastic.Channel[int64, int64]
				misuses := func(h context.Context, _ *sum, n int64) {
					if derived {
						var cancel context.CancelFunc
						h, cancel = context.WithTimeout(context.WithValue(h, key{}, 1), time.Minute)
						defer cancel()
					}
					for _, m := range []struct {
						what string
						do   func() error
					}{
						{"Send", func() error { return c.Send(h, 1) }},
						{"Recv", func() error { _, err := c.Recv(h); return err }},
						{"Move", func() error { return c.Move(h, sleepy{}) }},
						{"Move home", func() error { return c.Move(h, nil) }},
						{"Shutdown", func() error { return c.Shutdown(h) }},
					} {
						begin := time.Now()
						err := m.do()
						if took := time.Since(begin); err == nil || errors.Is(err, context.DeadlineExceeded) || took > 0 {
							t.Errorf("%v, derived %t: %s inside Handle: %v after %v, want an error at once", mode, derived, m.what, err, took)
						}
					}
				}
				c = open(t, hooked(true, misuses), elastic.Config{Mode: mode})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if err := c.Send(ctx, 1); err != nil {
					t.Fatalf("send: %v", err)
				}
				var want int64
				collect(t, c, &want, 1, 1, nil)
				ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if err := c.Send(ctx, 2); err != nil {
					t.Errorf("%v, derived %t: send after it: %v", mode, derived, err)
				} else {
					collect(t, c, &want, 2, 1, nil)
				}
			})
		}
	}
}

// record collects all events of a channel. seen returns them once they have ended.
func record(t *testing.T, c *elastic.Channel[int64, int64]) (seen func() []elastic.Event) {
	events, all := c.Events(t.Context()), make(chan []elastic.Event, 1)
	go func() {
		var got []elastic.Event
		for e := range events {
			got = append(got, e)
		}
		all <- got
	}()
	return func() []elastic.Event { return <-all }
}

// Ended is a channel's last event, and says why.
func TestEndedIsTheLastEvent(t *testing.T) {
	ends := map[string]struct {
		end func(t *testing.T, c *elastic.Channel[int64, int64], h *host)
		why error
	}{
		"Close":    {func(_ *testing.T, c *elastic.Channel[int64, int64], _ *host) { c.Close() }, elastic.ErrClosed},
		"Shutdown": {func(t *testing.T, c *elastic.Channel[int64, int64], _ *host) { c.Shutdown(t.Context()) }, elastic.ErrClosed},
		"lost":     {func(_ *testing.T, _ *elastic.Channel[int64, int64], h *host) { h.stop() }, elastic.ErrLost},
	}
	for name, tt := range ends {
		for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
			if mode == elastic.Latest && name == "lost" {
				continue // it goes on from the last checkpoint
			}
			inBoth(t, func(t *testing.T, w *world) {
				h := w.host("a", w.guests(sums(false)))
				c := open(t, sums(false), elastic.Config{Mode: mode})
				first, second := record(t, c), record(t, c)
				move(t, c, h)
				tt.end(t, c, h)
				for _, seen := range []func() []elastic.Event{first, second} {
					got := seen()
					n := 0
					for _, e := range got {
						if e.Kind == elastic.Ended {
							n++
						}
					}
					if n != 1 || got[len(got)-1].Kind != elastic.Ended {
						t.Errorf("%s, %v: events are %+v, want one Ended at the end", name, mode, got)
						continue
					}
					if why := got[len(got)-1].Reason; !errors.Is(why, tt.why) {
						t.Errorf("%s, %v: ended because of %v, want %v", name, mode, why, tt.why)
					}
				}
				// Who asks too late learns that there is nothing more.
				for e := range c.Events(t.Context()) {
					if e.Kind != elastic.Ended {
						t.Errorf("%s, %v: event %v after the end", name, mode, e.Kind)
					}
				}
			})
		}
	}
}

// Every Move that fails raises MoveFailed, also when it never began.
func TestEveryFailedMoveIsAnEvent(t *testing.T) {
	t.Run("behind another move", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := open(t, sums(true), elastic.Config{})
			go moveWithin(t, c, sleepy{}, time.Hour)
			synctest.Wait()
			told := reason(t, c, elastic.MoveFailed)
			err := moveWithin(t, c, unready{}, time.Second)
			wantCode(t, "move", err, offload.CodeDeadline)
			wantTold(t, told, offload.CodeDeadline)
		})
	})
	t.Run("a ctx that has ended", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
				c := open(t, sums(true), elastic.Config{Mode: mode})
				told := reason(t, c, elastic.MoveFailed)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				wantCode(t, "move", c.Move(ctx, w.host("a", w.guests(sums(true)))), offload.CodeCanceled)
				wantTold(t, told, offload.CodeCanceled)
			}
		})
	})
	t.Run("while a message is handled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := open(t, hooked(true, takes(time.Minute)), elastic.Config{})
			go c.Send(t.Context(), 1)
			synctest.Wait()
			told := reason(t, c, elastic.MoveFailed)
			if err := moveWithin(t, c, &mimic{}, time.Second); err == nil {
				t.Error("the move did not fail")
			}
			wantTold(t, told, offload.CodeDeadline)
			time.Sleep(2 * time.Minute)
		})
	})
}

// wantTold checks the reason of an event.
func wantTold(t *testing.T, told <-chan error, code offload.Code) {
	t.Helper()
	select {
	case err := <-told:
		wantCode(t, "event", err, code)
	case <-time.After(time.Minute):
		t.Error("there is no event of a failed move")
	}
}

// Close ends a Move that prepares its target, at once.
func TestCloseEndsAMove(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		synctest.Test(t, func(t *testing.T) {
			c := open(t, sums(true), elastic.Config{Mode: mode})
			moved := make(chan error, 1)
			go func() { moved <- moveWithin(t, c, sleepy{}, time.Hour) }()
			synctest.Wait()
			closesWithin(t, c, 0)
			begin := time.Now()
			if err := <-moved; !errors.Is(err, elastic.ErrClosed) {
				t.Errorf("%v: the move: %v, want ErrClosed", mode, err)
			}
			if took := time.Since(begin); took > 0 {
				t.Errorf("%v: the move ended %v after the channel", mode, took)
			}
		})
	}
}

// Another channel is no misuse: Handle may use it with its ctx.
func TestOtherChannelInsideHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := open(t, sums(true), elastic.Config{})
		asks := func(h context.Context, _ *sum, n int64) {
			if err := inner.Send(h, n); err != nil {
				t.Errorf("send to another channel: %v", err)
			}
			if err := inner.Move(h, nil); err != nil {
				t.Errorf("move of another channel: %v", err)
			}
			if r, err := inner.Recv(h); err != nil || r.Err != nil {
				t.Errorf("receive from another channel: %+v, %v", r, err)
			}
		}
		c := open(t, hooked(true, asks), elastic.Config{Deadline: time.Second})
		send(t, c, 1, 3)
		var want int64
		collect(t, c, &want, 1, 3, nil)
	})
}
