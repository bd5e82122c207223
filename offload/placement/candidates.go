package placement

import (
	"cmp"
	"slices"
	"time"
)

// A Ranker says which hosts a UE should measure for a session of a snapshot, the first ones first. Near holds round-trip times of hosts from
// the UE's network; it may be nil.
type Ranker func(now time.Time, s *Snapshot, session string, near map[string]time.Duration) []string

// Candidates returns the hosts that a UE should measure for a session: those that could hold it, its own first, then the nearest
// by near, then those of which near knows nothing, by predicted latency. It returns [MaxCandidates] at most. Near holds round-trip
// times of hosts from the UE's network, as other UEs there have measured them; it may be nil.
//
// It looks at the hosts that have the rarest of the labels that the session needs, and judges those of them that are near enough to be among
// the first.
func Candidates(now time.Time, s *Snapshot, session string, near map[string]time.Duration) []string {
	x := s.sessions[session]
	if x == nil {
		return nil
	}
	r := ranking{now: now, s: s, x: x, near: near, first: make([]candidate, 0, MaxCandidates)}
	for _, name := range []string{x.Primary, x.Standby} {
		if h := s.hosts[name]; h != nil {
			r.add(h, true)
		}
	}
	for _, h := range s.labelled(x.Need.Labels) {
		if h.Name != x.Primary && h.Name != x.Standby {
			r.add(h, false)
		}
	}
	var names []string
	for i := range r.first {
		names = append(names, r.first[i].h.Name)
	}
	return names
}

// A ranking is the first candidates of a session, the best one first.
type ranking struct {
	now   time.Time
	s     *Snapshot
	x     *Session
	near  map[string]time.Duration
	first []candidate // MaxCandidates at most
	link  Link        // to the host that is looked at
}

// A candidate is a host that a session could be on.
type candidate struct {
	option
	own, known bool
	rtt        time.Duration // 0: not known
}

// add ranks a host, if the session could be there. own says that the session is there, or has its standby there.
func (r *ranking) add(h *host, own bool) {
	c := candidate{own: own}
	c.rtt, c.known = r.near[h.Name]
	full := len(r.first) == MaxCandidates
	if full && compareNear(&c, &r.first[MaxCandidates-1]) > 0 {
		return // whatever is predicted
	}
	r.link = Link{Host: h.Name, RTT: c.rtt}
	o, why := h.try(r.x, &r.link).judge(r.now, r.s.ThetaNet)
	if why.Bound != NoBound && !(own && h.State == Ready) {
		return
	}
	c.option = o
	i, _ := slices.BinarySearchFunc(r.first, &c, func(a candidate, b *candidate) int { return compareCandidates(&a, b) })
	switch {
	case i == MaxCandidates:
		return
	case full:
		r.first = r.first[:MaxCandidates-1]
	}
	r.first = slices.Insert(r.first, i, c)
}

// compareCandidates orders candidates, the better one first.
func compareCandidates(a, b *candidate) int {
	return cmp.Or(compareNear(a, b), cmp.Compare(a.Latency, b.Latency), compare(a.option, b.option))
}

// compareNear orders candidates by what is known without judging them.
func compareNear(a, b *candidate) int {
	return cmp.Or(boolToInt(b.own)-boolToInt(a.own), boolToInt(b.known)-boolToInt(a.known), cmp.Compare(a.rtt, b.rtt))
}
