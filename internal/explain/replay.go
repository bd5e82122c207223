package explain

import (
	"iter"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// A Score is how a policy does on the calls of a log, as the log's views predict them: what a call takes at a place is Predict of
// the view that it was decided on. So a place that the handler never used stays unknown, and what a policy would have learned there is
// not in it.
type Score struct {
	Calls   [2]int  // by place
	Moves   int     // changes of place from one call of a function to the next, without those that explore
	Late    int     // calls that are predicted to take longer than is required
	Seconds float64 // that all calls are predicted to take
	Joules  float64 // that the UE is predicted to spend on them
	Unknown int     // calls at a place of which nothing is known; they are in no sum
}

// Replay returns the scores of the policy that made the log, and of p. The error is that of the log; the scores are of what comes before.
func Replay(log iter.Seq2[*Record, error], p policy.Policy) (was, would Score, err error) {
	other := replayed{policy: policy.Contain(p, nil)}
	logged := replayed{}
	for r, e := range log {
		switch {
		case e != nil:
			return logged.Score, other.Score, e
		case r.View != nil:
			logged.view = r.View
			other.see(r.View)
		case r.Call != nil:
			c := r.Call.Call
			logged.add(c, policy.Decision{Where: r.Call.Where, Fidelity: r.Call.Fidelity, Why: r.Call.Why()})
			c.Now = other.now(c.Function)
			other.add(c, other.policy.Decide(c, other.view))
		}
	}
	return logged.Score, other.Score, nil
}

// A replayed is a policy under way.
type replayed struct {
	Score
	policy *policy.Contained
	view   *policy.View
	last   map[int]policy.Place
}

// see plans on a view as if the policy had made the log.
func (r *replayed) see(v *policy.View) {
	own := *v
	own.Standings = nil
	if r.view != nil {
		own.Standings = r.view.Standings
	}
	own.Standings = r.policy.Plan(&own)
	r.view = &own
}

func (r *replayed) now(function int) policy.Place { return r.last[function] }

// add counts a decision.
func (r *replayed) add(c policy.Call, d policy.Decision) {
	where := d.Where
	if !c.Ready {
		where = policy.OnUE
	}
	r.Calls[where]++
	if r.last == nil {
		r.last = map[int]policy.Place{}
	}
	if before, called := r.last[c.Function]; called && before != where && d.Why.Reason != policy.Exploring {
		r.Moves++
	}
	if d.Why.Reason != policy.Exploring {
		r.last[c.Function] = where
	}
	f := &r.view.Functions[c.Function]
	took := r.view.Predict(c.Function, where, d.Fidelity)
	if !took.Known {
		r.Unknown++
		return
	}
	r.Seconds += took.Typical.Seconds()
	r.Joules += took.Joules
	if f.Require.Latency > 0 && took.Typical > f.Require.Latency {
		r.Late++
	}
}

// Mean returns what a call is predicted to take.
func (s Score) Mean() time.Duration {
	n := s.Calls[0] + s.Calls[1] - s.Unknown
	if n <= 0 {
		return 0
	}
	return time.Duration(s.Seconds / float64(n) * float64(time.Second))
}
