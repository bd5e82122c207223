package placement

import (
	"cmp"
	"slices"
	"time"
)

// Thresholds are those of Algorithm 1 of paper 000. Their Decide places by measured latencies
// and a fixed capacity, and learns nothing.
type Thresholds struct {
	Net time.Duration // theta_net: a host of a longer round-trip time is no candidate; 0: any
	Inf time.Duration // theta_inf: nor is one whose probe took longer
	// Limits are how many sessions hosts may have, by name. A host that is not there has its own Limit.
	Limits map[string]int
}

// Candidates returns the hosts that a UE should measure: all that are ready, as the paper's orchestrator names them, whatever is
// known of their load. The nearest by near come first, then those of which near knows nothing, each by name. It returns
// [MaxCandidates] at most.
func (t Thresholds) Candidates(_ time.Time, s *Snapshot, session string, near map[string]time.Duration) []string {
	x := s.sessions[session]
	if x == nil {
		return nil
	}
	var names []string
	for _, h := range s.labelled(x.Need.Labels) {
		if far := t.Net > 0 && near[h.Name] > t.Net; h.State == Ready && !far {
			names = append(names, h.Name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		x, knowsA := near[a]
		y, knowsB := near[b]
		return cmp.Or(boolToInt(knowsB)-boolToInt(knowsA), cmp.Compare(x, y), cmp.Compare(a, b))
	})
	return names[:min(len(names), MaxCandidates)]
}

// limit returns how many sessions h may have.
func (t Thresholds) limit(h *host) int {
	if n, ok := t.Limits[h.Name]; ok {
		return n
	}
	return h.Limit
}

// Decide is Algorithm 1 of paper 000. The candidates are the hosts of the session's links, in their order, that
// are ready and no further than Net. Of those that have fewer sessions than they may and whose last probe took Inf at
// most, it takes the one of the shortest probe, the first of equal ones. If there is none, the session is refused.
// The paper places a session once: it stays until its host is gone. It has no standby.
func (t Thresholds) Decide(_ time.Time, s *Snapshot, session string) Decision {
	d := Decision{Session: session, Cause: UnknownHere}
	x := s.sessions[session]
	if x == nil {
		return d
	}
	d.From, d.Cause, d.Verdict = x.Primary, Asked, Placed
	if h := s.hosts[x.Primary]; h != nil {
		if h.State == Ready || h.State == Cordoned {
			d.Cause, d.Verdict, d.Primary, d.Predicted.Inference = Fine, Stays, h.Name, h.module(x.Module).Probe
			return d
		}
		d.Cause, d.Verdict = CannotStay, Moves
	}
	var least time.Duration
	for i := range x.Links {
		l := &x.Links[i]
		h := s.hosts[l.Host]
		if h == nil {
			continue
		}
		if r := t.reject(h, x, l); r.Bound != NoBound {
			d.reject(r)
			continue
		}
		if latency := h.module(x.Module).Probe; d.Primary == "" || latency < least {
			least, d.Primary = latency, h.Name
			d.Predicted = Prediction{Inference: latency, Latency: later(x.Need.way(l), latency), Load: float64(len(h.here)+1) / float64(t.limit(h))}
		}
	}
	if d.Primary == "" {
		d.Verdict, d.RetryAfter = Local, retry(session, d.Rejected)
	}
	return d
}

// reject says which bound h fails, in the order of the paper's stages: filter, capacity, evaluation.
func (t Thresholds) reject(h *host, x *Session, l *Link) Rejection {
	r := Rejection{Host: h.Name}
	probe := h.module(x.Module).Probe
	switch {
	case h.State != Ready:
		r.Bound, r.Detail = HostState, h.State.String()
	case t.Net > 0 && l.RTT > t.Net:
		r.Bound, r.Have, r.Most = Distance, ms(l.RTT), ms(t.Net)
	case len(h.here) >= t.limit(h):
		r.Bound, r.Have, r.Most = Sessions, float64(len(h.here)), float64(t.limit(h))
	case probe <= 0:
		r.Bound = Unprobed
	case probe > t.Inf:
		r.Bound, r.Have, r.Most = Inference, ms(probe), ms(t.Inf)
	}
	return r
}
