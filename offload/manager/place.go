package manager

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/placement"
)

// offer asks a session's UE how far the hosts are that could have it, and those hosts how long its module takes.
func (l *ledger) offer(now time.Time, s *session) {
	l.show(now, s)
	near := l.near[s.peer.network()]
	s.offered, s.toProbe = l.candidates(now, &l.snapshot, s.id, near), nil
	if len(s.offered) == 0 && s.primary == nil { // hosts may look slow by an old probe, and if not, the refusal has its reasons
		s.offered = placement.Thresholds{Net: l.thetaNet}.Candidates(now, &l.snapshot, s.id, near)
	}
	s.round++
	s.asking = now
	c := wire.Candidates{Session: s.key.n, Round: s.round, Theta: l.thetaNet}
	for _, name := range s.offered {
		c.Hosts = append(c.Hosts, wire.Candidate{Host: name, Addresses: l.hosts[name].register.Addresses})
	}
	s.peer.send(c)
	switch {
	case !l.afresh:
		for _, name := range s.offered {
			l.probe(now, l.hosts[name], s)
		}
	case s.primary == nil:
		s.toProbe = s.offered
		l.probeNext(now, s)
	}
	if len(s.offered) == 0 && s.primary == nil {
		l.decideNow(now, s)
	}
}

// probe has a host say how long the module of s takes there, if that is not known of late, and nobody has asked.
func (l *ledger) probe(now time.Time, h *host, s *session) {
	module := s.ask.Module
	known := h.learned.Service(now, module)
	fresh := probeFresh
	if known.Rate == 0 { // a host is judged by its probe alone, which may have been its first run
		fresh = probeAlone
	}
	if known.Time > 0 && known.Age < fresh || now.Before(h.unasked[module]) {
		return
	}
	l.orderProbe(now, h, s)
}

// orderProbe orders a probe, if the host is connected.
func (l *ledger) orderProbe(now time.Time, h *host, s *session) bool {
	module := s.ask.Module
	if !l.order(now, h, wire.Order{Kind: wire.OrderProbe, Module: module, N: probeCalls, Who: s.key.ue.String()}, nil) {
		return false
	}
	h.unasked[module] = now.Add(probeAlone)
	h.probing[module] = now.Add(probeTime)
	l.count.Probes++
	l.audit(record{now: now, what: "probe", host: h.name, why: "module " + short(module)})
	return true
}

// probeNext has the next candidate of s probed, if there is one.
func (l *ledger) probeNext(now time.Time, s *session) {
	for len(s.toProbe) > 0 {
		h := l.hosts[s.toProbe[0]]
		s.toProbe = s.toProbe[1:]
		if l.orderProbe(now, h, s) {
			return
		}
	}
}

// probeOn has the next candidates probed of those sessions whose last one has been, or has had the time for it.
func (l *ledger) probeOn(now time.Time) {
	if !l.afresh {
		return
	}
	for _, s := range l.sorted() {
		if len(s.toProbe) > 0 && !l.probed(s).After(now) {
			l.probeNext(now, s)
		}
	}
}

// probing returns until when a decision for s waits for probes; now or before: it does not.
func (l *ledger) probing(s *session) time.Time {
	if len(s.toProbe) > 0 { // each has its time
		return s.asking.Add(time.Duration(len(s.offered)) * probeTime)
	}
	return l.probed(s)
}

// probed returns until when a probe for s is waited for.
func (l *ledger) probed(s *session) (until time.Time) {
	for _, name := range s.offered {
		if h := l.hosts[name]; h != nil && h.probing[s.ask.Module].After(until) {
			until = h.probing[s.ask.Module]
		}
	}
	return until
}

// consider decides about a session, at once or as soon as what it waits for is there.
func (l *ledger) consider(now time.Time, s *session) {
	until := time.Time{}
	if s.primary == nil {
		until = l.probing(s)
	}
	if l.settled && !until.After(now) {
		l.decideNow(now, s)
		return
	}
	s.until = until
	l.waiting[s] = true
}

// decideNow decides about a session, and does what follows.
func (l *ledger) decideNow(now time.Time, s *session) {
	delete(l.waiting, s)
	l.showWith(now, s, s.ways)
	d := l.decide(now, &l.snapshot, s.id)
	l.show(now, s)
	s.checked, s.decided = now, d
	l.count.Decided[d.Verdict]++
	switch d.Verdict {
	case placement.Local:
		l.goLocal(now, s, d)
	case placement.Placed, placement.Moves:
		l.goTo(now, s, d)
	case placement.Stays:
		if standby := s.standby; d.Standby != hostOf(standby) {
			l.audit(record{now: now, what: "decided", s: s, decision: &d})
			l.setStandby(now, s, d.Standby)
			l.show(now, s)
		}
	}
}

