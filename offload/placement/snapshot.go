package placement

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"
)

// A Snapshot is what is known at one time: hosts and sessions. The zero Snapshot is empty, with no bound
// on round-trip times.
//
// It keeps the sums of each host, so a decision looks at the hosts of one session and at no other session. A change
// of a session costs a look at the sessions of its hosts, and so does a change of a host.
type Snapshot struct {
	// ThetaNet is the round-trip time over which a host is too far (paper 000). Zero means any.
	ThetaNet time.Duration

	hosts    map[string]*host
	order    []*host            // the hosts, in any order
	labels   map[string][]*host // those that have a label, in any order
	sessions map[string]*Session
}

// A host is a Host and the sums of its sessions.
type host struct {
	Host
	at       int        // its index in Snapshot.order
	turns    float64    // that sessions may use
	learned  float64    // as far as calls wait
	here     []*Session // whose primary it is, by ID
	standby  []*Session // whose standby it is, by ID
	inFlight float64    // calls at once that those here may have
	atOnce   float64    // of these, as many as wait for each other
	memory   int64      // of all instances
	newest   []present  // those here, by when they were first shown, the latest first
	tightest slack      // of those here
}

// A present is a session that is here, the turns that its calls use, and the time that they may take before another one, in s.
type present struct {
	*Session
	load, ahead float64
}

// A slack is the most that a host may do to the calls of a session so that they are in time: stretch them so much, or let so
// many others be ahead of them.
type slack struct {
	session string // "": none has a bound
	stretch float64
	ahead   float64 // s
}

