package policy

import "time"

const (
	// full is the share of the deadline, or of the link, that a level may take; a better level than the present one must take fuller less
	// than that, so that the level does not swing.
	full, fuller = 0.9, 0.75
	// hedgeSpread is how much longer than its tail a call on the UE may take and the hedged call is still in time.
	hedgeSpread = 1.1
	// staleEdge and staleUE are the ages at which it is time to look how a place is where calls do not run; on the UE less changes.
	staleEdge, staleUE = 5 * time.Second, 60 * time.Second
	// unsafeEdge and unsafeUE are the ages at which a call looks that is expected to be late.
	unsafeEdge, unsafeUE = rationed, 4 * time.Minute
	// leastLooks is how many looks make a first estimate, and confirm another one; sooner is how many times more often they come until then.
	leastLooks, sooner = jumped, 10
)

// fit chooses the levels of function i: at each place the best that is in time there.
func (p *plan) fit(i int) {
	f := &p.v.Functions[i]
	for where := OnUE; where <= OnEdge; where++ {
		level := &p.next[i].Fidelity[where]
		n := max(1, len(f.Levels))
		chosen := n - 1
		for l := range n {
			most := full
			if l < int(*level) {
				most = fuller
			}
			if p.fits(i, where, uint8(l), most) {
				chosen = l
				break
			}
		}
		*level = uint8(chosen)
	}
}

// fits says whether calls at a level are in time at a place, and can be as many as come, with a share of deadline and link.
func (p *plan) fits(i int, where Place, level uint8, share float64) bool {
	f := &p.v.Functions[i]
	pr := p.v.Predict(i, where, level)
	if f.Require.Latency > 0 && pr.Known && float64(pr.Tail) > share*float64(f.Require.Latency) {
		return false
	}
	up, known := p.v.Link.Up.Get()
	if where == OnUE || !known {
		return true
	}
	return p.traffic(i, level) <= share*up
}

// traffic returns the bytes a second up of function i at a level, with those of the other functions on the edge.
func (p *plan) traffic(i int, level uint8) float64 {
	sum := 0.0
	for j := range p.next {
		f, s := &p.v.Functions[j], &p.next[j]
		l := s.Fidelity[OnEdge]
		if j == i {
			l = level
		} else if s.Where != OnEdge {
			continue
		}
		bytes := f.Edge.Up.Or(0)
		if at := f.level(l); at != nil {
			bytes = at.Bytes.Or(bytes)
		}
		sum += bytes * max(f.Rate.Or(0), f.Require.Rate)
	}
	return sum
}

// finish settles how calls of function i run where it stands.
func (p *plan) finish(i int, every uint64) {
	s, f := &p.next[i], &p.v.Functions[i]
	here, there := p.at(i, OnUE), p.at(i, OnEdge)
	s.Hedge = hedge(f, here, there, s.Where == OnUE)
	s.MostBytes = p.mostBytes(f, here, there)
	s.Explore = p.explore(i, here, there, every)
}

// hedge returns when a call on an edge host is begun on the UE, too: in time for the deadline, but not before most answers are there. It is 0
// where the UE would be late all the same. Those few that only look are hedged in any case.
func hedge(f *Function, here, there Prediction, look bool) time.Duration {
	if !f.Idempotent || f.Require.Latency <= 0 || !here.Known || f.Require.Private {
		return 0
	}
	after := max(f.Require.Latency-scale(here.Tail, hedgeSpread), time.Millisecond)
	if !look {
		after = max(after, there.Tail)
	}
	if after+here.Typical > f.Require.Latency {
		return 0
	}
	return after
}

// mostBytes returns the largest request that is in time at the edge; 0, any, where it is not known or the UE is no better.
func (p *plan) mostBytes(f *Function, here, there Prediction) int {
	up, known := f.Edge.Up.Get()
	rate, also := p.v.Link.Up.Get()
	deadline := f.Require.Latency
	if !known || !also || deadline <= 0 || !there.Known || !here.Known || here.risk(deadline) > urgent {
		return 0
	}
	return max(1, int(up+(deadline-there.Tail).Seconds()*rate))
}

// explore returns in how many calls one looks how the other place is, 0 for none. The first looks come sooner, and those after one that
// shows another picture than was known.
func (p *plan) explore(i int, here, there Prediction, every uint64) uint64 {
	s, f := &p.next[i], &p.v.Functions[i]
	other, seen, stale, unsafe := &f.Edge, there, staleEdge<<s.Refused, unsafeEdge<<s.Refused
	if s.Where == OnEdge {
		other, seen, stale, unsafe = &f.UE, here, staleUE, unsafeUE
		if _, hot := p.hot(i); hot {
			return 0
		}
	}
	if _, ready := p.v.host(); !ready || f.Require.Private || s.Why.Reason == TooDear {
		return 0
	}
	safe := s.Where == OnUE && s.Hedge > 0 && s.Hedge+here.Tail <= f.Require.Latency
	late := seen.risk(f.Require.Latency) > margin
	switch {
	case late && !safe && other.Age < unsafe:
		return 0
	case other.Calls < leastLooks, other.Doubt > 0 && safe:
		return max(1, every/sooner)
	case other.Age < stale:
		return 0
	}
	return every << s.Refused
}

// An Unmet is a requirement that no place meets.
type Unmet struct {
	Function int
	Which    string  // "latency", "rate" or "price"
	Want     float64 // what is asked for [s, 1/s, or the operator's unit]
	Best     float64 // what there is
}

// Unmet returns the requirements that cannot be met as things are. What is not known yet counts as met.
func (v *View) Unmet() []Unmet {
	var all []Unmet
	for i := range v.Functions {
		all = append(all, v.unmet(i)...)
	}
	return all
}

func (v *View) unmet(i int) (all []Unmet) {
	f := &v.Functions[i]
	r := &f.Require
	lowest := uint8(max(0, len(f.Levels)-1))
	host, ready := v.host()
	price, priced := host.Price.Get()
	dear := priced && r.Price > 0 && price > r.Price
	best, edge := v.Predict(i, OnUE, lowest), v.Predict(i, OnEdge, lowest)
	usable := ready && !r.Private && !dear
	if !best.Known || usable && !edge.Known {
		return nil
	}
	if r.Latency > 0 && best.Typical > r.Latency && (!usable || edge.Typical > r.Latency) {
		least := best.Typical
		if usable {
			least = min(least, edge.Typical)
		}
		all = append(all, Unmet{i, "latency", r.Latency.Seconds(), least.Seconds()})
		if dear && edge.Known && edge.Typical <= r.Latency {
			all = append(all, Unmet{i, "price", r.Price, price})
		}
	}
	if cores, known := v.Device.Cores.Get(); known && r.Rate > 0 && !usable {
		if most := cores / f.UE.CPU.Or(best.Typical).Seconds(); r.Rate > most {
			all = append(all, Unmet{i, "rate", r.Rate, most})
		}
	}
	return all
}