// show brings the snapshot up to date with a session. With a primary or a standby, it is reserved there. Of its ways only that to
// the primary counts for others; a decision about it is made with all.
func (l *ledger) show(now time.Time, s *session) {
	l.showWith(now, s, s.waysTo(hostOf(s.primary)))
}

func (l *ledger) showWith(now time.Time, s *session, ways []way) {
	x := placement.Session{
		ID: s.id, Module: s.ask.Module, Need: needOf(s.ask.Need), Primary: hostOf(s.primary), Standby: hostOf(s.standby),
		Shown: s.shown, Moved: s.moved, Links: make([]placement.Link, 0, len(ways)),
	}
	for i := range ways {
		w := &ways[i]
		if name := w.host.name; !now.Before(s.avoid[name]) && l.since(now)-w.at <= wayTime {
			x.Links = append(x.Links, placement.Link{Host: name, RTT: w.RTT(), Factor: w.host.trust.Factor(now, s.key.ue.Path())})
		}
	}
	for _, f := range s.felt {
		if now.Sub(f.at) < feltTime {
			x.Felt.Calls += f.n
			x.Felt.Missed += f.missed
			x.Felt.P99 = max(x.Felt.P99, f.p99)
		}
	}
	l.snapshot.SetSession(x)
}

func hostOf(le *lease) string {
	if le == nil {
		return ""
	}
	return le.Host
}

func needOf(n wire.Need) placement.Need {
	return placement.Need{
		Latency: n.Latency, Rate: n.Rate, InFlight: n.InFlight, Up: int64(n.Up), Down: int64(n.Down), Memory: n.Memory, Labels: n.Labels, Price: n.Price,
	}
}

// goLocal has a session run on its UE.
func (l *ledger) goLocal(now time.Time, s *session, d placement.Decision) {
	l.audit(record{now: now, what: "decided", s: s, decision: &d})
	for _, le := range s.all() {
		l.stop(now, le, max(d.By, grace))
	}
	had := s.primary != nil
	s.primary, s.standby, s.leaving, s.shown = nil, nil, nil, time.Time{}
	s.state = s.state.next(toLocal)
	l.show(now, s)
	l.tell(s, wire.Place{Why: clip(d.String()), By: d.By, RetryAfter: d.RetryAfter})
	if had && s.peer != nil && now.Sub(s.asking) >= offerSoon { // there may be hosts that its UE has not measured
		s.state = s.state.next(toAsk)
		l.offer(now, s)
	}
}

// goTo reserves the hosts of a decision, and has them prepare. The UE is told when the primary has.
func (l *ledger) goTo(now time.Time, s *session, d placement.Decision) {
	next, err := l.leaseAt(now, s, d.Primary)
	if err != nil {
		l.audit(record{now: now, what: "no lease", s: s, why: err.Error()})
		d.Verdict, d.RetryAfter = placement.Local, avoidTime
		l.goLocal(now, s, d)
		return
	}
	l.audit(record{now: now, what: "decided", s: s, decision: &d})
	if was := s.primary; was != nil && was != next {
		s.moved = now
		s.leave(was)
		l.count.Moves++
	}
	if s.standby == next {
		s.standby = nil
	}
	s.stay(next)
	s.primary, s.shown = next, time.Time{}
	s.state = s.state.next(toPlace)
	l.setStandby(now, s, d.Standby)
	for len(s.leaving) > maxLeaving {
		l.stop(now, s.leaving[0], grace)
		s.leaving = s.leaving[1:]
	}
	l.show(now, s)
	l.tellPlace(s)
}

// maxLeaving bounds the leases of hosts that a session has left and whose next one its UE has not reached.
const maxLeaving = 2

// leave keeps a lease until the UE is at the next one.
func (s *session) leave(le *lease) { s.leaving = append(s.leaving, le) }

// stay takes a lease back from those that are left.
func (s *session) stay(le *lease) {
	s.leaving = slices.DeleteFunc(s.leaving, func(o *lease) bool { return o == le })
}

// setStandby makes a host the standby; "": none.
func (l *ledger) setStandby(now time.Time, s *session, name string) {
	was := s.standby
	if hostOf(was) == name {
		return
	}
	s.standby = nil
	if was != nil {
		l.stop(now, was, grace)
	}
	if name == "" {
		l.tellPlace(s) // else its UE asks a host again and again for what has ended
		return
	}
	next, err := l.leaseAt(now, s, name)
	if err != nil {
		return // it does without
	}
	s.stay(next)
	s.standby = next
	l.tellPlace(s)
}

// leaseAt returns the lease that a session has at a host, or a fresh one, which the host is told of.
func (l *ledger) leaseAt(now time.Time, s *session, name string) (*lease, error) {
	for _, le := range s.all() {
		if le.Host == name && le.state.live() {
			return le, nil
		}
	}
	le, err := l.newLease(now, s, name)
	if err != nil {
		return nil, err
	}
	l.prepare(now, le)
	return le, nil
}

