package elastic_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Case C5: no two far endpoints of a channel are at one host.
func TestOwnerAndStandbyAreApart(t *testing.T) {
	for _, busy := range []bool{false, true} {
		for pause := range 12 {
			inBoth(t, func(t *testing.T, w *world) {
				ep := sums(true)
				var atA, atB census
				a, b := w.host("a", atA.serve(w.guests(ep))), w.host("b", atB.serve(w.guests(ep)))
				c := open(t, ep, elastic.Config{Deadline: time.Second, CheckpointMessages: 4, Standby: []elastic.Target{a, b}})
				move(t, c, a)
				var want int64
				send(t, c, 1, 100)
				collect(t, c, &want, 1, 100, nil)
				time.Sleep(3 * time.Second)
				next := int64(101)
				if busy {
					pace(t, c, 101, 1000, time.Millisecond)
				}
				move(t, c, b)
				time.Sleep(time.Duration(pause) * time.Millisecond)
				move(t, c, a)
				if busy {
					collect(t, c, &want, 101, 1000, nil)
					next = 1101
				}
				time.Sleep(3 * time.Second)
				if onA, onB := atA.count(), atB.count(); c.Where() != "a" || onA != 1 || onB != 1 {
					t.Errorf("busy %t, pause of %d ms: at %q, with %d far endpoints at a and %d at b; want a, with its standby at b", busy, pause, c.Where(), onA, onB)
				}
				send(t, c, next, 10)
				go a.stop()
				collect(t, c, &want, next, 10, nil)
				send(t, c, next+10, 10)
				collect(t, c, &want, next+10, 10, nil)
				wantAt(t, c, "b", 1)
				time.Sleep(3 * time.Second)
				if onB := atB.count(); onB != 1 {
					t.Errorf("busy %t, pause of %d ms: %d far endpoints at b; its owner alone is right", busy, pause, onB)
				}
			})
		}
	}
}

// A move to the host of the standby takes the standby, or ends it.
func TestMoveToTheStandby(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := sums(true)
		var atA, atB census
		a, b := w.host("a", atA.serve(w.guests(ep))), w.host("b", atB.serve(w.guests(ep)))
		c := open(t, ep, elastic.Config{CheckpointMessages: 4, Standby: []elastic.Target{b}})
		ready := await(t, c, elastic.StandbyReady)
		move(t, c, a)
		<-ready
		for _, to := range []elastic.Target{b, a, b} {
			move(t, c, to)
			time.Sleep(3 * time.Second)
			onA, onB := atA.count(), atB.count()
			if to == b && (onA != 0 || onB != 1) || to == a && (onA != 1 || onB != 1) {
				t.Errorf("after the move to %s: %d far endpoints at a, %d at b", to.Name(), onA, onB)
			}
		}
	})
}

// A standby whose host drains goes at once; another one is prepared, and the owner stays.
func TestStandbyWhoseHostDrains(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := sums(true)
		var atB, atD census
		a, b, d := w.host("a", w.guests(ep)), w.host("b", atB.serve(w.guests(ep))), w.host("d", atD.serve(w.guests(ep)))
		c := open(t, ep, elastic.Config{CheckpointMessages: 4, Standby: []elastic.Target{b, d}})
		ready, lost := await(t, c, elastic.StandbyReady), losesStandby(t, c)
		move(t, c, a)
		<-ready
		b.drain()
		if e := <-lost; e.From != "b" || offload.CodeOf(e.Reason) != offload.CodeDraining {
			t.Errorf("lost the standby on %q because of %v; want b, and that it drains", e.From, e.Reason)
		}
		time.Sleep(30 * time.Second)
		if onB, onD := atB.count(), atD.count(); onB != 0 || onD != 1 {
			t.Errorf("%d far endpoints at b, which drains, and %d at d; want 0 and 1", onB, onD)
		}
		var want int64
		send(t, c, 1, 10)
		collect(t, c, &want, 1, 10, nil)
		wantAt(t, c, "a", 0)
	})
}

// The host of a Move drains, and then the Move fails: the candidate, which becomes the standby again, goes at once.
func TestCandidateWhoseHostDrains(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.slowDown(false) // packets, so that a Move takes 2.8 s
		ep := hooked(true, grows(1, slowState))
		var atB census
		a, b := w.host("a", w.guests(ep)), w.host("b", atB.serve(w.guests(ep)))
		c := open(t, ep, elastic.Config{CheckpointInterval: time.Hour, Standby: []elastic.Target{b}})
		ready, lost := await(t, c, elastic.StandbyReady), losesStandby(t, c)
		move(t, c, a)
		<-ready
		var want int64
		send(t, c, 1, 10)
		collect(t, c, &want, 1, 10, nil)
		moved := make(chan error, 1)
		go func() { moved <- moveWithin(t, c, b, time.Second) }()
		time.Sleep(500 * time.Millisecond)
		b.drain()
		if err := <-moved; err == nil {
			t.Error("a state of 1 MB has moved within a second")
		}
		select {
		case e := <-lost:
			if e.From != "b" || offload.CodeOf(e.Reason) != offload.CodeDraining {
				t.Errorf("lost the standby on %q because of %v; want b, and that it drains", e.From, e.Reason)
			}
		case <-time.After(time.Second):
			t.Errorf("%d far endpoints at b, which drains; want none", atB.count())
		}
		send(t, c, 11, 10)
		collect(t, c, &want, 11, 10, nil)
		wantAt(t, c, "a", 0)
	})
}

