package line

import "time"

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
		if j.state == running && !j.out && j.ran+v.now.Sub(j.since) >= j.ask.Time {
			return putOut(ErrTime), j
		}
	}
	want := v.first(waiting, paused)
	if want == nil {
		return nil, nil
	}
	if left, leaving := v.memory(); want.state == waiting && left < want.ask.Memory {
		out := v.last(want, farAhead, func(j *Job) bool { return j.state == paused || v.pausable(j) })
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
	if ahead := v.last(want, v.cfg.Slice, v.pausable); ahead != nil {
		return pause, ahead
	}
	return nil, nil
}

// first returns the job in one of these states whose tenant has had least, of one tenant
// the first that came; nil when there is none.
func (v *view) first(states ...state) (best *Job) {
	for _, j := range v.jobs {
		for _, s := range states {
			if j.state == s && !j.out && (best == nil || v.used[j.ask.Tenant] < v.used[best.ask.Tenant]) {
				best = j
			}
		}
	}
	return best
}

// farAhead is how much more than another a tenant has had whose work is lost, not only
// paused, for the other's: more than an honest job takes.
const farAhead = 10 * time.Second

// last returns the job that may be chosen whose tenant has had most, of one tenant the last that
// came; nil where none is so far ahead of want.
func (v *view) last(want *Job, lead time.Duration, may func(*Job) bool) (most *Job) {
	for _, j := range v.jobs {
		switch {
		case j.out || !may(j) || v.used[j.ask.Tenant]-v.used[want.ask.Tenant] < lead:
		case most == nil || v.used[j.ask.Tenant] >= v.used[most.ask.Tenant]:
			most = j
		}
	}
	return most
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