// prepare has a lease's host prepare it. A host that cannot be told now is told when it has registered again, or
// found silent.
func (l *ledger) prepare(now time.Time, le *lease) {
	h := l.hosts[le.Host]
	h.leases[le.ID] = le
	l.order(now, h, wire.Order{Kind: wire.OrderPrepare, Lease: le.token, ID: le.ID, Limits: le.Limits}, le)
}

// stop ends a lease by a time from now.
func (l *ledger) stop(now time.Time, le *lease, by time.Duration) {
	if !le.state.live() {
		return
	}
	le.state = le.state.next(toStop)
	l.leaves(now, le)
	if !l.order(now, l.hosts[le.Host], wire.Order{Kind: wire.OrderStop, ID: le.ID, By: by}, le) {
		l.drop(le)
	}
}

// leaves takes note that a lease's calls come no more to its host, which would look full of them for a while.
func (l *ledger) leaves(now time.Time, le *lease) {
	h := l.hosts[le.Host]
	if h == nil {
		return
	}
	h.learned.Left(now, le.rate(now)*h.learned.Service(now, le.Module).Time.Seconds())
	l.setHost(now, h)
}

// order gives a host an order, if it is connected. It is answered by a Did, or failed when it is late.
func (l *ledger) order(now time.Time, h *host, o wire.Order, le *lease) bool {
	switch {
	case h == nil || h.peer == nil:
		return false
	case len(h.orders) >= maxOrders:
		h.peer.end(fmt.Errorf("%d orders wait for their answer", len(h.orders)))
		return false
	}
	l.nextOrder++
	o.Number, o.Epoch = l.nextOrder, l.start.epoch
	h.orders[o.Number] = &order{kind: o.Kind, lease: le, probe: o.Module, late: now.Add(orderTime + o.By)}
	l.count.Orders++
	h.peer.send(o)
	return true
}

// tellPlace tells a UE where its session runs, once the primary is ready for it.
func (l *ledger) tellPlace(s *session) {
	if s.primary == nil || s.primary.state != held && s.primary.state != used {
		return
	}
	why := "it was there before the manager began"
	if s.decided.Session != "" {
		why = s.decided.String()
	}
	p := wire.Place{Primary: l.placedAt(s.primary), Why: clip(why), By: s.decided.By}
	if s.standby != nil && (s.standby.state == held || s.standby.state == used) {
		p.Standby = l.placedAt(s.standby)
	}
	l.tell(s, p)
}

func (l *ledger) placedAt(le *lease) wire.Placed {
	addrs := le.addrs
	if h := l.hosts[le.Host]; len(addrs) == 0 && h != nil {
		addrs = h.register.Addresses
	}
	return wire.Placed{Host: le.Host, Addresses: addrs, Lease: le.token}
}

// tell tells a session's UE where it runs, if that is not what it was told last.
func (l *ledger) tell(s *session, p wire.Place) {
	p.Session, p.Number = s.key.n, s.last.Number
	same := s.last
	same.Why, same.By = p.Why, p.By // these alone are no news
	if s.told && reflect.DeepEqual(p, same) && p.Primary.Host != "" {
		return
	}
	l.nextPlace++
	p.Number = l.nextPlace
	s.last, s.told = p, false
	l.repeat(s)
}

// repeat tells a session's UE again what it was told last.
func (l *ledger) repeat(s *session) {
	if s.peer != nil && s.last.Number > 0 {
		s.told = true
		s.peer.send(s.last)
	}
}

// lost does without a lease that its host does not have. again: another decision may give it another.
func (l *ledger) lost(now time.Time, le *lease, again bool, why string) {
	s := le.s
	l.drop(le)
	if s.state == ended {
		return
	}
	l.audit(record{now: now, what: "lease lost", s: s, host: le.Host, why: why})
	s.stay(le)
	switch le {
	case s.standby:
		s.standby = nil
		l.show(now, s)
		l.tellPlace(s)
	case s.primary:
		s.primary, s.shown = nil, time.Time{}
		l.instead(now, s, again, why)
	}
}

// instead finds another place for a session that has lost its primary: the host that it was leaving, its standby, or another one.
func (l *ledger) instead(now time.Time, s *session, again bool, why string) {
	serves := func(le *lease) bool { return le.state == used && l.hosts[le.Host].state != placement.Silent }
	i := slices.IndexFunc(s.leaving, serves)
	switch {
	case i >= 0:
		s.primary = s.leaving[i]
		s.stay(s.primary)
	case s.standby != nil && serves(s.standby):
		s.primary, s.standby = s.standby, nil
	case again && s.peer != nil:
		l.decideNow(now, s)
		return
	default:
		l.goLocal(now, s, placement.Decision{Session: s.id, Verdict: placement.Local, RetryAfter: avoidTime, Cause: placement.CannotStay})
		return
	}
	s.state = s.state.next(toPlace)
	l.show(now, s)
	l.tellPlace(s)
}
