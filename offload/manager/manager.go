// Package manager is the offload manager: it decides which edge host a UE's session runs on.
//
// UEs and edge hosts dial it. A UE asks for a place for a module, measures the hosts that the manager names, and is given a
// lease for one of them and for a standby. A host registers, beats once a second, and does what it is told: prepare, stop,
// probe, drain. The manager is on the way of no call, and what it has decided goes on without it.
//
//	m, err := manager.New(manager.Config{Certs: "manager/m1", Store: "manager.db"})
//	...
//	err = m.Serve(ctx, socket) // until Close
//
// # What it keeps
//
// Sessions, leases and reservations are in memory, owned by one goroutine, the ledger. The store has only what nobody can be asked
// again: keys, runs, codes, certificates, revoked IDs, and what the operator wants of hosts. After a restart hosts show the leases that they hold; those are the record, and nothing
// is decided until all hosts that are known are back, or ten seconds have passed.
//
// # Failure
//
// While it is gone, leases in use go on, and no session begins. Two managers cannot both decide: a host obeys
// the one that began last, and the other ends with [ErrSuperseded].
//
// # Bounds
//
// A UE has 64 sessions at most; a tenant, and all together, what Config says. Asks beyond the rate are answered with a time to
// retry. A peer that does not take what it is told is let go.
package manager

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/placement"
)

// ErrSuperseded says that hosts obey another manager, which began later.
var ErrSuperseded = errors.New("hosts obey another manager, which began later: one of the two has to go")

var errClosed = errors.New("the manager has ended")

// A Config configures a Manager. Certs and Store must be set.
type Config struct {
	// Certs is the manager's folder, as "bungee ca issue manager" makes it. Without signer.pem in it nobody can enrol.
	Certs string
	// Store is the file of the store. It is made if there is none.
	Store string
	// Policy says what tenants may have, as it says to hosts. Nil means [capability.Default].
	Policy *capability.Policy
	// Cluster says which hosts there are. Nil means [cluster.Embedded]: whoever has a host's certificate.
	Cluster cluster.Backend
	// Decide decides. Nil means [placement.Decide].
	Decide placement.Decider
	// Candidates says which hosts a UE measures for a session. Nil means [placement.Candidates], which leaves out those that
	// could not hold it by what [placement.Decide] knows: another Decide needs its own.
	Candidates placement.Ranker
	// ProbeAfresh has candidates probed for each session that has no host, one after the other, as the prototype of paper 000 does. Otherwise
	// all are probed at once, those of which nothing newer than a minute is known.
	ProbeAfresh bool
	// ThetaNet is the round-trip time over which a host is too far for a UE (paper 000). Zero means 20 ms.
	ThetaNet time.Duration
	// Beat is how often hosts say what they do. Zero means a second.
	Beat time.Duration
	// SessionsPerTenant bounds the sessions of a tenant, and Sessions those of all. Zero means 1,000 and 10,000.
	SessionsPerTenant, Sessions int
	// AsksPerSecond bounds how often a tenant asks; twice that may come at once. All together may ask ten times as often. Zero means 100.
	AsksPerSecond float64
	// Logger receives what an operator should know. Nil is silent.
	Logger *slog.Logger
	// Audit receives one record a decision. Nil is silent. Records are written by another goroutine, in order; those
	// that it does not come after with are counted.
	Audit *slog.Logger
}

