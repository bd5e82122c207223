package ue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A placement is where the calls of a module run, as an offload manager says.
//
//	none --Ask--> asked --Candidates--> measured --Place: hosts--> remote <--Place--+
//	  ^                                     |                         +-------------+
//	  +--retry-after--- local <-------------+--Place: no host---------+
//
// Asked is for a module that the policy expects to need a host for. From each state, Bye leads back to none when it does not.
//
// The manager may say Place at any time. The hosts stay as they are while there is no manager, and are named in the Ask to
// the next one.
type placement struct {
	// Constant.
	session uint64 // names it to managers
	module  *offload.Module
	nudge   func() // wakes run

	where, pair atomic.Pointer[hostSet]   // of functions that run on one host, and on two; stored by run
	told        atomic.Pointer[Placement] // for people; stored by run

	mu     sync.Mutex // leaf
	change chan struct{}

	// Guarded by the manager's mu.
	required  map[*offload.Desc]policy.Requirements // of its functions
	followers int                                   // channels that are where it is
	wantedAt  time.Time                             // when a function was expected to need a host
	unwanted  bool                                  // that is long ago, or was never

	// Owned by run.
	asked   asked
	number  uint64    // of the last Place of this conversation
	round   uint32    // of the last Candidates
	measure func()    // ends the measuring under way; nil: there is none
	primary *site     // nil: it runs on the UE
	standby *site     // nil: there is none
	before  []*site   // that it has to leave, and uses until primary serves
	until   time.Time // or until then; zero: without end
	retry   time.Time // when to ask again; zero: not by itself
	why     error     // why it has no host
}

// asked is what was last asked for: it is asked again when that has changed.
type asked struct {
	need    int           // number of the need; 0: nothing was asked
	latency time.Duration // the shortest that a function requires; 0: none does
	rate    float64       // that they require together
	price   float64       // the lowest that one requires; 0: any
}

// wantLocked returns what to ask for, with a need of that number. Functions whose data stay on the UE require nothing of a host.
func (p *placement) wantLocked(need int) asked {
	a := asked{need: need}
	for _, r := range p.required {
		if r.Private {
			continue
		}
		a.rate += r.Rate
		if r.Latency > 0 && (a.latency == 0 || r.Latency < a.latency) {
			a.latency = r.Latency
		}
		if r.Price > 0 && (a.price == 0 || r.Price < a.price) {
			a.price = r.Price
		}
	}
	return a
}

// A site is an edge host that a module may use, over a session of its own, with a lease of its own.
type site struct {
	host string // its name
	t    *target
}

const (
	// maxBefore bounds the hosts that are used until the primary serves: the primary and the standby before.
	maxBefore = 2
	// unusableFor is when to ask again after a manager has named hosts that cannot be used.
	unusableFor = 15 * time.Second
)

// Why a module has no edge host.
var (
	errUnasked  = &reason{offload.CodeUnavailable, "no offload manager has answered yet"}
	errUnplaced = &reason{offload.CodeUnavailable, "the offload manager has no edge host for the module"}
	errUnneeded = &reason{offload.CodeUnavailable, "the policy did not expect to need an edge host"}
)

func newPlacement(m *offload.Module, nudge func()) *placement {
	p := &placement{session: rand.Uint64() | 1, module: m, nudge: nudge, change: make(chan struct{}), why: errUnasked, unwanted: true, required: map[*offload.Desc]policy.Requirements{}}
	p.told.Store(&Placement{Session: p.session})
	p.publish()
	return p
}

// publish shows calls where they may run: at the primary, until it serves at those before it, or at the standby.
func (p *placement) publish() {
	at := &hostSet{first: 1, none: p.why}
	for _, s := range p.sites() {
		at.all = append(at.all, s.t)
		if s == p.primary || s == p.standby {
			at.placed = append(at.placed, s.t)
		}
	}
	p.where.Store(at)
	p.pair.Store(&hostSet{first: placedOn, all: at.all, none: p.why})
	p.changed()
}

// sites returns the hosts in use, the one to prefer first.
func (p *placement) sites() []*site {
	all := append([]*site{p.primary}, p.before...)
	return slices.DeleteFunc(append(all, p.standby), func(s *site) bool { return s == nil })
}

// names returns the names of the primary and the standby.
func (p *placement) names() (all []string) {
	for _, s := range []*site{p.primary, p.standby} {
		if s != nil {
			all = append(all, s.host)
		}
	}
	return all
}

// serves says whether the primary does.
func (p *placement) serves() bool {
	return p.primary != nil && p.primary.t.view.Load().serves(p.module) == nil
}

