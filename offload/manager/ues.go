package manager

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/placement"
)

// ask begins a session, or changes what it needs. A repeat changes nothing, and is answered again.
func (l *ledger) ask(now time.Time, ue identity.ID, p peer, f wire.Ask) {
	l.count.Asks++
	key := sessionKey{ue, f.Session}
	s := l.sessions[key]
	if retry, err := l.mayAsk(now, ue, f, s); err != nil {
		l.refuse(now, key, s, p, err, retry)
		return
	}
	if s == nil {
		s = l.open(now, key)
	}
	l.attach(s, p)
	s.ask, s.heard, s.told = f, now, false
	s.state = s.state.next(toAsk)
	s.sort()
	l.limit(now, s)
	l.tellPlace(s)
	if l.settled {
		l.offer(now, s)
	} else {
		l.show(now, s)
	}
}

// sort makes the lease the primary that the UE says is. A manager that has just begun cannot know which is which.
func (s *session) sort() {
	if s.decided.Session == "" && s.standby != nil && len(s.ask.Hosts) > 0 && s.ask.Hosts[0] == s.standby.Host {
		s.primary, s.standby = s.standby, s.primary
	}
}

// open makes a session.
func (l *ledger) open(now time.Time, key sessionKey) *session {
	s := &session{key: key, id: key.String(), heard: now, avoid: map[string]time.Time{}}
	l.sessions[key] = s
	l.tenant(key.ue.Tenant).sessions[s] = true
	l.ues[key.ue]++
	l.count.Opened++
	return s
}

func (l *ledger) tenant(name string) *tenant {
	t := l.tenants[name]
	if t == nil {
		t = &tenant{sessions: map[*session]bool{}, asking: newRate(l.asks)}
		l.tenants[name] = t
	}
	return t
}

var errTooOften = errors.New("the manager is asked too often")

// refuse answers an Ask that is not granted. A session that there is stays as it is.
func (l *ledger) refuse(now time.Time, key sessionKey, s *session, p peer, why error, retry time.Duration) {
	l.count.Refused++
	if !errors.Is(why, errTooOften) { // else who asks would write the audit
		l.audit(record{now: now, what: "refused", key: key, why: why.Error()})
	}
	if s != nil && s.primary != nil {
		l.attach(s, p)
		l.repeat(s)
		return
	}
	l.nextPlace++
	p.send(wire.Place{Session: key.n, Number: l.nextPlace, Why: clip(why.Error()), RetryAfter: retry})
}

// mayAsk says why an Ask is not granted, and when to ask again: 0 means never, unless for less.
func (l *ledger) mayAsk(now time.Time, ue identity.ID, f wire.Ask, s *session) (retry time.Duration, err error) {
	t := l.tenant(ue.Tenant)
	switch {
	case l.revoked[ue.String()]:
		return 0, errRevoked
	case !t.asking.AllowN(now, 1):
		return 2 * time.Second, fmt.Errorf("%w: tenant %q may %.0f times a second", errTooOften, ue.Tenant, l.asks)
	case !l.asking.AllowN(now, 1):
		return 2 * time.Second, fmt.Errorf("%w: all tenants together", errTooOften)
	case s != nil:
	case len(t.sessions) >= l.perTenant:
		return 15 * time.Second, fmt.Errorf("tenant %q has %d sessions, and may have no more", ue.Tenant, len(t.sessions))
	case len(l.sessions) >= l.rulebook.sessions:
		return 15 * time.Second, fmt.Errorf("the manager has %d sessions, and may have no more", len(l.sessions))
	case l.ues[ue] >= maxPerUE:
		return 0, fmt.Errorf("the UE has %d sessions, and may have no more", maxPerUE)
	}
	err = l.authorise(ue.Tenant, f, s)
	return retryOf(err), err
}

// retryOf returns when to ask again after authorise has refused with err. Only less is worth asking for again, but of a
// module there is no less: its operator may allow it, and a host is asked for it again as often.
func retryOf(err error) time.Duration {
	var refusal *capability.Refusal
	if errors.As(err, &refusal) && refusal.Capability == "modules" {
		return time.Minute
	}
	return 0
}

// authorise says whether the policy lets a tenant have a session, besides those that it has: whether it may run the module,
// and has so much left.
func (l *ledger) authorise(name string, f wire.Ask, s *session) error {
	rules := l.policy.For(name)
	if err := rules.Runs(f.Module); err != nil {
		return err
	}
	if _, err := rules.Grant(capability.Manifest{Limits: capability.Limits{Memory: f.Need.Memory}}); err != nil {
		return err
	}
	q := rules.Quota
	if q.Instances == 0 && q.Memory == 0 && q.Modules == 0 {
		return nil
	}
	instances, memory, modules := need(f.Need), f.Need.Memory*int64(need(f.Need)), map[[32]byte]bool{f.Module: true}
	for o := range l.tenant(name).sessions {
		if o == s || o.primary == nil {
			continue
		}
		instances += need(o.ask.Need)
		memory += o.ask.Need.Memory * int64(need(o.ask.Need))
		modules[o.ask.Module] = true
	}
	for _, b := range []struct {
		what       string
		have, most int64
	}{
		{"instances", int64(instances), int64(q.Instances)}, {"bytes of instances", memory, q.Memory}, {"modules", int64(len(modules)), int64(q.Modules)},
	} {
		if b.most > 0 && b.have > b.most {
			return fmt.Errorf("tenant %q would have %d %s, and its quota is %d", name, b.have, b.what, b.most)
		}
	}
	return nil
}

