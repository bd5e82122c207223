package host

import (
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// How far back the percentiles look that the manager is told, and at how many calls at most.
const (
	turnWindow  = 60 * time.Second
	replyWindow = 30 * time.Second
	maxObserved = 1024
)

// loads are what the calls and messages of each module took since the process began, of all tenants.
type loads struct {
	mu  sync.Mutex // leaf
	all map[digest]*load
}

// A load is that of one module.
type load struct {
	calls uint64
	r, s  time.Duration // sums: in the host, and of these in a turn
	last  []observed    // a ring
	at    int           // where the next one goes
}

// observed is what one call took.
type observed struct {
	at   time.Time
	r, s time.Duration
}

// observe counts a call that came at begin, entered its guest, unless that is zero, and ended.
func (l *loads) observe(m digest, begin, entered, end time.Time) {
	if entered.IsZero() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[digest]*load{}
	}
	x := l.all[m]
	if x == nil {
		x = &load{}
		l.all[m] = x
	}
	o := observed{end, end.Sub(begin), end.Sub(entered)}
	x.calls++
	x.r += o.r
	x.s += o.s
	if len(x.last) < maxObserved {
		x.last = append(x.last, o)
		return
	}
	x.last[x.at] = o
	x.at = (x.at + 1) % maxObserved
}

// beats returns what the manager is told of modules: those of states, and those that have been called.
// A module that is not in states any more and has not been called in turnWindow is told once more, and forgotten
// only when there are more than most of them.
func (l *loads) beats(now time.Time, states map[digest]wire.ModuleState, most int) []wire.ModuleBeat {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []wire.ModuleBeat
	for m, state := range states {
		all = append(all, l.all[m].beat(now, m, state))
	}
	for m, x := range l.all {
		if _, told := states[m]; !told {
			all = append(all, x.beat(now, m, 0))
			if len(l.all) > most {
				delete(l.all, m)
			}
		}
	}
	slices.SortFunc(all, func(a, b wire.ModuleBeat) int { return slices.Compare(a.Module[:], b.Module[:]) })
	return all
}

// beat returns what the manager is told of module m. x may be nil.
func (x *load) beat(now time.Time, m digest, state wire.ModuleState) wire.ModuleBeat {
	b := wire.ModuleBeat{Module: m, State: state}
	if x == nil {
		return b
	}
	b.Calls, b.R, b.S = x.calls, x.r, x.s
	b.S10 = percentile(x.within(now, turnWindow, func(o observed) time.Duration { return o.s }), 10)
	r := x.within(now, replyWindow, func(o observed) time.Duration { return o.r })
	b.R50, b.R99 = percentile(r, 50), percentile(r, 99)
	return b
}

// within returns the times, sorted, that calls took which ended within d before now.
func (x *load) within(now time.Time, d time.Duration, of func(observed) time.Duration) (all []time.Duration) {
	for _, o := range x.last {
		if now.Sub(o.at) <= d {
			all = append(all, of(o))
		}
	}
	slices.Sort(all)
	return all
}

// percentile returns the p-th percentile of sorted times by nearest rank, 0 of none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(1, (len(sorted)*p+99)/100)-1]
}

// samples returns the turn times of the last n calls of m, the latest last.
func (l *loads) samples(m digest, n int) (all []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.all[m]
	if x == nil {
		return nil
	}
	for i := range x.last {
		all = append(all, x.last[(x.at+i)%len(x.last)].s)
	}
	return all[max(0, len(all)-n):]
}
