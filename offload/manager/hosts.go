package manager

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/qos"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/placement"
)

// A host is an edge host that has registered once.
type host struct {
	name     string
	peer     peer // nil: it is not connected
	register wire.Register
	since    time.Time // when it last registered
	doubled  time.Time // when another connection has last taken its place
	told     bool      // Holding has come since

	state   placement.State
	by      time.Time
	beat    wire.Beat // the last one, without its lists
	learned qos.Host
	trust   qos.Trust
	modules map[[32]byte]module
	unasked map[[32]byte]time.Time // until when no further probe is asked for
	probing map[[32]byte]time.Time // until when decisions wait for it
	leases  map[wire.LeaseID]*lease
	orders  map[uint64]*order
}

// A module is what a host says of one.
type module struct {
	state  wire.ModuleState
	median time.Duration // of the time in the host; 0: not known
}

var errDouble = errors.New("another host has this ID: two of them take turns; give each its own certificate")

// hostUp takes a host that registers, or registers again. The second connection of an ID ends the first one, once a minute: a
// host that has restarted comes so. A third is refused, for then there are two.
func (l *ledger) hostUp(now time.Time, id identity.ID, p peer, f wire.Register) {
	h := l.hosts[id.Name]
	switch {
	case l.revoked[id.String()]:
		p.end(errRevoked)
		return
	case h != nil && h.peer != nil && h.peer != p:
		if now.Sub(h.doubled) < double {
			l.audit(record{now: now, what: "refused", host: id.Name, why: errDouble.Error()})
			l.count.Doubled++
			p.end(errDouble)
			return
		}
		h.doubled = now
		h.peer.end(errDouble)
		clear(h.orders) // Holding says what became of them
		clear(h.probing)
	}
	if err := l.registry.Register(now, id.Name); err != nil {
		l.audit(record{now: now, what: "refused", host: id.Name, why: err.Error()})
		p.end(err)
		return
	}
	if h == nil {
		h = &host{
			name: id.Name, modules: map[[32]byte]module{}, unasked: map[[32]byte]time.Time{}, probing: map[[32]byte]time.Time{}, leases: map[wire.LeaseID]*lease{}, orders: map[uint64]*order{},
		}
		l.hosts[id.Name] = h
	}
	f.Turns = min(f.Turns, maxHostTurns)
	if h.peer != p {
		h.since, h.told = now, false
	}
	h.peer, h.register = p, f
	p.send(l.adopted(now))
	l.audit(record{now: now, what: "registered", host: id.Name})
	l.changes(now)
	l.setHost(now, h)
}

// adopted says whose leases count.
func (l *ledger) adopted(now time.Time) wire.Adopted {
	a := wire.Adopted{
		Run: l.start.run, Epoch: l.start.epoch, Now: now.UnixMilli(), Runs: l.start.runs, Beat: l.beat,
		Revoked: slices.Sorted(maps.Keys(l.revoked)),
	}
	for _, key := range l.start.keys {
		a.Keys = append(a.Keys, publicOf(key))
	}
	return a
}

// changes brings the states of hosts up to date.
func (l *ledger) changes(now time.Time) {
	for _, c := range l.registry.Tick(now) {
		l.hostChanged(now, c)
	}
}

// hostChanged looks again at the sessions of a host whose state has changed.
func (l *ledger) hostChanged(now time.Time, c cluster.Change) {
	h := l.hosts[c.Host]
	if h == nil {
		return // it has never come
	}
	of, _ := l.registry.Host(c.Host)
	h.state, h.by = c.To, of.By
	l.setHost(now, h)
	l.audit(record{now: now, what: "host is " + c.To.String(), host: c.Host})
	if c.To == placement.Draining {
		l.order(now, h, wire.Order{Kind: wire.OrderDrain, By: max(0, of.By.Sub(now))}, nil)
	}
	if c.To == placement.Ready {
		return
	}
	there := map[*session]bool{}
	for _, le := range h.leases {
		there[le.s] = true
	}
	for _, s := range byName(there) {
		if s.state != ended && s.primary != nil {
			l.consider(now, s)
		}
	}
}

