package placement

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"time"
)

// A Decider says where a session of a snapshot runs.
type Decider func(now time.Time, s *Snapshot, session string) Decision

// Decide says where a session runs. It does not change the snapshot.
//
// A host is feasible when its state, labels, price, distance, memory and turns allow it, and 99 of 100 calls of the
// session and of each one there will be in time. The best host is that of the shortest latency; of those within [Alike] of it, the one
// with the least load in steps of 5 %, then one that has compiled the module, then one that has it, then the cheapest, then the least load,
// then the first by name. The standby is the best of the others, or the one that there is as long as it is feasible.
//
//	has no host               -> the best, or none
//	host cannot keep it       -> its standby if that is feasible, else the best, or none: at once
//	misses, or is expected to -> the best of those of at most Gain of its latency; at most one move in Dwell
//	else                      -> stays
func Decide(now time.Time, s *Snapshot, session string) Decision {
	d := Decision{Session: session, Cause: UnknownHere}
	x := s.sessions[session]
	if x == nil {
		return d
	}
	d.From = x.Primary
	options := d.options(now, s, x)
	here := s.hosts[x.Primary]
	if here == nil {
		d.Cause = Asked
		return d.admit(x, options)
	}
	stay, r := here.try(x, x.link(here.Name)).judge(now, s.ThetaNet)
	d.Cause = cause(x, stay, r)
	switch d.Cause {
	case Fine:
		return d.stay(x, stay, options)
	case CannotStay:
		return d.leave(now, x, stay, r, options)
	}
	d = d.improve(now, x, stay, options)
	if d.Verdict == Moves && d.Standby == "" && r.Bound == NoBound {
		d.Standby = x.Primary // slow, but it has the state
	}
	return d
}

// options returns the feasible hosts but the one where x is, and notes why the others are not.
func (d *Decision) options(now time.Time, s *Snapshot, x *Session) []option {
	all := make([]option, 0, len(x.Links))
	slowest := s.slowest(x)
	for i := range x.Links {
		h := s.hosts[x.Links[i].Host]
		if h == nil || h.Name == x.Primary {
			continue
		}
		o, r := h.try(x, &x.Links[i]).noFasterThan(slowest).judge(now, s.ThetaNet)
		if r.Bound != NoBound {
			d.reject(r)
			continue
		}
		all = append(all, o)
	}
	return all
}

// cause says whether a session may stay where it is, and whether it should.
func cause(x *Session, stay option, r Rejection) Cause {
	switch {
	case r.Bound != NoBound && r.Bound <= TooSlow:
		return CannotStay
	case x.Felt.Calls > 0 && float64(x.Felt.Missed) >= MaxMissed*float64(x.Felt.Calls) && x.Felt.Missed > 0:
		return FeltMisses
	case stay.Missed >= MaxMissed:
		return WouldMiss
	}
	return Fine
}

// admit takes the best of the options.
func (d Decision) admit(x *Session, options []option) Decision {
	if len(options) == 0 {
		d.Verdict, d.RetryAfter = Local, retry(d.Session, d.Rejected)
		return d
	}
	return d.take(x, options, best(options), Placed)
}

// leave moves a session off a host that cannot keep it. While the host still does, others that are on
// their way are let pass.
func (d Decision) leave(now time.Time, x *Session, here option, why Rejection, options []option) Decision {
	d.Rejected = slices.Insert(d.Rejected, 0, why)[:min(len(d.Rejected)+1, MaxRejected)]
	d.By = by(now, here.h)
	free := options
	if d.By > 0 {
		free = slices.DeleteFunc(slices.Clone(options), func(o option) bool { return o.h.Name != x.Standby && o.h.arriving() >= MaxArriving })
	}
	switch {
	case len(options) == 0:
		d.Verdict, d.RetryAfter = Local, retry(d.Session, d.Rejected)
		return d
	case len(free) == 0:
		return d.stay(x, here, options)
	}
	to := free[best(free)].h
	if i := slices.IndexFunc(free, func(o option) bool { return o.h.Name == x.Standby }); i >= 0 {
		to = free[i].h // its state is there
	}
	return d.take(x, options, slices.IndexFunc(options, func(o option) bool { return o.h == to }), Moves)
}