func (c Config) filled() Config {
	if c.Policy == nil {
		c.Policy = capability.Default()
	}
	if c.Cluster == nil {
		c.Cluster = cluster.Embedded()
	}
	if c.Decide == nil {
		c.Decide = placement.Decide
	}
	if c.Candidates == nil {
		c.Candidates = placement.Candidates
	}
	c.ThetaNet = cmp.Or(c.ThetaNet, 20*time.Millisecond)
	c.Beat = cmp.Or(c.Beat, time.Second)
	c.SessionsPerTenant = cmp.Or(c.SessionsPerTenant, 1000)
	c.Sessions = cmp.Or(c.Sessions, 10_000)
	c.AsksPerSecond = cmp.Or(c.AsksPerSecond, 100)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Manager is an offload manager. Its methods may be called by many goroutines.
type Manager struct {
	// Set by New, then constant.
	cfg    Config
	who    *identity.Source
	tls    *tls.Config
	signer *identity.Authority // nil: nobody can enrol
	store  *store
	audits *audits

	calls chan func(*ledger, time.Time)
	ctx   context.Context // ends with Close
	stop  context.CancelCauseFunc
	wg    sync.WaitGroup

	guesses *guesses

	mu        sync.Mutex // leaf
	conns     map[*conn]bool
	strangers int
	revoked   map[identity.ID]bool
	listeners []interface{ Close() error }
	closed    bool
}

// New begins a manager, which serves once Serve or ServeTCP is called. It must be closed.
func New(cfg Config) (*Manager, error) {
	cfg = cfg.filled()
	who, err := identity.Open(cfg.Certs, identity.Manager, cfg.Logger)
	if err != nil {
		return nil, err
	}
	signer, err := identity.LoadSigner(cfg.Certs)
	if err != nil {
		cfg.Logger.Warn("nobody can enrol", "why", err)
	}
	s, err := openStore(cfg.Store)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		cfg: cfg, who: who, tls: who.TLS(), signer: signer, store: s, audits: newAudits(cfg.Audit),
		calls: make(chan func(*ledger, time.Time)), conns: map[*conn]bool{}, revoked: map[identity.ID]bool{}, guesses: newGuesses(),
	}
	m.ctx, m.stop = context.WithCancelCause(context.Background())
	if err := m.begin(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return m, nil
}

// begin makes the ledger of a new run, and its goroutine.
func (m *Manager) begin() error {
	run, err := m.store.begin(time.Now())
	if err != nil {
		return err
	}
	if err := m.restoreWants(); err != nil {
		return err
	}
	ids, err := m.store.revoked()
	if err != nil {
		return err
	}
	for _, text := range ids {
		id, err := identity.ParseID(text)
		if err != nil {
			return err
		}
		m.revoked[id] = true
	}
	r := rulebook{
		decide: m.cfg.Decide, candidates: m.cfg.Candidates, afresh: m.cfg.ProbeAfresh, thetaNet: m.cfg.ThetaNet, beat: m.cfg.Beat, perTenant: m.cfg.SessionsPerTenant, sessions: m.cfg.Sessions, asks: m.cfg.AsksPerSecond,
		audit: m.audits.add,
	}
	if r.sign, r.read, err = leasesOf(run, m.who.ID().Authority); err != nil {
		return err
	}
	l := newLedger(r, run, m.cfg.Policy, m.cfg.Cluster, ids)
	m.wg.Go(func() { m.run(l) })
	m.wg.Go(m.watch)
	m.wg.Go(func() { m.audits.run(m.ctx) })
	m.cfg.Logger.Info("manager begins", "id", m.who.ID().String(), "epoch", run.epoch)
	return nil
}

// tickEvery is how often the ledger looks at the clock: the shortest of its times is a probe's, 500 ms.
const tickEvery = 100 * time.Millisecond

// run is the ledger's goroutine. It ends with Close.
//
//	a call of a peer or a command; a tick; the end
func (m *Manager) run(l *ledger) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case f := <-m.calls:
			f(l, time.Now())
		case <-tick.C:
			l.tick(time.Now())
		case <-m.ctx.Done():
			return
		}
	}
}

// do has the ledger's goroutine call f, and returns once it has begun to. It does nothing after the end.
func (m *Manager) do(f func(*ledger, time.Time)) {
	select {
	case m.calls <- f:
	case <-m.ctx.Done():
	}
}

// ask has the ledger's goroutine call f, and returns what f does.
func ask[T any](m *Manager, f func(*ledger, time.Time) T) (v T, err error) {
	done := make(chan T, 1)
	m.do(func(l *ledger, now time.Time) { done <- f(l, now) })
	select {
	case v = <-done:
		return v, nil
	case <-m.ctx.Done():
		return v, context.Cause(m.ctx)
	}
}