// setHost brings the snapshot up to date with a host.
func (l *ledger) setHost(now time.Time, h *host) {
	c := h.learned.Capacity()
	x := placement.Host{
		Name: h.name, State: h.state, Labels: slices.Clone(h.register.Labels), Price: h.register.Price, Memory: h.register.Memory,
		Turns: float64(h.register.Turns), Learned: c.Learned, Load: c.Load, Stretch: c.Stretch, Factor: h.trust.Host(now), Drained: h.by,
		Limit: h.register.Turns,
	}
	for _, a := range h.register.Accelerators {
		x.Labels = append(x.Labels, "accelerator="+a)
	}
	for d, m := range h.modules {
		s := h.learned.Service(now, d)
		x.Modules = append(x.Modules, placement.Module{
			Digest: d, Service: s.Time, Tail: s.Tail, Probe: s.Probe, Present: m.state >= wire.ModulePresent, Compiled: m.state >= wire.ModuleCompiled,
		})
	}
	l.snapshot.SetHost(x)
}

// holding takes the leases that a host has: they are the record of what a manager before has decided. What this one does not know, and has
// no place for, ends.
func (l *ledger) holding(now time.Time, name string, p peer, f wire.Holding) {
	h := l.hosts[name]
	if h == nil || h.peer != p {
		return
	}
	has := map[wire.LeaseID][]string{} // their addresses
	for i, token := range f.Leases {
		t, err := l.read(name, token)
		if err != nil {
			l.audit(record{now: now, what: "lease refused", host: name, why: err.Error()})
			l.count.LeasesRefused++
			continue
		}
		has[t.ID] = f.AddressesOf(i)
		if l.leases[t.ID] == nil && !l.adopt(now, h, t, token, has[t.ID]) {
			l.order(now, h, wire.Order{Kind: wire.OrderStop, ID: t.ID}, nil)
		}
	}
	h.told = true
	for _, le := range h.sorted() {
		addrs, there := has[le.ID]
		switch {
		case there && le.state == ordered:
			l.didPrepare(now, le, addrs)
		case there && le.state == stopping:
			l.order(now, h, wire.Order{Kind: wire.OrderStop, ID: le.ID}, le)
		case !there && le.state == ordered:
			l.prepare(now, le)
		case !there:
			l.lost(now, le, true, "the host does not have it")
		}
	}
}

// sorted returns a host's leases in the order of their sessions.
func (h *host) sorted() []*lease {
	return slices.SortedFunc(maps.Values(h.leases), func(a, b *lease) int {
		return slices.Compare(a.ID[:], b.ID[:])
	})
}

// adopt takes over a lease of a manager before, and its session if there is none yet.
func (l *ledger) adopt(now time.Time, h *host, t terms, token []byte, addrs []string) bool {
	s := l.sessions[sessionKey{t.UE, t.Session}]
	switch {
	case l.revoked[t.UE.String()], l.policy.For(t.UE.Tenant).Runs(t.Module) != nil:
		return false
	case s == nil && len(l.sessions) >= l.rulebook.sessions:
		return false
	case s != nil && (l.settled || s.state == local): // decided since, without this host
		return false
	case s == nil:
		s = l.open(now, sessionKey{t.UE, t.Session})
		s.ask = wire.Ask{Session: t.Session, Module: t.Module, Class: t.Class, Need: wire.Need{Rate: t.Limits.Rate / rateSlack, Memory: t.Limits.Memory, InFlight: t.Limits.Share}}
	}
	le := &lease{terms: t, s: s, state: held, token: token, addrs: named(addrs), since: now}
	switch {
	case s.primary == nil:
		s.primary = le
		s.state = s.state.next(toPlace)
	case s.standby == nil && s.primary.Host != h.name:
		s.standby = le
	default:
		return false
	}
	s.sort()
	l.leases[t.ID], h.leases[t.ID] = le, le
	l.count.Adopted++
	l.audit(record{now: now, what: "adopted", s: s, host: h.name})
	l.show(now, s)
	l.tellPlace(s)
	return true
}

