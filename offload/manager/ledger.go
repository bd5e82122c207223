package manager

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/qos"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/placement"
)

// What the ledger's times are.
const (
	silence    = 60 * time.Second       // of a UE and its hosts, after which a session ends
	probeFresh = 60 * time.Second       // since a host's calls or probe said how long a module takes there
	probeAlone = 5 * time.Second        // since a probe, where no calls say it
	probeTime  = 500 * time.Millisecond // that a decision waits for probes
	probeCalls = 5
	orderTime  = 5 * time.Second // that a host may take to answer: a module of 10 MB compiles in 3 s
	grace      = 2 * time.Second // that a lease is left to calls under way
	avoidTime  = 10 * time.Second
	feltTime   = 30 * time.Second
	wayTime    = 2 * time.Minute  // that what a UE has measured of a way counts
	offerSoon  = 10 * time.Second // between two times that a UE measures hosts, if it lacks one
	offerLate  = time.Minute      // and if all is well
	returning  = 10 * time.Second // that hosts may take to find a manager that has begun again: they look each 5 s
	double     = time.Minute      // within which the third host of one ID is refused
)

// Bounds on what UEs and hosts can make the ledger hold.
const (
	maxPerUE     = 64
	maxHostTurns = 4096
	maxNetworks  = 1024
	maxOrders    = 4096 // that wait for an answer, of one host
)

// A peer is a UE or a host that is connected. Its methods return at once, whatever it does.
type peer interface {
	// send says f; a peer that is too slow to take it ends.
	send(f wire.ManagerFrame)
	// end ends the connection, and tells the peer why.
	end(why error)
	// network names the network that the peer is in.
	network() string
}

// A terms is what a lease says: its claims.
type terms struct {
	ID      wire.LeaseID
	UE      identity.ID
	Host    string
	Session uint64
	Module  [32]byte
	Class   string
	Limits  wire.Limits
}

// A rulebook is what the ledger is given, and never changes.
type rulebook struct {
	decide     placement.Decider
	candidates placement.Ranker
	afresh     bool // sessions have their candidates probed one after the other
	thetaNet   time.Duration
	beat       time.Duration
	perTenant,
	sessions int // that may be, of a tenant and in all
	asks float64 // a second, of a tenant; ten times that in all

	sign  func(now time.Time, t terms) ([]byte, error)
	read  func(host string, token []byte) (terms, error) // nil error: one of our runs has signed it for the host
	audit func(record)
}

// A ledger is what the manager knows, and where it decides: sessions, leases, hosts, reservations. One goroutine owns
// it. It knows no clock and no network: what comes is a call, with the time, and what it says goes to peers, which never wait.
//
//	Ask -> authorise -> Candidates, probes -> Feel -> Decide on the snapshot -> reservation and Order -> Did -> Place
//	Beat, Feel, a host's silence, a cordon, a drain -> Decide again
type ledger struct {
	rulebook
	start  start
	policy *capability.Policy

	registry *cluster.Registry
	snapshot placement.Snapshot
	hosts    map[string]*host
	sessions map[sessionKey]*session
	byPeer   map[peer]map[*session]bool
	waiting  map[*session]bool // to be decided: for probes, or for the ledger to settle
	leases   map[wire.LeaseID]*lease
	tenants  map[string]*tenant
	ues      map[identity.ID]int // sessions of each
	revoked  map[string]bool     // IDs
	near     networks
	asking   *rate.Limiter // in all

	known      bool      // which hosts there are, from the start
	settled    bool      // they are back, or had the time
	began      time.Time // when the first tick was
	zero       time.Time // that ways count from
	swept      time.Time
	nextOrder  uint64
	nextPlace  uint64
	superseded map[string]bool // hosts that obey another manager

	count Counts
}

func newLedger(r rulebook, s start, p *capability.Policy, b cluster.Backend, revoked []string) *ledger {
	l := &ledger{
		rulebook: r, start: s, policy: p, registry: cluster.New(b, r.beat),
		hosts: map[string]*host{}, sessions: map[sessionKey]*session{}, byPeer: map[peer]map[*session]bool{}, waiting: map[*session]bool{}, leases: map[wire.LeaseID]*lease{},
		tenants: map[string]*tenant{}, ues: map[identity.ID]int{}, revoked: map[string]bool{}, near: networks{}, superseded: map[string]bool{},
		settled: s.epoch <= 1, nextPlace: s.epoch << 32, nextOrder: s.epoch << 32, // so that none of a run before is higher
		asking: newRate(10 * r.asks),
	}
	l.snapshot.ThetaNet, l.known = r.thetaNet, len(l.registry.Missing()) > 0
	for _, id := range revoked {
		l.revoked[id] = true
	}
	return l
}