// Serve accepts connections over QUIC on pc, which belongs to the manager from then on, until ctx ends or the manager does. It may be
// called for several sockets. Its error is the cause of ctx, ErrSuperseded, or that of the socket; once Close is called it is nil.
func (m *Manager) Serve(ctx context.Context, pc net.PacketConn) error {
	l, err := link.Listen(link.Logged(pc, m.cfg.Logger), m.tls)
	if err != nil {
		return err
	}
	return m.serve(ctx, l, l.Accept)
}

// ServeTCP does what Serve does, over TLS on TCP, for peers whose network blocks UDP.
func (m *Manager) ServeTCP(ctx context.Context, ln net.Listener) error {
	l := link.ListenTCP(ln, m.tls, m.cfg.Logger)
	return m.serve(ctx, l, l.Accept)
}

func (m *Manager) serve(ctx context.Context, l interface{ Close() error }, accept func(context.Context) (*link.Conn, error)) error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return l.Close()
	}
	m.listeners = append(m.listeners, l)
	m.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(m.ctx, func() { cancel(context.Cause(m.ctx)) })()
	for {
		c, err := accept(ctx)
		switch {
		case m.ctx.Err() != nil:
			if err = context.Cause(m.ctx); err == errClosed {
				return nil
			}
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
		m.start(c)
	}
}

// Close ends the manager abruptly: peers find it gone, and go on with the leases that they have. It returns when all that the manager
// has begun has ended.
func (m *Manager) Close() error {
	m.stop(errClosed)
	m.mu.Lock()
	m.closed = true
	listeners := m.listeners
	m.listeners = nil
	for c := range m.conns {
		c.link.Close("manager has ended")
	}
	m.mu.Unlock()
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	m.wg.Wait()
	return errors.Join(err, m.store.close())
}

// SetPolicy takes another policy. Sessions that it does not grant end.
func (m *Manager) SetPolicy(p *capability.Policy) {
	m.do(func(l *ledger, now time.Time) { l.setPolicy(now, p) })
}

// NewCode returns a code with which a device enrols within ten minutes, once. Role is "ue" or "host"; a host has no tenant.
func (m *Manager) NewCode(role, tenant, name string) (string, error) {
	id, err := m.idOf(role, tenant, name)
	switch {
	case err != nil:
		return "", err
	case m.signer == nil:
		return "", errNoSigner
	}
	code, err := m.store.addCode(id, identity.FingerprintOf(m.signer.Root()), time.Now())
	if err != nil {
		return "", err
	}
	m.audits.add(record{now: time.Now(), what: "code", why: id.Path()})
	return code.String(), nil
}

// Revoke revokes a device for good: its connections, here and at hosts, end within seconds, and what its leases allow.
func (m *Manager) Revoke(role, tenant, name string) error {
	id, err := m.idOf(role, tenant, name)
	if err != nil {
		return err
	}
	if err := m.store.revoke(id.String(), time.Now()); err != nil {
		return err
	}
	m.mu.Lock()
	m.revoked[id] = true
	var gone []*conn
	for c := range m.conns {
		if c.id == id {
			gone = append(gone, c)
		}
	}
	m.mu.Unlock()
	m.do(func(l *ledger, now time.Time) {
		l.revoke(now, id)
		m.audits.add(record{now: now, what: "revoked", why: id.Path()})
	})
	var wg sync.WaitGroup
	for _, c := range gone {
		wg.Go(func() { c.endRevoked() })
	}
	wg.Wait()
	return nil
}

func (m *Manager) isRevoked(id identity.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revoked[id]
}

func (m *Manager) idOf(role, tenant, name string) (identity.ID, error) {
	id := identity.ID{Authority: m.who.ID().Authority, Role: identity.Host, Name: name}
	switch role {
	case "ue":
		id.Role, id.Tenant = identity.UE, cmp.Or(tenant, name)
	case "host":
		if tenant != "" {
			return id, errors.New("a host serves all tenants: it has none of its own")
		}
	default:
		return id, fmt.Errorf("%q is no role; want ue or host", role)
	}
	return id, id.Check()
}

// watchEvery is how often certificates of peers are looked at again.
const watchEvery = time.Second

