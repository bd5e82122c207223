package host

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/lease"
)

func table() *leases { return &leases{most: 4, all: map[lease.ID]*grant{}} }

func leaseOf(n byte) lease.Lease { return lease.Lease{ID: lease.ID{n}} }

// A lease goes through the states that grant.next draws.
func TestLeaseStates(t *testing.T) {
	type step struct {
		after time.Duration
		do    string // load, loaded, come, leave, stop 5 s; "" only looks
		want  leaseState
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"nobody comes", []step{{14 * time.Second, "", leaseHeld}, {time.Second, "", leaseEnded}}},
		{"its module takes a minute", []step{
			{0, "load", leaseHeld}, {time.Minute, "loaded", leaseHeld}, {14 * time.Second, "", leaseHeld}, {time.Second, "", leaseEnded},
		}},
		{"it is stopped while its module is loaded", []step{{0, "load", leaseHeld}, {0, "stop", leaseHeld}, {5 * time.Second, "loaded", leaseEnded}}},
		{"a UE comes in time", []step{{14 * time.Second, "come", leaseUsed}, {time.Hour, "", leaseUsed}}},
		{"it leaves, and is back", []step{
			{0, "come", leaseUsed}, {time.Hour, "leave", leaseUsed}, {59 * time.Second, "come", leaseUsed}, {time.Hour, "", leaseUsed},
		}},
		{"it leaves for good", []step{{0, "come", leaseUsed}, {0, "leave", leaseUsed}, {59 * time.Second, "", leaseUsed}, {time.Second, "", leaseEnded}}},
		{"one of two connections leaves", []step{{0, "come", leaseUsed}, {0, "come", leaseUsed}, {0, "leave", leaseUsed}, {time.Hour, "", leaseUsed}}},
		{"it is stopped in use", []step{{0, "come", leaseUsed}, {0, "stop", leaseUsed}, {4 * time.Second, "", leaseUsed}, {time.Second, "", leaseEnded}}},
		{"it is stopped before its UE comes", []step{{0, "stop", leaseHeld}, {5 * time.Second, "", leaseEnded}}},
		{"it is stopped twice, and the first counts", []step{{0, "stop", leaseHeld}, {4 * time.Second, "stop", leaseHeld}, {time.Second, "", leaseEnded}}},
		{"it leaves after its end", []step{{0, "come", leaseUsed}, {0, "stop", leaseUsed}, {5 * time.Second, "", leaseEnded}, {0, "leave", leaseEnded}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, now := table(), time.Unix(1e9, 0)
			g, err := l.hold(now, leaseOf(1), nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range tt.steps {
				now = now.Add(s.after)
				l.sweep(now)
				switch s.do {
				case "load":
					l.load(g)
				case "loaded":
					l.loaded(now, g)
				case "come":
					l.come(now, g)
				case "leave":
					l.leave(now, g)
				case "stop":
					l.stop(now, g.ID, 5*time.Second)
				}
				if g.state != s.want {
					t.Fatalf("after step %d, %+v: state %d, want %d", i, s, g.state, s.want)
				}
			}
		})
	}
}

// An ended lease stays refused for as long as its token could be used, and is forgotten then.
func TestEndedLeaseIsRemembered(t *testing.T) {
	l, now := table(), time.Unix(1e9, 0)
	l.hold(now, leaseOf(1), nil)
	now = now.Add(holdFor)
	if _, err := l.hold(now, leaseOf(1), nil); !errors.Is(err, errLeaseEnded) {
		t.Errorf("a lease whose time has passed, before a sweep: %v, want %v", err, errLeaseEnded)
	}
	if ended := l.sweep(now); len(ended) != 1 || len(l.list()) != 0 {
		t.Errorf("%d have ended, %d are listed", len(ended), len(l.list()))
	}
	if ended := l.sweep(now); len(ended) != 0 {
		t.Errorf("it ends again: %v", ended)
	}
	now = now.Add(lease.Lifetime)
	l.sweep(now)
	if _, err := l.hold(now, leaseOf(1), nil); !errors.Is(err, errLeaseEnded) {
		t.Errorf("a lease that ended: %v, want %v", err, errLeaseEnded)
	}
	l.sweep(now.Add(forgetAfter))
	if len(l.all) != 0 {
		t.Error("it is never forgotten")
	}
}

func TestLeasesAreBounded(t *testing.T) {
	l, now := table(), time.Unix(1e9, 0)
	for n := range byte(4) {
		if _, err := l.hold(now, leaseOf(n), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.hold(now, leaseOf(4), nil); !errors.Is(err, errLeaseRoom) {
		t.Errorf("a fifth of four: %v, want %v", err, errLeaseRoom)
	}
	if _, err := l.hold(now, leaseOf(3), nil); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if l.stop(now, lease.ID{9}, 0) || l.limit(now, lease.ID{9}, lease.Limits{}) {
		t.Error("one that is not there is stopped, or limited")
	}
}

// A lease's calls are counted, and those over its rate are not allowed.
func TestLeaseRate(t *testing.T) {
	l, now := table(), time.Unix(1e9, 0)
	limited := leaseOf(1)
	limited.Limits.Rate = 10
	g, _ := l.hold(now, limited, nil)
	count := func(n int) (allowed int) {
		for range n {
			g.use.begin(now)
			if g.use.rate.AllowN(now, 1) {
				allowed++
			}
		}
		return allowed
	}
	if n := count(50); n != 10 {
		t.Errorf("%d of 50 calls at once, want 10", n)
	}
	now = now.Add(time.Second)
	l.limit(now, g.ID, lease.Limits{})
	if n := count(50); n != 50 {
		t.Errorf("%d of 50 calls without a limit", n)
	}
	now = now.Add(3 * time.Second)
	if b := g.beat(now); b.Calls != 100 || b.Idle != 3*time.Second || b.Used {
		t.Errorf("the manager is told %+v", b)
	}
}

// Whatever happens in whatever order, a lease never comes back from its end, none is held or missed for longer than
// it may, and the table is bounded.
func TestLeasesAtRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	l, now := table(), time.Unix(1e9, 0)
	ended := map[*grant]bool{}
	for range 20_000 {
		now = now.Add(time.Duration(rnd.Int64N(int64(5 * time.Second))))
		id := byte(rnd.IntN(6))
		g := l.all[lease.ID{id}]
		switch rnd.IntN(5) {
		case 0:
			if g, err := l.hold(now, leaseOf(id), nil); err == nil && rnd.IntN(2) == 0 {
				l.come(now, g)
			}
		case 1:
			if g != nil && g.conns > 0 {
				l.leave(now, g)
			}
		case 2:
			l.stop(now, lease.ID{id}, time.Duration(rnd.Int64N(int64(time.Minute))))
		}
		for _, g := range l.sweep(now) {
			ended[g] = true
		}
		if len(l.all) > l.most {
			t.Fatalf("%d leases in a table of %d", len(l.all), l.most)
		}
		for _, g := range l.list() {
			if ended[g] || g.next(now) == leaseEnded {
				t.Fatalf("seed %d: lease %x counts after its end: %+v", seed, g.ID[0], g)
			}
		}
	}
	if len(ended) < 100 {
		t.Errorf("only %d leases ended: the walk tries nothing", len(ended))
	}
}