// A sessionKey names a session: its UE numbers them.
type sessionKey struct {
	ue identity.ID
	n  uint64
}

func (k sessionKey) String() string { return fmt.Sprintf("%s#%d", k.ue.Short(), k.n) }

// A session is one module of one UE.
type session struct {
	key     sessionKey
	id      string
	state   sessionState
	ask     wire.Ask
	peer    peer      // nil: its UE is not connected
	heard   time.Time // of it, from its UE or from a host
	round   uint32
	offered []string // hosts of this round
	toProbe []string // of these, those to be probed after the one that is

	primary, standby *lease
	leaving          []*lease // of before a move, until the UE is at the primary
	last             wire.Place
	told             bool // last was sent

	ways    []way                // by host
	avoid   map[string]time.Time // hosts that could not prepare, or that its UE did not come to, until when
	felt    []feltCalls
	shown   time.Time // when a beat of the primary first showed it
	moved   time.Time
	until   time.Time // how long it waits for probes
	checked time.Time // when it was last decided
	asking  time.Time // when its UE was last asked to measure hosts
	decided placement.Decision
}

// feltCalls are those of a Feel.
type feltCalls struct {
	at        time.Time
	n, missed uint64
	p99       time.Duration
}

// A lease lets a session use a host.
type lease struct {
	terms
	s     *session
	state leaseState
	token []byte
	addrs []string // where the host wants this UE; none: its own
	since time.Time
	calls uint64
	marks [2]mark // of its calls: one of 10 to 20 s ago, or the first, and a later one
}

// A mark is how many calls a beat has shown.
type mark struct {
	at    time.Time
	calls uint64
}

// count takes the calls that a beat shows.
func (le *lease) count(now time.Time, calls uint64) {
	if le.marks[0].at.IsZero() || calls < le.calls { // of another run of the host
		le.marks = [2]mark{{now, calls}, {now, calls}}
	}
	if now.Sub(le.marks[1].at) >= qos.RateWindow {
		le.marks = [2]mark{le.marks[1], {now, calls}}
	}
	le.calls = calls
}

// rate returns how many calls a second it has had lately, on average over the last 10 to 20 s.
func (le *lease) rate(now time.Time) float64 {
	m := le.marks[0]
	if m.at.IsZero() {
		return 0
	}
	return float64(le.calls-m.calls) / max(now.Sub(m.at), qos.RateWindow).Seconds()
}

// An order waits for its Did.
type order struct {
	kind  wire.OrderKind
	lease *lease
	probe [32]byte
	late  time.Time
}

// A tenant is what UEs of one tenant hold.
type tenant struct {
	sessions map[*session]bool
	asking   *rate.Limiter
}

// newRate returns a limiter of so many events a second, of which those of two seconds may come at once.
func newRate(perSecond float64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(2*perSecond)))
}

// tick does what time asks for. It is called ten times a second.
func (l *ledger) tick(now time.Time) {
	if l.began.IsZero() {
		l.began = now
	}
	for _, name := range slices.Sorted(maps.Keys(l.hosts)) {
		l.dropLate(now, l.hosts[name])
	}
	for _, c := range l.registry.Tick(now) {
		l.hostChanged(now, c)
	}
	l.settle(now)
	l.probeOn(now)
	for _, s := range byName(l.waiting) {
		if l.settled && now.After(s.until) {
			l.decideNow(now, s)
		}
	}
	if now.Sub(l.swept) >= time.Second {
		l.swept = now
		l.sweep(now)
	}
}

// sweep ends the sessions of which nothing is heard.
func (l *ledger) sweep(now time.Time) {
	silent := map[*session]bool{}
	for _, s := range l.sessions {
		if s.peer == nil && now.Sub(s.heard) > silence {
			silent[s] = true
		}
	}
	for _, s := range byName(silent) {
		l.end(now, s, "its UE and its hosts are silent")
	}
}

// settle lets decisions begin once all hosts that were known at the start are back, or had the time for it: three beats, and as long as they
// take to find a manager. Where none were known, any may come back.
func (l *ledger) settle(now time.Time) {
	if l.settled || now.Sub(l.began) <= max(cluster.Missed*l.beat, returning) && (!l.known || len(l.registry.Missing()) > 0) {
		return
	}
	l.settled = true
	for _, s := range l.sorted() {
		if s.peer != nil && s.state == asked {
			l.offer(now, s)
		}
	}
}

// sorted returns the sessions in the order of their IDs, so that the same events make the same decisions.
func (l *ledger) sorted() []*session {
	return slices.SortedFunc(maps.Values(l.sessions), bySessionID)
}