// watch ends the connections whose peers are accepted no longer: the certificate has ended, or is revoked.
func (m *Manager) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.ctx.Done():
			return
		}
		m.mu.Lock()
		all := make([]*conn, 0, len(m.conns))
		for c := range m.conns {
			all = append(all, c)
		}
		m.mu.Unlock()
		for _, c := range all {
			if c.id == (identity.ID{}) {
				continue
			}
			if why := c.link.PeerFault(); why != nil {
				m.cfg.Logger.Warn("a peer is accepted no longer", "peer", c.id.Path(), "why", why.Reason())
				c.link.Dismiss(why)
			}
		}
	}
}

// superseded ends the manager, since hosts obey another.
func (m *Manager) superseded() {
	m.cfg.Logger.Error("the manager ends", "why", ErrSuperseded)
	m.stop(ErrSuperseded)
}

// State is what a manager knows at one time, for people.
type State struct {
	ID       string    `json:"id"`
	Epoch    uint64    `json:"epoch"`
	Settled  bool      `json:"settled"` // it decides
	Hosts    []Host    `json:"hosts"`
	Sessions []Session `json:"sessions"`
	Leases   []Lease   `json:"leases"`
}

// A Host is an edge host in a State.
type Host struct {
	Name      string        `json:"name"`
	State     string        `json:"state"`
	Want      string        `json:"want"` // what the operator wants of it: serve, cordon or drain
	Addresses []string      `json:"addresses"`
	Turns     float64       `json:"turns"`   // that it says it has
	Learned   float64       `json:"learned"` // that it seems to have
	Load      float64       `json:"load"`    // turns in use
	Sessions  int           `json:"sessions"`
	Since     time.Duration `json:"since"` // it has registered
	Version   string        `json:"version,omitempty"`
	Modules   []Service     `json:"modules,omitempty"` // what is known of those that it has, by digest
}

// A Service is what calls of a module take at a host.
type Service struct {
	Module    string  `json:"module"`           // the first 8 bytes of its digest
	Turn      float64 `json:"turn_ms"`          // on a core; 0: not known
	Inference float64 `json:"l_inf_ms"`         // with the wait for one: L_inf as it is now
	Probe     float64 `json:"probe_ms"`         // what the last probe showed; 0: there was none
	Rate      float64 `json:"calls_per_second"` // lately
}

// A Session is one in a State.
type Session struct {
	Tenant    string  `json:"tenant"`
	UE        string  `json:"ue"`
	Number    uint64  `json:"number"`
	State     string  `json:"state"`
	Module    string  `json:"module"` // the first 8 bytes of its digest
	Primary   string  `json:"primary"`
	Standby   string  `json:"standby"`
	Connected bool    `json:"connected"`
	Latency   float64 `json:"latency_ms"` // p99 as predicted
	Why       string  `json:"why"`
}

// A Lease is one in a State.
type Lease struct {
	ID      string `json:"id"`
	Host    string `json:"host"`
	Session string `json:"session"`
	State   string `json:"state"`
	Calls   uint64 `json:"calls"`
}

// State returns what the manager knows.
func (m *Manager) State() (State, error) {
	return ask(m, func(l *ledger, now time.Time) State {
		s := l.state(now)
		s.ID = m.who.ID().String()
		return s
	})
}

// Stats are numbers for metrics.
type Stats struct {
	Counts
	Epoch    uint64
	Settled  bool
	Hosts    map[string]int // by state
	Sessions map[string]int // by state
	Leases   int
	Waiting  int // orders that wait for an answer

	Peers                  int // connections
	Enrolled, EnrolRefused uint64
	AuditLost              uint64
	CertificateEnds        time.Time
	CertificateFault       error // why the files of certificates cannot be used as they are, while those read before count
}

// Stats returns numbers for metrics.
func (m *Manager) Stats() (Stats, error) {
	s, err := ask(m, func(l *ledger, _ time.Time) Stats { return l.stats() })
	m.mu.Lock()
	s.Peers = len(m.conns)
	m.mu.Unlock()
	s.Enrolled, s.EnrolRefused = m.guesses.enrolled.Load(), m.guesses.refused.Load()
	s.AuditLost, s.CertificateEnds, s.CertificateFault = m.audits.lost.Load(), m.who.Ends(), m.who.Fault()
	return s, err
}
