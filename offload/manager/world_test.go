package manager

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/placement"
)

// A world is a ledger with hosts and UEs as models, in a time of its own: nothing happens but by step.
type world struct {
	t      testing.TB
	rand   *rand.Rand
	now    time.Time
	l      *ledger
	epoch  uint64
	down   bool // the manager is
	hosts  []*modelHost
	ues    []*modelUE
	named  map[identity.ID]*modelUE
	audits []record

	backend cluster.Backend
	policy  *capability.Policy
	limits  rulebook
	check   func(*world)
}

// worldConfig is a manager for tests.
func worldConfig() rulebook {
	return rulebook{decide: placement.Decide, candidates: placement.Candidates, thetaNet: 20 * time.Millisecond, beat: time.Second, perTenant: 1000, sessions: 20_000, asks: 1000}
}

func newWorld(t testing.TB, seed uint64, hosts ...string) *world {
	w := &world{
		t: t, named: map[identity.ID]*modelUE{}, rand: rand.New(rand.NewPCG(seed, 1)), now: epoch, backend: cluster.Embedded(), policy: capability.Default(), limits: worldConfig(),
	}
	w.restart()
	for _, name := range hosts {
		w.addHost(name)
	}
	return w
}

// restart begins a manager, after the one before has ended: nobody is connected.
func (w *world) restart() {
	w.epoch++
	r := w.limits
	r.sign = func(now time.Time, t terms) ([]byte, error) {
		token, err := json.Marshal(forged{Terms: t, Run: "ours"})
		return token, err
	}
	r.read = func(host string, token []byte) (terms, error) {
		var f forged
		if err := json.Unmarshal(token, &f); err != nil {
			return terms{}, err
		}
		if f.Run != "ours" || f.Terms.Host != host {
			return terms{}, errors.New("another run has signed it")
		}
		return f.Terms, nil
	}
	r.audit = func(rec record) { w.audits = append(w.audits, rec) }
	w.l = newLedger(r, start{run: wire.Run{byte(w.epoch)}, epoch: w.epoch}, w.policy, w.backend, nil)
	w.down = false
}

// anew begins the first manager again, since what it is made of has changed.
func (w *world) anew() {
	w.epoch = 0
	w.restart()
}

// forged is a lease of tests.
type forged struct {
	Terms terms
	Run   string
}

// A modelPeer is one connection of a model. What the manager says waits in it.
type modelPeer struct {
	said  []wire.ManagerFrame
	ended error
	net   string
}

func (p *modelPeer) send(f wire.ManagerFrame) {
	if p.ended == nil {
		p.said = append(p.said, f)
	}
}

func (p *modelPeer) end(why error) {
	if p.ended == nil {
		p.ended = why
	}
}

func (p *modelPeer) network() string { return p.net }

// take returns what was said since the last call.
func (p *modelPeer) take() []wire.ManagerFrame {
	said := p.said
	p.said = nil
	return said
}

// A modelHost is an edge host: it keeps its table, as handler/host does.
type modelHost struct {
	w         *world
	id        identity.ID
	register  wire.Register
	peer      *modelPeer // nil: not connected
	up        bool
	mute      bool // connected, and says nothing
	deaf      bool // does not answer orders
	rtt       time.Duration
	service   time.Duration
	felt      time.Duration // that calls take there, if it is not service
	epoch     uint64        // obeyed
	table     map[wire.LeaseID]*modelLease
	nextBeat  time.Time
	beats     uint64
	calls     uint64
	prepared  int
	stopped   int
	reconnect time.Time
}

// A modelLease is one in a host's table.
type modelLease struct {
	terms
	token []byte
	used  bool
	since time.Time // it is as it is
	stop  time.Time // zero: not stopped
}

func hostID(name string) identity.ID {
	return identity.ID{Authority: "bungee", Role: identity.Host, Name: name}
}