// place goes where f says.
func (p *placement) place(now time.Time, h *Handler, f wire.Place) {
	if f.Number <= p.number {
		return
	}
	p.number, p.retry, p.until = f.Number, time.Time{}, time.Time{}
	old := p.sites()
	if f.Primary.Host == "" || f.Standby.Host == f.Primary.Host {
		f.Standby = wire.Placed{}
	}
	p.primary, p.standby = p.site(h, old, f.Primary), p.site(h, old, f.Standby)
	if p.primary == nil { // it cannot be used
		p.primary, p.standby = p.standby, nil
	}
	old = slices.DeleteFunc(old, func(s *site) bool { return s == p.primary || s == p.standby })
	p.before = old[:min(len(old), maxBefore)]
	p.leave(h, old[len(p.before):])
	if f.By > 0 {
		p.until = now.Add(f.By)
	}
	p.why = nil
	if p.primary == nil {
		p.why = errUnplaced
		if f.Primary.Host != "" {
			f.RetryAfter = unusableFor
		}
		if f.RetryAfter > 0 {
			p.retry = now.Add(f.RetryAfter)
		}
	}
	p.tell(f.Why)
	p.settle(now, h)
	p.publish()
}

// site returns the host that f names, one of old if it is the same. It is nil if f names none that can be used.
func (p *placement) site(h *Handler, old []*site, f wire.Placed) *site {
	if f.Host == "" {
		return nil
	}
	addr := strings.Join(f.Addresses, ",")
	if _, err := parseHost(addr); err != nil {
		h.log.Warn("the offload manager names an edge host that cannot be used", "host", f.Host, "addr", addr, "why", err)
		return nil
	}
	lease := slices.Clone(f.Lease)
	for _, s := range old {
		if s.host == f.Host && s.t.addr == addr {
			s.t.lease.Store(&lease)
			return s
		}
	}
	s := &site{f.Host, newTarget(h, addr)}
	s.t.left, s.t.felt, s.t.notify = make(chan struct{}), newFelt(), p.changed
	s.t.lease = &atomic.Pointer[[]byte]{}
	s.t.lease.Store(&lease)
	h.mu.Lock()
	h.targets[p.key(s)] = s.t
	h.mu.Unlock()
	s.t.want(p.module)
	s.t.begin() // it has TLS and an address
	return s
}

// key names a site among the handler's targets. No address has a space.
func (p *placement) key(s *site) string { return fmt.Sprintf("%s %016x", s.t.addr, p.session) }

// settle leaves the hosts before, as soon as nothing needs them. It says whether it did.
func (p *placement) settle(now time.Time, h *Handler) bool {
	if len(p.before) == 0 || p.primary != nil && !p.serves() && (p.until.IsZero() || now.Before(p.until)) {
		return false
	}
	p.leave(h, p.before)
	p.before = nil
	return true
}

// leave ends the sessions with hosts that are used no more, once the calls there have ended.
func (p *placement) leave(h *Handler, sites []*site) {
	for _, s := range sites {
		h.mu.Lock()
		if h.targets[p.key(s)] == s.t {
			delete(h.targets, p.key(s))
		}
		h.mu.Unlock()
		close(s.t.left)
	}
}

// feel returns what a manager is told each second.
func (p *placement) feel() wire.Feel {
	f := wire.Feel{Session: p.session, Round: p.round}
	for _, s := range p.sites() {
		if sess := s.t.view.Load().sess; sess != nil {
			f.Links = append(f.Links, linkFeel(s.host, sess.links()))
		}
		if c := s.t.felt.calls(s.host); c.N > 0 {
			f.Calls = append(f.Calls, c)
		}
	}
	f.Links = f.Links[:min(len(f.Links), wire.MaxHosts)]
	f.Calls = f.Calls[:min(len(f.Calls), wire.MaxHosts)]
	return f
}

// linkFeel returns what the connections to a host know of the way there.
func linkFeel(host string, all []Link) wire.LinkFeel {
	f := wire.LinkFeel{Host: host}
	for _, l := range all {
		if f.RTT == 0 || l.RTT > 0 && l.RTT < f.RTT {
			f.RTT, f.Jitter = max(0, l.RTT), max(0, l.Jitter)
		}
		f.Lost += l.Lost
		f.Sent += l.Packets
	}
	return f
}

// changes returns a channel that is closed when the hosts change, or what one of them can take.
func (p *placement) changes() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.change
}

// changed tells those who wait, run among them.
func (p *placement) changed() {
	p.mu.Lock()
	close(p.change)
	p.change = make(chan struct{})
	p.mu.Unlock()
	p.nudge()
}

// await waits until the hosts of a function serve the module.
func (p *placement) await(ctx context.Context, where *atomic.Pointer[hostSet]) error {
	for {
		changes := p.changes()
		_, why := where.Load().choose(p.module)
		if why == nil {
			return nil
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", why, context.Cause(ctx))
		}
	}
}

// home returns where a channel should be: at the first host that is connected and has the module, or on the UE. That is not known
// before a manager has answered, and while a host is silent, which either answers again or is lost.
func (p *placement) home() (h home) {
	at := p.where.Load()
	for _, t := range at.all {
		v := t.view.Load()
		switch why := v.serves(p.module); {
		case why == nil:
			return home{true, t, at.standbys(p.module, t)}
		case v.sess != nil && v.why != nil:
			return home{}
		}
	}
	return home{known: len(at.all) == 0 && at.none != errUnasked}
}

// standbys returns the hosts where the manager has m besides t, as far as they serve.
func (at *hostSet) standbys(m *offload.Module, t *target) (all []elastic.Target) {
	for _, o := range at.placed {
		if o != t && o.view.Load().serves(m) == nil {
			all = append(all, o)
		}
	}
	return all
}