// hostBeat takes what a host does.
func (l *ledger) hostBeat(now time.Time, name string, p peer, f wire.Beat) {
	h := l.hosts[name]
	if h == nil || h.peer != p {
		return
	}
	l.registry.Beat(now, name)
	l.count.Beats++
	h.beat = wire.Beat{Number: f.Number, Turns: f.Turns, Held: f.Held}
	l.learn(now, h, f)
	shown := map[wire.LeaseID]bool{}
	for _, b := range f.Sessions {
		shown[b.Lease] = true
		l.showLease(now, h, b)
	}
	for _, le := range h.sorted() {
		if le.state != ordered && !shown[le.ID] && h.told && now.Sub(le.since) > l.beat {
			l.unshown(now, le)
		}
	}
	if h.state == placement.Silent {
		l.changes(now) // it is silent no longer; what else changes a host's state is not a beat
	}
	l.setHost(now, h)
}

// learn takes what a beat says of modules.
func (l *ledger) learn(now time.Time, h *host, f wire.Beat) {
	b := qos.Beat{Turns: float64(h.register.Turns)}
	for _, le := range h.leases {
		if le == le.s.primary {
			n, s := le.s.ask.Need, h.learned.Service(now, le.s.ask.Module)
			b.InFlight += qos.AtOnce(n.Rate, s.Time.Seconds(), float64(need(n)))
		}
	}
	for _, m := range f.Modules {
		if _, ok := h.modules[m.Module]; !ok && len(h.modules) >= qos.MaxModules {
			for d := range h.modules { // any: a host has 16 at once by default
				delete(h.modules, d)
				break
			}
		}
		h.modules[m.Module] = module{m.State, m.R50}
		b.Modules = append(b.Modules, qos.ModuleBeat{Module: m.Module, Calls: m.Calls, R: m.R, S: m.S, R99: m.R99})
	}
	h.learned.Beat(now, b)
}

// showLease takes what a beat says of a lease.
func (l *ledger) showLease(now time.Time, h *host, b wire.SessionBeat) {
	le := l.leases[b.Lease]
	if le == nil || le.Host != h.name {
		if h.told && l.settled {
			l.order(now, h, wire.Order{Kind: wire.OrderStop, ID: b.Lease}, nil)
		}
		return
	}
	ev := showsHeld
	if b.Used {
		ev = showsUsed
	}
	le.state = le.state.next(ev)
	le.count(now, b.Calls)
	s := le.s
	if b.Used && b.Idle < silence {
		s.heard = latest(s.heard, now.Add(-b.Idle))
	}
	if le != s.primary || le.state != used || !s.shown.IsZero() {
		return
	}
	s.shown, s.state = now, s.state.next(toShow)
	for _, was := range s.leaving {
		l.stop(now, was, grace)
	}
	s.leaving = nil
	l.show(now, s)
}

// unshown takes note that a host has ended a lease, since its UE did not come or has left, or because it was told to.
func (l *ledger) unshown(now time.Time, le *lease) {
	if le.state == stopping {
		l.drop(le)
		return
	}
	if le == le.s.standby { // its UE may come to another host
		le.s.avoid[le.Host] = now.Add(silence)
	}
	l.lost(now, le, false, "no UE came to the host with it, or it has left")
}

