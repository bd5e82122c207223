package line

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A view is the line at a moment, as next decides by.
type view struct {
	cfg  Config
	now  time.Time
	used map[string]time.Duration // by each tenant, up to now
	jobs []*Job
}

// next returns what to do next, and to which job; nil when all is as it should be. l.mu
// is held.
func (l *Line) next(now time.Time) (act func(*Job, time.Time), j *Job) {
	v := view{l.cfg, now, map[string]time.Duration{}, l.jobs}
	for _, j := range l.jobs {
		if _, ok := v.used[j.ask.Tenant]; !ok {
			v.used[j.ask.Tenant] = l.used[j.ask.Tenant].now(now)
		}
	}
	for _, j := range l.jobs {
		if j.state == running {
			v.used[j.ask.Tenant] += now.Sub(j.since)
		}
	}
	return v.decide()
}

// decide is next, as a function of the view alone.
func (v *view) decide() (act func(*Job, time.Time), j *Job) {
	for _, j := range v.jobs {
		if j.state == running && !j.out && v.ran(j) >= j.ask.Time {
			return putOut(ErrTime), j
		}
	}
	want := v.first(waiting, paused)
	if want == nil {
		return nil, nil
	}
	if left, leaving := v.memory(); want.state == waiting && left < want.ask.Memory {
		spared := v.spared()
		out := v.last(want, func(j *Job) bool { return j != spared && (j.state == paused || v.pausable(j)) })
		if out != nil && left+leaving < want.ask.Memory {
			return putOut(ErrRoom), out
		}
		if want = v.first(paused); want == nil {
			return nil, nil
		}
	}
	if v.count(running) < v.cfg.Places {
		return start, want
	}
	if ahead := v.last(want, v.pausable); ahead != nil {
		return pause, ahead
	}
	return nil, nil
}

// first returns the job in one of these states whose turn is next; nil when there is none.
func (v *view) first(states ...state) (best *Job) {
	seen := map[string]bool{} // tenants: their jobs go in the order in which they came
	for _, j := range v.jobs {
		if j.out || seen[j.ask.Tenant] || !slices.Contains(states, j.state) {
			continue
		}
		seen[j.ask.Tenant] = true
		if best == nil || v.before(j, best) {
			best = j
		}
	}
	return best
}

// before says whether the turn of a comes before that of b, which came earlier.
func (v *view) before(a, b *Job) bool {
	had := func(j *Job) time.Duration { return v.used[j.ask.Tenant] / v.cfg.Slice }
	return cmp.Or(cmp.Compare(had(a), had(b)), cmp.Compare(v.left(a), v.left(b))) < 0
}

// left is how long j may still run until it is overdue. Nobody knows when one that is ends.
func (v *view) left(j *Job) time.Duration {
	if left := j.ask.Usual - v.ran(j); left > 0 {
		return left
	}
	return math.MaxInt64
}

// ran is how long j has run in this turn.
func (v *view) ran(j *Job) time.Duration {
	if j.state == running {
		return j.ran + v.now.Sub(j.since)
	}
	return j.ran
}

// last returns the job that may be chosen and yields to want whose tenant has had most, of one
// tenant the last that came; nil where none does.
func (v *view) last(want *Job, may func(*Job) bool) (most *Job) {
	for _, j := range v.jobs {
		switch {
		case j.out || !may(j) || v.heldAgainst(j)-v.used[want.ask.Tenant] < v.cfg.Slice:
		case most == nil || v.used[j.ask.Tenant] >= v.used[most.ask.Tenant]:
			most = j
		}
	}
	return most
}

// heldAgainst is the use that counts against j: what its tenant had had when it began, or,
// when it is overdue, has had.
func (v *view) heldAgainst(j *Job) time.Duration {
	had := v.used[j.ask.Tenant]
	if v.left(j) == math.MaxInt64 {
		return had
	}
	return had - v.ran(j)
}

// spared returns the job that is not put out, as it was before and is the first in the line of
// those that have begun anew; nil when there is none.
func (v *view) spared() *Job {
	for _, j := range v.jobs {
		if j.again && j.state != waiting {
			return j
		}
	}
	return nil
}

// pausable says whether j has had its place for a slice, and can do without.
func (v *view) pausable(j *Job) bool {
	return j.state == running && j.work != nil && v.now.Sub(j.since) >= v.cfg.Slice
}

// memory returns what is left of it, and what jobs that were put out have until they
// leave.
func (v *view) memory() (left, leaving int64) {
	left = v.cfg.Memory
	for _, j := range v.jobs {
		if j.state != waiting {
			left -= j.ask.Memory
		}
		if j.out {
			leaving += j.ask.Memory
		}
	}
	return left, leaving
}

func (v *view) count(s state) (n int) {
	for _, j := range v.jobs {
		if j.state == s {
			n++
		}
	}
	return n
}
