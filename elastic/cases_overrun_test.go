package elastic_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Case C2: attempts are bounded and remembered. A message that overran its deadline on two
// places, or twice on the only one, has that for outcome, and the channel goes on.

// A message that never returns: its hosts stop it, or fall silent with it. On the UE it
// never returns either.
func TestOverrunsAreBounded(t *testing.T) {
	for _, silent := range []bool{false, true} {
		for standbys := range 3 {
			t.Run(fmt.Sprintf("silent %t, %d standbys", silent, standbys), func(t *testing.T) {
				inBoth(t, func(t *testing.T, w *world) {
					free := make(chan struct{})
					defer close(free)
					stuck := hooked(true, sticks(free, 10, 20))
					serve := w.guests(stuck)
					if silent {
						serve = func() (far.Endpoint, error) { return native.New(stuck), nil }
					}
					var hosts []elastic.Target
					for i := range 3 {
						hosts = append(hosts, w.host(fmt.Sprint("host", i), serve))
					}
					conf := elastic.Config{Deadline: 100 * time.Millisecond}
					if standbys > 0 {
						conf.Standby = hosts[:standbys+1]
					}
					c := open(t, stuck, conf)
					ready := await(t, c, elastic.StandbyReady)
					move(t, c, hosts[0])
					if standbys > 0 {
						<-ready
					}
					begin := time.Now()
					go send(t, c, 1, 60)
					var want int64
					collect(t, c, &want, 1, 60, overran(10, 20))
					if took := time.Since(begin); took > 3*time.Second {
						t.Errorf("60 messages of which two never return took %v, want 3s at most: two attempts of 100ms each", took)
					}
					if s := c.Stats(); s.Fallbacks > 4 {
						t.Errorf("%d fallbacks, want two a message at most: %+v", s.Fallbacks, s)
					}
					closesWithin(t, c, time.Second)
				})
			})
		}
	}
}

// closesWithin checks that Close returns in time.
func closesWithin(t *testing.T, c *elastic.Channel[int64, int64], d time.Duration) {
	t.Helper()
	begin, closed := time.Now(), make(chan struct{})
	go func() {
		defer close(closed)
		c.Close()
	}()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatalf("Close waits for a minute: %+v", c.Stats())
	}
	if took := time.Since(begin); took > d {
		t.Errorf("Close took %v, want %v at most", took, d)
	}
}

// Close waits for no Handle longer than its deadline, for one second where there is none.
func TestCloseWhileAHandleIsStuck(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		for _, idempotent := range []bool{true, false} {
			for _, deadline := range []time.Duration{200 * time.Millisecond, -1} {
				synctest.Test(t, func(t *testing.T) {
					free := make(chan struct{})
					defer close(free)
					c := open(t, hooked(idempotent, sticks(free, 3)), elastic.Config{Mode: mode, Deadline: deadline})
					pace(t, c, 1, 5, time.Millisecond)
					time.Sleep(50 * time.Millisecond)
					most := deadline
					if most < 0 {
						most = time.Second
					}
					closesWithin(t, c, most)
				})
			}
		}
	}
}

// Close while a Handle is stuck in the replay of a recovery.
func TestCloseWhileAReplayIsStuck(t *testing.T) {
	for _, deadline := range []time.Duration{200 * time.Millisecond, -1} {
		inBoth(t, func(t *testing.T, w *world) {
			free := make(chan struct{})
			defer close(free)
			a := w.host("a", w.guests(hooked(true, takes(10*time.Millisecond))))
			c := open(t, hooked(true, sticks(free, 5)), elastic.Config{Deadline: deadline})
			move(t, c, a)
			send(t, c, 1, 10)
			var want int64
			collect(t, c, &want, 1, 2, nil)
			go a.stop()
			time.Sleep(50 * time.Millisecond)
			closesWithin(t, c, 1200*time.Millisecond)
		})
	}
}

// Shutdown ends with its ctx while a Handle is stuck.
func TestShutdownWhileAHandleIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		defer close(free)
		c := open(t, hooked(true, sticks(free, 1)), elastic.Config{Deadline: 200 * time.Millisecond})
		go c.Send(t.Context(), 1)
		time.Sleep(10 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		begin, ended := time.Now(), make(chan error, 1)
		go func() { ended <- c.Shutdown(ctx) }()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatal("Shutdown waits for a minute")
		}
		if took := time.Since(begin); took > 800*time.Millisecond {
			t.Errorf("Shutdown took %v, want its ctx's 500ms and what Close takes", took)
		}
	})
}

// A state that is too large to save costs checkpoints and moves, and nothing else.
func TestStateOverTheBound(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		a := w.host("a", func() (far.Endpoint, error) { return unsavable{native.New(sums(true))}, nil })
		c := open(t, sums(true), elastic.Config{Window: 16, Deadline: time.Second, CheckpointMessages: 8})
		move(t, c, a)
		wantStateOverTheBound(t, c, 64)
	})
}

// unsavable has a state that is too large.
type unsavable struct{ far.Endpoint }

func (unsavable) Save(context.Context) ([]byte, error) {
	return nil, &wire.Fail{Code: offload.CodeTooLarge, Text: "state of a far endpoint"}
}

