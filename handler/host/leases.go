package host

import (
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/wire"
)

// How long a lease waits for its UE: for the first time, and for it to come back.
const (
	holdFor = 15 * time.Second
	missFor = 60 * time.Second
)

// forgetAfter is when an ended lease is forgotten. Until then its token is refused; later it has ended by itself.
const forgetAfter = lease.Lifetime + 2*lease.Skew

// A leaseState says what a lease in the table is at.
type leaseState int

// The states.
const (
	leaseHeld  leaseState = iota // no UE has come with it
	leaseUsed                    // one has
	leaseEnded                   // it counts no more
)

// A grant is a lease in the table. Its state belongs to the table; its use is for any goroutine.
type grant struct {
	lease.Lease
	token []byte

	state  leaseState
	since  time.Time // when the state began, its module was loaded, or the last of its UE's connections ended
	conns  int       // of its UE
	loads  int       // of its module, under way
	stopAt time.Time // zero: not stopped
	door   *door     // nil: its UE comes by the host's own port

	use   use
	ended atomic.Bool // its state is leaseEnded, for any goroutine
}

// A use is what a session does with its lease.
type use struct {
	calls  atomic.Uint64
	last   atomic.Int64 // time of the last call or message, in Unix nanoseconds
	rate   *rate.Limiter
	memory atomic.Int64 // bytes that an instance may have; 0: as the policy says
}

// next returns the state of g at now.
//
//	(none) --prepare, or a valid token--> held --a UE comes--> used
//	held --15 s, its module not being loaded--> ended;  used --no UE for 60 s--> ended
//	held, used --stop: its time passes--> ended
func (g *grant) next(now time.Time) leaseState {
	waited := now.Sub(g.since)
	switch {
	case !g.stopAt.IsZero() && !now.Before(g.stopAt),
		g.state == leaseHeld && g.loads == 0 && waited >= holdFor,
		g.state == leaseUsed && g.conns == 0 && waited >= missFor:
		return leaseEnded
	}
	return g.state
}

var (
	errLeaseEnded = errors.New("it has ended")
	errLeaseRoom  = errors.New("the host holds as many leases as it may")
)

// leases are those that a host has. It is pure: time is a parameter, and its owner has the mutex.
type leases struct {
	most int
	all  map[lease.ID]*grant
}

// hold puts a lease into the table, where it may be already.
func (t *leases) hold(now time.Time, l lease.Lease, token []byte) (*grant, error) {
	if g := t.all[l.ID]; g != nil {
		if g.next(now) == leaseEnded {
			return nil, errLeaseEnded
		}
		return g, nil
	}
	if len(t.all) >= t.most {
		return nil, errLeaseRoom
	}
	g := &grant{Lease: l, token: token, since: now}
	g.use.last.Store(now.UnixNano())
	g.use.rate = rate.NewLimiter(limitOf(l.Limits.Rate))
	g.use.memory.Store(l.Limits.Memory)
	t.all[l.ID] = g
	return g, nil
}

// limitOf returns the limit and the burst of so many calls a second. Zero is no limit.
func limitOf(perSecond float64) (rate.Limit, int) {
	if perSecond <= 0 {
		return rate.Inf, 0
	}
	return rate.Limit(perSecond), max(1, int(min(perSecond, 1e6)))
}

// come counts a connection of g's UE.
func (t *leases) come(now time.Time, g *grant) {
	g.state, g.since = leaseUsed, now
	g.conns++
}

// load counts a load of g's module: its UE is sent when that is done.
func (t *leases) load(g *grant) { g.loads++ }

// loaded takes it off again.
func (t *leases) loaded(now time.Time, g *grant) {
	g.loads--
	if g.state == leaseHeld {
		g.since = now
	}
}

// leave takes it off again.
func (t *leases) leave(now time.Time, g *grant) {
	g.conns--
	if g.state == leaseUsed {
		g.since = now
	}
}

// stop ends a lease after by. A later stop may only shorten it. It says whether the lease is in the table.
func (t *leases) stop(now time.Time, id lease.ID, by time.Duration) bool {
	g := t.all[id]
	if g == nil {
		return false
	}
	if at := now.Add(by); g.stopAt.IsZero() || at.Before(g.stopAt) {
		g.stopAt = at
	}
	return true
}

// limit gives a lease other limits.
func (t *leases) limit(now time.Time, id lease.ID, limits lease.Limits) bool {
	g := t.all[id]
	if g == nil {
		return false
	}
	g.Limits = limits
	limit, burst := limitOf(limits.Rate)
	g.use.rate.SetLimitAt(now, limit)
	g.use.rate.SetBurstAt(now, burst)
	g.use.memory.Store(limits.Memory)
	return true
}

// sweep ends what has ended, and returns it; it forgets what ended long ago.
func (t *leases) sweep(now time.Time) (ended []*grant) {
	for id, g := range t.all {
		switch next := g.next(now); {
		case g.state == leaseEnded && g.door == nil && now.Sub(g.since) >= forgetAfter:
			delete(t.all, id)
		case g.state != leaseEnded && next == leaseEnded:
			g.state, g.since = leaseEnded, now
			g.ended.Store(true)
			ended = append(ended, g)
		}
	}
	return ended
}

// takeDoors returns the doors of leases that have ended and have no connection, which have none from then on.
func (t *leases) takeDoors() (unused []*door) {
	for _, g := range t.all {
		if g.door != nil && g.state == leaseEnded && g.conns == 0 {
			unused, g.door = append(unused, g.door), nil
		}
	}
	return unused
}

// list returns the leases that count, by their IDs.
func (t *leases) list() []*grant {
	return slices.DeleteFunc(slices.SortedFunc(maps.Values(t.all), func(a, b *grant) int {
		return slices.Compare(a.ID[:], b.ID[:])
	}), func(g *grant) bool { return g.state == leaseEnded })
}

// beat returns what the manager is told of g.
func (g *grant) beat(now time.Time) wire.SessionBeat {
	return wire.SessionBeat{
		Lease: g.ID, Used: g.state == leaseUsed, Calls: g.use.calls.Load(),
		Idle: max(0, time.Duration(now.UnixNano()-g.use.last.Load())),
	}
}

// begin counts a call or a message.
func (u *use) begin(now time.Time) {
	u.last.Store(now.UnixNano())
	u.calls.Add(1)
}