// did takes a host's answer to an order.
func (l *ledger) did(now time.Time, name string, p peer, f wire.Did) {
	h := l.hosts[name]
	if h == nil || h.peer != p || h.orders[f.Number] == nil {
		return
	}
	o := h.orders[f.Number]
	delete(h.orders, f.Number)
	switch {
	case f.Failed:
		l.count.OrdersFailed++
		if o.kind == wire.OrderProbe && f.RetryAfter > 0 {
			h.unasked[o.probe] = now.Add(min(f.RetryAfter, probeFresh))
		}
		l.failed(now, h, o, fmt.Sprintf("%s: %.200q", f.Code, f.Why))
	case o.kind == wire.OrderPrepare:
		l.didPrepare(now, o.lease, f.Addresses)
	case o.kind == wire.OrderStop && o.lease != nil:
		l.drop(o.lease)
	case o.kind == wire.OrderProbe:
		h.learned.Probe(now, o.probe, f.Samples)
		if _, ok := h.modules[o.probe]; !ok && len(h.modules) < qos.MaxModules {
			h.modules[o.probe] = module{state: wire.ModuleCompiled}
		}
		l.setHost(now, h)
		l.audit(record{now: now, what: "probed", host: name, why: fmt.Sprintf("module %s took %.1f ms", short(o.probe), h.learned.Service(now, o.probe).Probe.Seconds()*1e3)})
		l.probeOver(now, h, o.probe)
	}
}

// didPrepare takes note that a host is ready for a UE.
func (l *ledger) didPrepare(now time.Time, le *lease, addrs []string) {
	if le.state != ordered {
		return
	}
	le.state, le.since = le.state.next(didPrepare), now
	le.addrs = named(addrs)
	l.tellPlace(le.s)
}

// named returns the addresses of a host that are not empty.
func named(addrs []string) []string {
	return slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return strings.TrimSpace(a) == "" })
}

// failed does without what a host could not do, or did not in time.
func (l *ledger) failed(now time.Time, h *host, o *order, why string) {
	switch o.kind {
	case wire.OrderPrepare:
		l.unprepared(now, h, o.lease, why)
	case wire.OrderStop:
		if o.lease != nil {
			l.drop(o.lease)
		}
	case wire.OrderProbe:
		l.audit(record{now: now, what: "probe failed", host: h.name, why: why})
		l.probeOver(now, h, o.probe)
	}
}

// unprepared does without a lease that its host has not prepared.
func (l *ledger) unprepared(now time.Time, h *host, le *lease, why string) {
	if le.state != ordered {
		return
	}
	l.order(now, h, wire.Order{Kind: wire.OrderStop, ID: le.ID}, nil) // it may be ready by then, although it was late
	le.s.avoid[h.name] = now.Add(avoidTime)
	l.lost(now, le, true, why)
}

// dropLate takes the orders for failed that a host has not answered in time.
func (l *ledger) dropLate(now time.Time, h *host) {
	for _, n := range slices.Sorted(maps.Keys(h.orders)) {
		if o := h.orders[n]; o != nil && now.After(o.late) {
			delete(h.orders, n)
			l.count.OrdersLate++
			l.failed(now, h, o, "the host did not answer in time")
		}
	}
}

// probeOver decides about the sessions that have waited for a probe.
func (l *ledger) probeOver(now time.Time, h *host, module [32]byte) {
	delete(h.probing, module)
	l.probesOver(now)
}

func (l *ledger) probesOver(now time.Time) {
	l.probeOn(now)
	for _, s := range byName(l.waiting) {
		if l.settled && !l.probing(s).After(now) {
			l.decideNow(now, s)
		}
	}
}

// hostDown takes note that a host's connection has ended. It is silent from then on: what it was told and has not answered has failed.
func (l *ledger) hostDown(now time.Time, name string, p peer) {
	h := l.hosts[name]
	if h == nil || h.peer != p {
		return
	}
	h.peer = nil
	l.registry.Gone(name)
	clear(h.orders)
	clear(h.probing)
	l.changes(now)
	for _, le := range h.sorted() {
		switch le.state {
		case ordered:
			l.unprepared(now, h, le, "the host has gone")
		case stopping:
			l.drop(le)
		}
	}
	l.probesOver(now)
}

// hostObeys takes note that a host obeys another manager, which is one's right to decide: it ends this one when more than half of the
// hosts say so, since one of them may lie.
func (l *ledger) hostObeys(now time.Time, name string, p peer, why string) (end bool) {
	l.superseded[name] = true
	l.audit(record{now: now, what: "host obeys another manager", host: name, why: why})
	l.hostDown(now, name, p)
	return 2*len(l.superseded) > len(l.hosts)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