// A guest that breaks when its state is saved breaks no message, and no other guest: the far endpoint goes
// to the UE, where its state stays what it was.
func TestSaveThatBreaksItsGuest(t *testing.T) {
	for _, atMove := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			swells := func() (far.Endpoint, error) { return &swollen{Endpoint: native.New(sums(true))}, nil }
			a, b := w.host("a", swells), w.host("b", swells)
			cfg := elastic.Config{CheckpointMessages: 1, Standby: []elastic.Target{b}}
			if atMove {
				cfg.CheckpointMessages, cfg.CheckpointInterval = 1<<20, time.Hour
			}
			c := open(t, sums(true), cfg)
			move(t, c, a)
			told := reason(t, c, elastic.FellBack)
			var want int64
			pace(t, c, 1, 40, 20*time.Millisecond)
			if atMove {
				collect(t, c, &want, 1, 10, nil)
				if err := moveWithin(t, c, nil, 5*time.Second); err != nil {
					t.Errorf("Move to the UE, where a recovery has led: %v", err)
				}
				collect(t, c, &want, 11, 30, nil)
			} else {
				collect(t, c, &want, 1, 40, nil)
			}
			wantTold(t, told, offload.CodeOutOfMemory)
			wantAt(t, c, "", 1)
			if s := c.Stats(); s.Broken != 0 || s.CheckpointsFailed > 1 {
				t.Errorf("stats %+v; want no message broken", s)
			}
		})
	}
}

// swollen has no memory for a copy of its state once it has handled three messages.
type swollen struct {
	far.Endpoint
	handled int
}

func (s *swollen) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	s.handled++
	return s.Endpoint.Handle(ctx, request)
}

func (s *swollen) Save(ctx context.Context) ([]byte, error) {
	if s.handled >= 3 {
		return nil, &wire.Fail{Code: offload.CodeOutOfMemory, Started: true, Text: "save the state"}
	}
	return s.Endpoint.Save(ctx)
}

// wantStateOverTheBound checks what a channel does whose state is too large to save. It
// keeps log messages at most.
func wantStateOverTheBound(t *testing.T, c *elastic.Channel[int64, int64], log int64) {
	t.Helper()
	where := c.Where()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	received := make(chan int64)
	go func() {
		n, want := int64(0), int64(0)
		for ; ; n++ {
			r, err := c.Recv(ctx)
			if want = want*31 + n + 1; err != nil || r.Err != nil || r.Value != want {
				break
			}
		}
		received <- n
	}()
	sent, refused := int64(0), error(nil)
	for sent < 10*log && refused == nil {
		if refused = c.Send(ctx, sent+1); refused == nil {
			sent++
		}
	}
	wantCode(t, "Send with a full log", refused, offload.CodeTooLarge)
	wantCode(t, "Move", moveWithin(t, c, nil, 5*time.Second), offload.CodeTooLarge)
	if got := <-received; got != sent {
		t.Errorf("%d outcomes for %d messages", got, sent)
	}
	wantAt(t, c, where, 0)
}

// A slow Handle within its deadline is no reason to leave its host: not for a
// checkpoint that waits for it either.
func TestSlowHandle(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		inBoth(t, func(t *testing.T, w *world) {
			slow := hooked(idempotent, takes(2500*time.Millisecond))
			a, b := w.host("a", w.guests(slow)), w.host("b", w.guests(slow))
			c := open(t, sums(idempotent), elastic.Config{Deadline: 9 * time.Second, CheckpointMessages: 1})
			move(t, c, a)
			begin := time.Now()
			go send(t, c, 1, 3)
			var want int64
			collect(t, c, &want, 1, 3, nil)
			if took := time.Since(begin); took > 8*time.Second {
				t.Errorf("3 messages of 2.5s took %v", took)
			}
			wantAt(t, c, "a", 0)
			go send(t, c, 4, 2)
			time.Sleep(time.Second) // the first of them is handled
			if err := moveWithin(t, c, b, 50*time.Second); err != nil {
				t.Errorf("move behind a slow Handle: %v", err)
			}
			collect(t, c, &want, 4, 2, nil)
			wantAt(t, c, "b", 0)
		})
	}
}

// Case C6: lateness counts from when a host could have begun a message. At 4 ms of work
// and 100 messages a second the replay after a kill takes longer than the deadline.
func TestReplayIsNoLateness(t *testing.T) {
	for _, standby := range []bool{true, false} {
		inBoth(t, func(t *testing.T, w *world) {
			work := hooked(true, takes(4*time.Millisecond))
			a, b := w.host("a", w.guests(work)), w.host("b", w.guests(work))
			conf := elastic.Config{Deadline: 100 * time.Millisecond, CheckpointMessages: 128, CheckpointInterval: time.Hour}
			if standby {
				conf.Standby = []elastic.Target{a, b}
			}
			c := open(t, work, conf)
			ready := await(t, c, elastic.StandbyReady)
			move(t, c, a)
			pace(t, c, 1, 600, 10*time.Millisecond)
			var want int64
			collect(t, c, &want, 1, 250, nil)
			if standby {
				<-ready
				go a.stop()
			} else {
				move(t, c, b) // a planned move replays, too
			}
			collect(t, c, &want, 251, 350, nil)
			if standby {
				wantAt(t, c, "b", 1)
			} else {
				wantAt(t, c, "b", 0)
			}
		})
	}
}