// losesStandby returns where the next loss of a standby is told.
func losesStandby(t *testing.T, c *elastic.Channel[int64, int64]) <-chan elastic.Event {
	lost := make(chan elastic.Event, 1)
	events := c.Events(t.Context())
	go func() {
		for e := range events {
			if e.Kind == elastic.StandbyLost {
				lost <- e
				return
			}
		}
	}()
	return lost
}

// A census counts the far endpoints at a host.
type census struct {
	mu sync.Mutex
	n  int
}

func (s *census) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *census) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n += n
}

func (s *census) serve(open func() (far.Endpoint, error)) func() (far.Endpoint, error) {
	return func() (far.Endpoint, error) {
		ep, err := open()
		s.add(1)
		return counted{ep, s}, err
	}
}

type counted struct {
	far.Endpoint
	s *census
}

func (c counted) Close() {
	c.s.add(-1)
	c.Endpoint.Close()
}

// sleepy takes as long to prepare as it may.
type sleepy struct{}

func (sleepy) Name() string { return "sleepy" }

func (sleepy) Prepare(ctx context.Context, _ *offload.Desc) (elastic.Host, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// A standby that takes no state is tried ever less often.
func TestStandbyThatFails(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := sums(true)
		var tries atomic.Int32
		a := w.host("a", w.guests(ep))
		b := w.host("b", func() (far.Endpoint, error) { tries.Add(1); return full{native.New(ep)}, nil })
		c := open(t, ep, elastic.Config{Deadline: time.Second, Standby: []elastic.Target{a, b}})
		move(t, c, a)
		pace(t, c, 1, 1200, 50*time.Millisecond) // for a minute
		var want int64
		collect(t, c, &want, 1, 1100, nil)
		if n := tries.Load(); n > 20 {
			t.Errorf("the standby was tried %d times in a minute, want pauses that grow to 30s", n)
		}
		wantAt(t, c, "a", 0)
	})
}

// A standby that cannot be had is looked for ever less often, and is found once it can, though no message comes.
func TestStandbyThatRefuses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ep := sums(true)
		var tries atomic.Int32
		a := w.host("a", w.guests(ep))
		begin := time.Now()
		b := w.host("b", func() (far.Endpoint, error) {
			if tries.Add(1); time.Since(begin) < 10*time.Second {
				return nil, &wire.Fail{Code: offload.CodeOverloaded}
			}
			return native.New(ep), nil
		})
		c := open(t, ep, elastic.Config{CheckpointInterval: 50 * time.Millisecond, Standby: []elastic.Target{b}})
		ready := await(t, c, elastic.StandbyReady)
		move(t, c, a)
		select {
		case <-ready:
		case <-time.After(time.Minute):
			t.Error("there is no standby for a minute")
		}
		if n := tries.Load(); n > 10 {
			t.Errorf("the standby was tried %d times in 10s, want pauses that grow", n)
		}
	})
}

// While a standby is brought up no other one is, whatever happens meanwhile.
func TestOneStandbyIsBroughtUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ep := sums(true)
		var tries atomic.Int32
		a := w.host("a", w.guests(ep))
		b := w.host("b", func() (far.Endpoint, error) {
			tries.Add(1)
			time.Sleep(time.Second)
			return native.New(ep), nil
		})
		c := open(t, ep, elastic.Config{CheckpointMessages: 1, Standby: []elastic.Target{b}})
		ready := await(t, c, elastic.StandbyReady)
		move(t, c, a)
		pace(t, c, 1, 20, 10*time.Millisecond)
		var want int64
		collect(t, c, &want, 1, 20, nil)
		<-ready
		if n := tries.Load(); n != 1 {
			t.Errorf("%d standbys were brought up at once", n)
		}
	})
}

// StandBy changes which hosts stand by, whatever there was before: each has a far endpoint then, and no other has.
func TestStandByChanges(t *testing.T) {
	tests := []struct {
		name  string
		first []string
		pause time.Duration // between the two
		then  []string
		want  string // where the channel is when its host is lost
	}{
		{"none, then one", nil, time.Second, []string{"b"}, "b"},
		{"one, then another", []string{"b"}, time.Second, []string{"d"}, "d"},
		{"one, and at once another", []string{"b"}, 0, []string{"d"}, "d"},
		{"one, and soon another", []string{"b"}, 3 * time.Millisecond, []string{"d"}, "d"},
		{"one, then none", []string{"b"}, time.Second, nil, ""},
		{"the owner's host, and one more", nil, time.Second, []string{"a", "b"}, "b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, w *world) {
				ep := sums(true)
				seen := map[string]*census{"a": {}, "b": {}, "d": {}}
				hosts := map[string]*host{}
				for _, name := range []string{"a", "b", "d"} {
					hosts[name] = w.host(name, seen[name].serve(w.guests(ep)))
				}
				named := func(all []string) (targets []elastic.Target) {
					for _, name := range all {
						targets = append(targets, hosts[name])
					}
					return targets
				}
				c := open(t, ep, elastic.Config{CheckpointMessages: 4, Standby: named(tt.first)})
				pace(t, c, 1, 500, 10*time.Millisecond)
				move(t, c, hosts["a"])
				time.Sleep(tt.pause)
				if err := c.StandBy(named(tt.then)...); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				for name, of := range seen {
					want := 0
					if name == "a" || name == tt.want {
						want = 1
					}
					if n := of.count(); n != want {
						t.Errorf("%d far endpoints at %s, want %d", n, name, want)
					}
				}
				hosts["a"].stop()
				var want int64
				collect(t, c, &want, 1, 500, nil)
				wantAt(t, c, tt.want, 1)
			})
		})
	}
}

func TestStandByNothing(t *testing.T) {
	c := open(t, sums(true), elastic.Config{})
	if err := c.StandBy(nil); err == nil {
		t.Error("a nil target stands by")
	}
}