func byName(set map[*session]bool) []*session {
	return slices.SortedFunc(maps.Keys(set), bySessionID)
}

func bySessionID(a, b *session) int { return cmp.Compare(a.id, b.id) }

// revoke ends all that an ID has.
func (l *ledger) revoke(now time.Time, id identity.ID) {
	l.revoked[id.String()] = true
	if h := l.hosts[id.Name]; h != nil && id.Role == identity.Host && h.peer != nil {
		h.peer.end(errRevoked)
		l.hostDown(now, id.Name, h.peer)
	}
	for _, s := range l.sorted() {
		if s.key.ue == id {
			l.evict(now, s, errRevoked.Error(), 0)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.hosts)) {
		l.order(now, l.hosts[name], wire.Order{Kind: wire.OrderRevoke, Who: id.String()}, nil)
	}
}

// setPolicy takes another policy. Sessions that it does not grant end.
func (l *ledger) setPolicy(now time.Time, p *capability.Policy) {
	l.policy = p
	for _, s := range l.sorted() {
		if err := l.authorise(s.key.ue.Tenant, s.ask, s); err != nil {
			l.evict(now, s, err.Error(), retryOf(err))
		}
	}
}

// evict ends a session against its UE's will, and says why, and when to ask for another: 0 means never.
func (l *ledger) evict(now time.Time, s *session, why string, retry time.Duration) {
	l.count.Evicted++
	l.tell(s, wire.Place{Why: clip(why), RetryAfter: retry})
	l.end(now, s, why)
}

// end ends a session and its leases.
func (l *ledger) end(now time.Time, s *session, why string) {
	for _, le := range s.all() {
		l.stop(now, le, 0)
	}
	s.state = s.state.next(toEnd)
	l.attach(s, nil)
	delete(l.sessions, s.key)
	delete(l.waiting, s)
	l.snapshot.RemoveSession(s.id)
	delete(l.tenant(s.key.ue.Tenant).sessions, s)
	if l.ues[s.key.ue]--; l.ues[s.key.ue] == 0 {
		delete(l.ues, s.key.ue)
	}
	l.count.Ended++
	l.audit(record{now: now, what: "ended", s: s, why: why})
}

// attach says which connection a session's UE speaks on; nil: none.
func (l *ledger) attach(s *session, p peer) {
	if s.peer != nil {
		delete(l.byPeer[s.peer], s)
		if len(l.byPeer[s.peer]) == 0 {
			delete(l.byPeer, s.peer)
		}
	}
	if s.peer = p; p == nil {
		return
	}
	if l.byPeer[p] == nil {
		l.byPeer[p] = map[*session]bool{}
	}
	l.byPeer[p][s] = true
}

// all returns the leases of a session.
func (s *session) all() (all []*lease) {
	for _, le := range append([]*lease{s.primary, s.standby}, s.leaving...) {
		if le != nil {
			all = append(all, le)
		}
	}
	return all
}

// newLease makes a lease of s at a host.
func (l *ledger) newLease(now time.Time, s *session, hostName string) (*lease, error) {
	le := &lease{s: s, since: now, terms: terms{
		UE: s.key.ue, Host: hostName, Session: s.key.n, Module: s.ask.Module, Class: s.ask.Class,
		Limits: s.limits(),
	}}
	rand.Read(le.ID[:])
	token, err := l.sign(now, le.terms)
	if err != nil {
		return nil, err
	}
	le.token = token
	l.leases[le.ID] = le
	return le, nil
}

// limits returns what the leases of a session allow.
func (s *session) limits() wire.Limits {
	return wire.Limits{Rate: s.ask.Need.Rate * rateSlack, Memory: s.ask.Need.Memory, Share: need(s.ask.Need)}
}

// limit gives the leases of a session other limits, if it needs something else.
func (l *ledger) limit(now time.Time, s *session) {
	for _, le := range s.all() {
		if le.state.live() && le.Limits != s.limits() {
			le.Limits = s.limits()
			l.order(now, l.hosts[le.Host], wire.Order{Kind: wire.OrderLimit, ID: le.ID, Limits: le.Limits}, nil)
		}
	}
}

// rateSlack is how many more calls a second a lease allows than its UE needs: they come in bursts.
const rateSlack = 1.25

// drop forgets a lease that is over.
func (l *ledger) drop(le *lease) {
	le.state = over
	delete(l.leases, le.ID)
	if h := l.hosts[le.Host]; h != nil {
		delete(h.leases, le.ID)
	}
}

func clip(text string) string { return text[:min(len(text), wire.MaxWhy)] }