// SetHost adds a host, or replaces what is known of the one of its name. Its sessions stay.
func (s *Snapshot) SetHost(h Host) {
	x := s.at(h.Name)
	labels := x.Labels
	if !slices.Equal(labels, h.Labels) {
		labels = slices.Clone(h.Labels)
		s.relabel(x, labels)
	}
	x.Host = h
	x.Labels, x.Modules = labels, slices.Clone(h.Modules)
	for i := range x.Modules {
		m := &x.Modules[i]
		m.Service, m.Probe = max(0, m.Service), max(0, m.Probe)
	}
	slices.SortStableFunc(x.Modules, func(a, b Module) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	x.sum()
}

// RemoveHost forgets a host. Sessions that are there find it silent.
func (s *Snapshot) RemoveHost(name string) {
	x := s.hosts[name]
	if x == nil {
		return
	}
	s.relabel(x, nil)
	x.Host = Host{Name: name}
	x.sum()
	s.forget(x)
}

// Host returns what is known of a host.
func (s *Snapshot) Host(name string) (Host, bool) {
	x := s.hosts[name]
	if x == nil {
		return Host{}, false
	}
	return x.Host, true
}

// SetSession adds a session, or replaces what is known of the one of its ID. With a primary or a standby it is
// reserved there from now on.
func (s *Snapshot) SetSession(x Session) {
	x.Links, x.Need.Labels = unique(x.Links), slices.Clone(x.Need.Labels)
	if x.Standby == x.Primary {
		x.Standby = ""
	}
	was := s.sessions[x.ID]
	if was != nil && was.reservedAs(&x) {
		*was = x
		return
	}
	if s.sessions == nil {
		s.sessions = map[string]*Session{}
	}
	s.sessions[x.ID] = &x
	s.reserve(was, &x)
}

// RemoveSession forgets a session and what is reserved for it.
func (s *Snapshot) RemoveSession(id string) {
	if was := s.sessions[id]; was != nil {
		delete(s.sessions, id)
		s.reserve(was, nil)
	}
}

// reserve has a session's hosts hold x in place of was. Either may be nil.
func (s *Snapshot) reserve(was, x *Session) {
	var changed []*host
	change := func(h *host) {
		if !slices.Contains(changed, h) {
			changed = append(changed, h)
		}
	}
	if was != nil {
		for _, name := range []string{was.Primary, was.Standby} {
			if h := s.hosts[name]; h != nil {
				h.here, h.standby = remove(h.here, was), remove(h.standby, was)
				change(h)
			}
		}
	}
	if x != nil && x.Primary != "" {
		h := s.at(x.Primary)
		h.here = insert(h.here, x)
		change(h)
	}
	if x != nil && x.Standby != "" {
		h := s.at(x.Standby)
		h.standby = insert(h.standby, x)
		change(h)
	}
	for _, h := range changed {
		h.sum()
		s.forget(h)
	}
}

// reservedAs says whether the sums of hosts are the same with y in place of x.
func (x *Session) reservedAs(y *Session) bool {
	if x.Primary != y.Primary || x.Standby != y.Standby || x.Module != y.Module || !x.Shown.Equal(y.Shown) || !x.Moved.Equal(y.Moved) {
		return false
	}
	l, k := x.link(x.Primary), y.link(x.Primary)
	if (l == nil) != (k == nil) || l != nil && *l != *k {
		return false
	}
	n, m := x.Need, y.Need
	return n.Latency == m.Latency && n.Rate == m.Rate && n.InFlight == m.InFlight && n.Up == m.Up && n.Down == m.Down && n.Memory == m.Memory && n.Instances == m.Instances
}

// Session returns what is known of a session.
func (s *Snapshot) Session(id string) (Session, bool) {
	x := s.sessions[id]
	if x == nil {
		return Session{}, false
	}
	return *x, true
}

// On returns the IDs of the sessions whose primary is a host, sorted.
func (s *Snapshot) On(name string) []string {
	var ids []string
	if h := s.hosts[name]; h != nil {
		for _, x := range h.here {
			ids = append(ids, x.ID)
		}
	}
	return ids
}

// at returns the host of a name, which is silent if nothing is known of it.
func (s *Snapshot) at(name string) *host {
	h := s.hosts[name]
	if h == nil {
		if s.hosts == nil {
			s.hosts = map[string]*host{}
		}
		h = &host{Host: Host{Name: name}, at: len(s.order)}
		s.hosts[name] = h
		s.order = append(s.order, h)
	}
	return h
}

// forget drops a host of which nothing is known and that no session is on.
func (s *Snapshot) forget(h *host) {
	if h.State == Silent && h.Turns == 0 && len(h.here) == 0 && len(h.standby) == 0 {
		s.relabel(h, nil)
		delete(s.hosts, h.Name)
		last := s.order[len(s.order)-1]
		s.order[h.at], last.at = last, h.at
		s.order = slices.Delete(s.order, len(s.order)-1, len(s.order))
	}
}

// relabel keeps the hosts of each label while those of h change.
func (s *Snapshot) relabel(h *host, labels []string) {
	for _, l := range h.Labels {
		s.labels[l] = slices.DeleteFunc(s.labels[l], func(o *host) bool { return o == h })
		if len(s.labels[l]) == 0 {
			delete(s.labels, l)
		}
	}
	for i, l := range labels {
		if slices.Contains(labels[:i], l) {
			continue
		}
		if s.labels == nil {
			s.labels = map[string][]*host{}
		}
		s.labels[l] = append(s.labels[l], h)
	}
}

// labelled returns hosts among which are all that have these labels.
func (s *Snapshot) labelled(labels []string) []*host {
	fewest := s.order
	for _, l := range labels {
		if all := s.labels[l]; len(all) <= len(fewest) {
			fewest = all
		}
	}
	return fewest
}

// sum makes the sums of h. They are made anew each time, in the order of IDs, so they do not depend on
// what has come and gone.
func (h *host) sum() {
	h.turns = sane(h.Turns)
	h.learned = cmp.Or(sane(h.Learned), h.turns)
	h.inFlight, h.atOnce, h.memory, h.tightest = 0, 0, 0, slack{"", math.Inf(1), math.Inf(1)}
	clear(h.newest)
	h.newest = h.newest[:0]
	for _, x := range h.here {
		t := h.try(x, x.link(h.Name))
		h.newest = append(h.newest, present{x, t.load(), t.turnsTaken()})
		h.inFlight += x.Need.inFlight()
		h.atOnce += t.atOnce()
		h.memory = add(h.memory, x.Need.memory())
		h.tightest = h.tightest.and(t.slack())
	}
	slices.SortStableFunc(h.newest, func(a, b present) int { return compareShown(b.Session, a.Session) })
	for _, x := range h.standby {
		h.memory = add(h.memory, x.Need.memory())
	}
}

// and returns what is too much for neither s nor o.
func (s slack) and(o slack) slack {
	if o.stretch < s.stretch {
		s.session, s.stretch = o.session, o.stretch
	}
	s.ahead = min(s.ahead, o.ahead)
	return s
}

// reserved returns the turns that sessions which have not settled use beyond what the host has counted, and the time that their
// calls may take before another one, in s.
func (h *host) reserved(now time.Time) (load, ahead float64) {
	for _, x := range h.newest {
		share := 1.0
		if !x.Shown.IsZero() {
			share = 1 - now.Sub(x.Shown).Seconds()/Settle.Seconds()
		}
		if share <= 0 {
			break
		}
		load += min(share, 1) * x.load
		ahead += min(share, 1) * x.ahead
	}
	return load, ahead
}

// arriving returns how many sessions are on their way from another host.
func (h *host) arriving() int {
	n := 0
	for _, x := range h.newest {
		if !x.Shown.IsZero() {
			break
		}
		if !x.Moved.IsZero() {
			n++
		}
	}
	return n
}

// unique returns a copy of links with the first one of each host.
func unique(links []Link) []Link {
	all, seen := make([]Link, 0, len(links)), make(map[string]bool, len(links))
	for _, l := range links {
		if !seen[l.Host] {
			seen[l.Host] = true
			all = append(all, l)
		}
	}
	return all
}

func insert(all []*Session, x *Session) []*Session {
	i, _ := slices.BinarySearchFunc(all, x, byID)
	return slices.Insert(all, i, x)
}

func remove(all []*Session, x *Session) []*Session {
	if i, ok := slices.BinarySearchFunc(all, x, byID); ok {
		return slices.Delete(all, i, i+1)
	}
	return all
}

// compareShown orders sessions by when they were first shown; those that were not come last.
func compareShown(a, b *Session) int {
	switch never, other := a.Shown.IsZero(), b.Shown.IsZero(); {
	case never && other:
		return 0
	case never:
		return 1
	case other:
		return -1
	}
	return a.Shown.Compare(b.Shown)
}

func byID(a, b *Session) int { return cmp.Compare(a.ID, b.ID) }