// take makes the i-th option the primary.
func (d Decision) take(x *Session, options []option, i int, v Verdict) Decision {
	d.Verdict, d.Primary, d.Predicted = v, options[i].h.Name, options[i].Prediction
	d.Standby = standby(x, slices.Delete(slices.Clone(options), i, i+1))
	return d
}

func (d Decision) stay(x *Session, here option, options []option) Decision {
	d.Verdict, d.Primary, d.Predicted = Stays, here.h.Name, here.Prediction
	d.Standby = standby(x, options)
	return d
}

// improve moves a session that misses, if another host is much better.
func (d Decision) improve(now time.Time, x *Session, here option, options []option) Decision {
	if !x.Moved.IsZero() && now.Sub(x.Moved) < Dwell {
		return d.stay(x, here, options)
	}
	most := seconds(Gain * max(here.Latency, x.Felt.P99).Seconds())
	var better []option
	for _, o := range options {
		switch n := o.h.arriving(); {
		case o.Latency > most:
			d.reject(Rejection{Host: o.h.Name, Bound: TooLittleBetter, Have: ms(o.Latency), Most: ms(most)})
		case n >= MaxArriving:
			d.reject(Rejection{Host: o.h.Name, Bound: Arriving, Have: float64(n), Most: MaxArriving})
		default:
			better = append(better, o)
		}
	}
	if len(better) == 0 {
		return d.stay(x, here, options)
	}
	to := better[best(better)].h
	return d.take(x, options, slices.IndexFunc(options, func(o option) bool { return o.h == to }), Moves)
}

// standby returns the one that there is, if it is an option, or the best.
func standby(x *Session, options []option) string {
	if len(options) == 0 {
		return ""
	}
	if slices.ContainsFunc(options, func(o option) bool { return o.h.Name == x.Standby }) {
		return x.Standby
	}
	return options[best(options)].h.Name
}

// best returns the index of the best option, of which there is one at least.
func best(options []option) int {
	shortest := time.Duration(math.MaxInt64)
	for _, o := range options {
		shortest = min(shortest, o.Latency)
	}
	alike := seconds(Alike * shortest.Seconds())
	b := -1
	for i, o := range options {
		if o.Latency <= alike && (b < 0 || compare(o, options[b]) < 0) {
			b = i
		}
	}
	return b
}

// compare orders options that are equally fast, the better one first.
func compare(a, b option) int {
	return cmp.Or(
		cmp.Compare(math.Round(a.Load*20), math.Round(b.Load*20)),
		boolToInt(b.m.Compiled)-boolToInt(a.m.Compiled),
		boolToInt(b.m.Present)-boolToInt(a.m.Present),
		cmp.Compare(a.h.Price, b.h.Price),
		cmp.Compare(a.Load, b.Load),
		cmp.Compare(a.h.Name, b.h.Name),
	)
}

// by returns how long a host keeps a session that has to go.
func by(now time.Time, h *host) time.Duration {
	if h.State != Draining || h.Drained.IsZero() {
		return 0
	}
	return max(0, h.Drained.Sub(now))
}

// retry says after which time to ask again, given why no host is feasible: 0 if none will be. Sessions that were refused together
// come back apart.
func retry(session string, rejected []Rejection) time.Duration {
	after := time.Duration(math.MaxInt64)
	if len(rejected) == 0 {
		after = 5 * time.Second // nothing was measured
	}
	for _, r := range rejected {
		switch r.Bound {
		case HostState, Arriving:
			after = min(after, 3*time.Second)
		case Memory, Turns, Latency, OthersLatency, Sessions, Inference, Unprobed:
			after = min(after, 5*time.Second)
		case Distance, TooSlow:
			after = min(after, 15*time.Second)
		}
	}
	if after == math.MaxInt64 {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(session))
	return after + after*time.Duration(h.Sum32()%64)/128
}