// need returns how many instances a session has.
func need(n wire.Need) int { return max(1, n.InFlight) }

// feel takes what a UE has measured, and looks at its session again.
func (l *ledger) feel(now time.Time, ue identity.ID, p peer, f wire.Feel) {
	s := l.sessions[sessionKey{ue, f.Session}]
	if s == nil {
		return // it asks again, or has said Bye
	}
	if s.peer != p {
		l.attach(s, p)
	}
	s.heard = now
	l.measure(now, s, f)
	l.follow(now, s, f)
	l.believe(now, s, f)
	switch answer := f.Round == s.round; {
	case s.primary == nil && (s.state != asked || !answer), s.state == placed:
	case s.primary != nil && now.Sub(s.checked) < recheckAfter(f):
	default:
		l.consider(now, s)
	}
	if s.state == running && now.Sub(s.asking) >= s.offerAfter() {
		l.offer(now, s)
	}
}

// offerAfter returns how long after the last time the UE of a session with a host measures hosts again: others may have come.
func (s *session) offerAfter() time.Duration {
	if s.standby == nil || s.decided.Cause != placement.Fine && s.decided.Cause != placement.Asked {
		return offerSoon
	}
	return offerLate
}

// recheckAfter returns how long after a decision a session with a host is looked at again because its UE says f. UEs do
// so each second, most of them that all is well.
func recheckAfter(f wire.Feel) time.Duration {
	if slices.ContainsFunc(f.Calls, func(c wire.CallsFeel) bool { return c.Missed > 0 }) {
		return 500 * time.Millisecond
	}
	return 3 * time.Second
}

// measure takes the ways to hosts.
func (l *ledger) measure(now time.Time, s *session, f wire.Feel) {
	for _, k := range f.Links {
		h := l.hosts[k.Host]
		if h == nil {
			continue
		}
		w := s.wayTo(h, len(f.Links))
		w.at = l.since(now)
		w.Add(w.at, k.RTT)
		l.near.add(s.peer.network(), h.name, k.RTT)
	}
	if s.state == asked && f.Round == s.round { // a host that it leaves out is too far, or cannot be reached
		s.ways = slices.DeleteFunc(s.ways, func(w way) bool {
			return !slices.ContainsFunc(f.Links, func(k wire.LinkFeel) bool { return k.Host == w.host.name })
		})
	}
}

// follow takes note that a UE is on its standby, since it has lost its primary before anybody else knew.
func (l *ledger) follow(now time.Time, s *session, f wire.Feel) {
	at := func(le *lease) bool {
		return le != nil && slices.ContainsFunc(f.Calls, func(c wire.CallsFeel) bool { return c.Host == le.Host && c.N > 0 })
	}
	if s.state != running || at(s.primary) || !at(s.standby) || s.standby.state != used {
		return
	}
	s.primary, s.standby = s.standby, s.primary
	s.moved, s.shown = now, now
	l.count.Moves++
	l.audit(record{now: now, what: "is on its standby", s: s, host: s.primary.Host})
	l.show(now, s)
}

// believe takes how calls were at the primary, and compares with what the host says.
func (l *ledger) believe(now time.Time, s *session, f wire.Feel) {
	for _, c := range f.Calls {
		if s.primary == nil || c.Host != s.primary.Host || c.N == 0 {
			continue
		}
		s.felt = append(s.felt, feltCalls{now, c.N, min(c.Missed, c.N), c.P99})
		s.felt = s.felt[max(0, len(s.felt)-maxFelt):]
		h := l.hosts[c.Host]
		rtt := time.Duration(0)
		if w := s.waysTo(c.Host); len(w) > 0 {
			rtt = w[0].RTT()
		}
		h.trust.Felt(now, s.key.ue.Path(), c.N, c.P50, rtt, h.modules[s.ask.Module].median)
	}
}

// maxFelt bounds the Feels that count: those of 30 s, one a second.
const maxFelt = 30

// bye ends a session.
func (l *ledger) bye(now time.Time, ue identity.ID, f wire.Bye) {
	if s := l.sessions[sessionKey{ue, f.Session}]; s != nil {
		l.end(now, s, "bye")
	}
}

// ueDown takes note that a UE's connection has ended. Its sessions go on.
func (l *ledger) ueDown(now time.Time, p peer) {
	for _, s := range byName(l.byPeer[p]) {
		l.attach(s, nil)
		s.heard = now
	}
}

// networks know how far hosts are from networks, as UEs there have measured: the least counts.
type networks map[string]map[string]time.Duration

func (n networks) add(network, host string, rtt time.Duration) {
	if rtt <= 0 || network == "" {
		return
	}
	hosts := n[network]
	if hosts == nil {
		if len(n) >= maxNetworks {
			clear(n) // UEs soon say it again
		}
		hosts = map[string]time.Duration{}
		n[network] = hosts
	}
	if len(hosts) < maxNetworks {
		hosts[host] = min(rtt, cmp.Or(hosts[host], rtt))
	}
}