func (w *world) addHost(name string) *modelHost {
	h := &modelHost{
		w: w, id: hostID(name), up: true, rtt: 2 * time.Millisecond, service: 5 * time.Millisecond, table: map[wire.LeaseID]*modelLease{},
		register: wire.Register{Addresses: []string{name + ":4433"}, Turns: 4, Memory: 1 << 30},
	}
	w.hosts = append(w.hosts, h)
	h.connect()
	return h
}

func (w *world) host(name string) *modelHost {
	i := slices.IndexFunc(w.hosts, func(h *modelHost) bool { return h.id.Name == name })
	return w.hosts[i]
}

// connect registers with the manager.
func (h *modelHost) connect() {
	if h.w.down {
		return
	}
	h.peer = &modelPeer{net: "cluster"}
	h.w.l.hostUp(h.w.now, h.id, h.peer, h.register)
	var f wire.Holding
	for _, le := range h.sorted() {
		f.Leases = append(f.Leases, le.token)
	}
	h.w.l.holding(h.w.now, h.id.Name, h.peer, f)
	h.nextBeat = h.w.now
}

func (h *modelHost) sorted() (all []*modelLease) {
	for _, le := range h.table {
		all = append(all, le)
	}
	slices.SortFunc(all, func(a, b *modelLease) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return all
}

// disconnect ends the connection to the manager, without a restart of the host.
func (h *modelHost) disconnect() {
	if p := h.peer; p != nil {
		h.peer = nil
		if !h.w.down {
			h.w.l.hostDown(h.w.now, h.id.Name, p)
		}
	}
}

// crash ends the host's process: its table is lost.
func (h *modelHost) crash() {
	h.up, h.table = false, map[wire.LeaseID]*modelLease{}
	h.disconnect()
}

func (h *modelHost) step() {
	w := h.w
	if !h.up || w.down {
		return
	}
	if h.peer != nil && h.peer.ended != nil {
		h.disconnect()
		h.reconnect = w.now.Add(time.Second)
	}
	if h.peer == nil {
		if w.now.Before(h.reconnect) {
			return
		}
		h.connect()
	}
	h.expire()
	for _, f := range h.peer.take() {
		h.obey(f)
	}
	if !h.mute && h.peer != nil && !w.now.Before(h.nextBeat) {
		h.nextBeat = w.now.Add(time.Second)
		h.beat()
	}
}

// expire ends leases: held for 15 s, used and without a UE for 60 s, or stopped.
func (h *modelHost) expire() {
	for id, le := range h.table {
		age := h.w.now.Sub(le.since)
		if !le.stop.IsZero() && !h.w.now.Before(le.stop) || !le.used && age > 15*time.Second || le.used && !h.attached(le) && age > 60*time.Second {
			delete(h.table, id)
		}
		if le.used && h.attached(le) {
			le.since = h.w.now
		}
	}
}

func (h *modelHost) attached(le *modelLease) bool {
	u := h.w.named[le.UE]
	return u != nil && u.at(h, le.ID)
}

func (h *modelHost) obey(f wire.ManagerFrame) {
	w := h.w
	switch f := f.(type) {
	case wire.Adopted:
		h.epoch = max(h.epoch, f.Epoch)
	case wire.Order:
		if f.Epoch < h.epoch || h.deaf {
			return
		}
		did := wire.Did{Number: f.Number}
		switch f.Kind {
		case wire.OrderPrepare:
			var lease forged
			if err := json.Unmarshal(f.Lease, &lease); err != nil || lease.Terms.Host != h.id.Name {
				w.t.Errorf("%s is to prepare %s: %v", h.id.Name, f.Lease, err)
			}
			if h.table[f.ID] == nil {
				h.prepared++
				h.table[f.ID] = &modelLease{terms: lease.Terms, token: f.Lease, since: w.now}
			}
		case wire.OrderStop:
			if le := h.table[f.ID]; le != nil {
				h.stopped++
				le.stop = w.now.Add(f.By)
			}
		case wire.OrderLimit:
			if le := h.table[f.ID]; le != nil {
				le.Limits = f.Limits
			}
		case wire.OrderProbe:
			did.Samples = []time.Duration{h.service, h.service}
		}
		if h.peer != nil {
			w.l.did(w.now, h.id.Name, h.peer, did)
		}
	}
}

func (h *modelHost) beat() {
	h.beats++
	f := wire.Beat{Number: h.beats}
	used := map[[32]byte]uint64{}
	for _, le := range h.sorted() {
		b := wire.SessionBeat{Lease: le.ID, Used: le.used, Calls: h.calls}
		if !h.attached(le) {
			b.Idle = h.w.now.Sub(le.since)
		} else {
			used[le.Module] += 30
		}
		f.Sessions = append(f.Sessions, b)
	}
	for m, n := range used {
		h.calls += n
		f.Modules = append(f.Modules, wire.ModuleBeat{
			Module: m, State: wire.ModuleCompiled, Calls: h.calls, R: time.Duration(h.calls) * h.service, S: time.Duration(h.calls) * h.service, S10: h.service,
			R50: h.service, R99: 2 * h.service,
		})
	}
	h.w.l.hostBeat(h.w.now, h.id.Name, h.peer, f)
}

// A modelUE is a UE with one session.
type modelUE struct {
	w        *world
	id       identity.ID
	need     wire.Need
	session  uint64
	module   [32]byte
	peer     *modelPeer
	up       bool
	wants    bool // to have a session
	far      map[string]bool
	place    wire.Place
	attach   map[string]wire.LeaseID // hosts that it is at, with which lease
	round    uint32
	askAt    time.Time
	feelAt   time.Time
	answered int
	places   int
	hung     time.Time // until when it does nothing
}

func (w *world) addUE(name string) *modelUE {
	u := &modelUE{
		w: w, id: identity.ID{Authority: "bungee", Tenant: "acme", Role: identity.UE, Name: name}, session: 7, module: [32]byte{1}, up: true, wants: true,
		need: wire.Need{Latency: 50 * time.Millisecond, Rate: 30, InFlight: 2, Memory: 10 << 20}, attach: map[string]wire.LeaseID{}, far: map[string]bool{},
		askAt: w.now,
	}
	w.ues, w.named[u.id] = append(w.ues, u), u
	return u
}

// at says whether the UE is at a host with a lease.
func (u *modelUE) at(h *modelHost, id wire.LeaseID) bool { return u.up && u.attach[h.id.Name] == id }

func (u *modelUE) disconnect() {
	if p := u.peer; p != nil {
		u.peer = nil
		if !u.w.down {
			u.w.l.ueDown(u.w.now, p)
		}
	}
}

func (u *modelUE) vanish() {
	u.up, u.place = false, wire.Place{}
	clear(u.attach)
	u.disconnect()
}

func (u *modelUE) step() {
	w := u.w
	if !u.up || w.now.Before(u.hung) {
		return
	}
	u.look()
	if w.down {
		u.peer = nil
		return
	}
	if u.peer == nil || u.peer.ended != nil {
		u.disconnect()
		u.peer = &modelPeer{net: "home"}
		if u.wants {
			u.askAt = w.now
		}
	}
	for _, f := range u.peer.take() {
		u.hear(f)
	}
	if u.wants && !u.askAt.IsZero() && !w.now.Before(u.askAt) {
		u.askAt = time.Time{}
		w.l.ask(w.now, u.id, u.peer, wire.Ask{Session: u.session, Module: u.module, Need: u.need, Hosts: u.in()})
	}
	if u.place.Primary.Host != "" && !w.now.Before(u.feelAt) {
		u.feelAt = w.now.Add(time.Second)
		u.feel()
	}
}

// in returns the hosts in use, the primary first.
func (u *modelUE) in() (all []string) {
	for _, p := range []wire.Placed{u.place.Primary, u.place.Standby} {
		if p.Host != "" {
			all = append(all, p.Host)
		}
	}
	return all
}

// look lets go of hosts that are not there any longer.
func (u *modelUE) look() {
	for name, id := range u.attach {
		h := u.w.host(name)
		if h.table[id] == nil {
			delete(u.attach, name)
		}
	}
}

func (u *modelUE) hear(f wire.ManagerFrame) {
	switch f := f.(type) {
	case wire.Candidates:
		u.answered++
		u.round = f.Round
		u.feel(f.Hosts...)
	case wire.Place:
		u.places++
		if f.Number <= u.place.Number {
			return
		}
		u.follow(f)
	}
}

// feel says how far hosts are, and how calls are at the primary.
func (u *modelUE) feel(hosts ...wire.Candidate) {
	f := wire.Feel{Session: u.session, Round: u.round}
	names := u.in()
	for _, c := range hosts {
		names = append(names, c.Host)
	}
	for _, name := range names {
		if h := u.w.host(name); h.up && !u.far[name] {
			f.Links = append(f.Links, wire.LinkFeel{Host: name, RTT: h.rtt, Sent: 100})
		}
	}
	if p := u.place.Primary.Host; p != "" && u.attach[p] != (wire.LeaseID{}) {
		h := u.w.host(p)
		took := cmp.Or(h.felt, h.service)
		f.Calls = []wire.CallsFeel{{Host: p, N: 30, P50: took + h.rtt, P99: 2*took + h.rtt}}
		if 2*took+h.rtt > u.need.Latency {
			f.Calls[0].Missed = 1
		}
	}
	u.w.l.feel(u.w.now, u.id, u.peer, f)
}

// follow goes where a Place says.
func (u *modelUE) follow(f wire.Place) {
	u.place = f
	if f.Primary.Host == "" {
		clear(u.attach)
		if f.RetryAfter > 0 {
			u.askAt = u.w.now.Add(f.RetryAfter)
		}
		return
	}
	keep := map[string]wire.LeaseID{}
	for _, p := range []wire.Placed{f.Primary, f.Standby} {
		var lease forged
		if p.Host == "" || json.Unmarshal(p.Lease, &lease) != nil {
			continue
		}
		h := u.w.host(p.Host)
		if !h.up || u.far[p.Host] {
			continue
		}
		le := h.table[lease.Terms.ID]
		if le == nil { // a valid token: within a minute it is taken
			le = &modelLease{terms: lease.Terms, token: p.Lease, since: u.w.now}
			h.table[lease.Terms.ID] = le
		}
		le.used = true
		keep[p.Host] = le.ID
	}
	u.attach = keep
	u.feelAt = u.w.now.Add(time.Second)
}

func (u *modelUE) bye() {
	u.wants, u.askAt, u.place = false, time.Time{}, wire.Place{}
	clear(u.attach)
	if u.peer != nil && !u.w.down {
		u.w.l.bye(u.w.now, u.id, wire.Bye{Session: u.session})
	}
}

// session returns what the manager has of a UE's session, nil if nothing.
func (u *modelUE) known() *session { return u.w.l.sessions[sessionKey{u.id, u.session}] }

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(100 * time.Millisecond)
		for _, h := range w.hosts {
			h.step()
		}
		for _, u := range w.ues {
			u.step()
		}
		if !w.down {
			w.l.tick(w.now)
		}
		if w.check != nil {
			w.check(w)
		}
	}
}

// heard returns the audit's records of a kind.
func (w *world) heard(what string) (all []record) {
	for _, r := range w.audits {
		if r.what == what {
			all = append(all, r)
		}
	}
	return all
}

// is checks where a session is.
func (u *modelUE) is(state sessionState, primary string) {
	u.w.t.Helper()
	s := u.known()
	switch {
	case s == nil:
		u.w.t.Errorf("%s has no session; want it %s at %q", u.id.Name, state, primary)
	case s.state != state || hostOf(s.primary) != primary:
		u.w.t.Errorf("%s is %s at %q; want it %s at %q (%s)", u.id.Name, s.state, hostOf(s.primary), state, primary, s.decided)
	}
}

func names(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s-%d", prefix, i+1))
	}
	return all
}
