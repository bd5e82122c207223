package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A Manager makes a host a managed one: it takes only UEs that its offload manager has sent, with a lease. Without
// one they may measure how far it is, and nothing else.
type Manager struct {
	// Addresses are those of the managers, "host:port". The first that answers is obeyed; the host
	// goes on to the next one when it is lost.
	Addresses []string
	// Advertise are the addresses, "host:port", at which UEs reach this host, four at most. None means the
	// one that Serve listens at first, or, where that is all of the machine's, these.
	Advertise []string
	// Labels, "key=value", and Accelerators are what a UE may ask for.
	Labels, Accelerators []string
	// Price is what the host costs an hour, in the operator's unit. Zero means nothing.
	Price float64
	// Version is told to the manager. Empty is allowed.
	Version string

	// Ports are UDP ports for leases. Each lease that the manager has prepared gets one of its own, by which nobody
	// comes but its UE, until the lease and its connections have ended; the manager sends the UE there. A port
	// that is in use is passed over; without a free one the lease is refused with the code "overloaded". UEs reach
	// them at the hosts of Advertise. TCP stays at the port of Serve, where each UE that has a lease may come,
	// too. The zero Ports mean that all UEs come there.
	Ports Ports

	// ListenAt makes the sockets of Ports. Nil means a UDP socket of the system.
	ListenAt func(*net.UDPAddr) (net.PacketConn, error)
	// Listen makes the socket of a connection to a manager. Nil means a UDP socket of the system.
	Listen func() (net.PacketConn, error)
	// Dial makes connections of TCP to a manager, for networks that block UDP. Nil means the system's.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// A managed is what a handler has of its manager. A nil one is that of a host without.
type managed struct {
	h   *Handler
	cfg Manager
	id  identity.ID // the host's own

	loads  loads
	probes executor.Account // of runs of probes: no tenant pays for them
	ration ration           // of probes: of whoever has what steward.probing counts
	first  *link.Listener   // of the handler: its sockets of Ports come from it. Set before run
	at     net.UDPAddr      // of first

	mu       sync.Mutex // leaf
	leases   leases
	verifier *lease.Verifier     // nil until a manager has been met
	revoked  map[string]struct{} // IDs of UEs
	draining bool
	clock    clock
	idle     []*door // of no lease: to be closed
}

// A clock is the manager's, kept by this machine's monotonic clock.
type clock struct{ theirs, ours time.Time }

// at returns the manager's time when it is now here.
func (c clock) at(now time.Time) time.Time { return c.theirs.Add(now.Sub(c.ours)) }

func newManaged(h *Handler, cfg *Manager) (*managed, error) {
	if cfg == nil {
		return nil, nil
	}
	id, err := identity.IDOf(identity.Leaf(h.cfg.TLS))
	switch {
	case err != nil:
		return nil, fmt.Errorf("host: its certificate: %w", err)
	case len(cfg.Addresses) == 0:
		return nil, errors.New("host: a managed one needs the address of its manager")
	}
	for _, addr := range append(cfg.Addresses[:len(cfg.Addresses):len(cfg.Addresses)], cfg.Advertise...) {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return nil, fmt.Errorf("host: %.200q is no address of a manager or of this host; want host:port", addr)
		}
	}
	m := &managed{revoked: map[string]struct{}{}, h: h, cfg: *cfg, id: id, leases: leases{most: h.cfg.Connections, all: map[lease.ID]*grant{}}}
	if m.cfg.Listen == nil {
		m.cfg.Listen = func() (net.PacketConn, error) { return net.ListenUDP("udp", nil) }
	}
	if m.cfg.Dial == nil {
		m.cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	if m.cfg.ListenAt == nil {
		m.cfg.ListenAt = func(at *net.UDPAddr) (net.PacketConn, error) { return net.ListenUDP("udp", at) }
	}
	if err := cfg.Ports.check(); err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	if _, err := wire.AppendManagerFrame(nil, m.register()); err != nil {
		return nil, fmt.Errorf("host: what it tells its manager: %w", err)
	}
	return m, nil
}

// notAccepted is the Fail for a lease that is refused because of err.
func notAccepted(err error) *wire.Fail {
	return &wire.Fail{Code: offload.CodeDenied, Text: fmt.Sprintf("the lease is not accepted: %v; ask the manager for another", err)}
}

// noLease is the Fail for a UE that has none.
var noLease = &wire.Fail{Code: offload.CodeDenied, Text: "this host serves whom its manager sends: say Hello with a lease, and ask the manager for one"}

// admit takes the lease of a connection's Hello, by whose door it came: nil, by the host's own port. The caller calls
// leave when the connection has ended.
func (m *managed) admit(ue identity.ID, by *door, hello wire.Hello) (*grant, error) {
	token, ok := hello.Extensions.Get(wire.ExtensionLease)
	if !ok {
		return nil, noLease
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.checkLocked(token)
	if err != nil {
		return nil, err
	}
	if err := l.IsOf(ue.String()); err != nil { // before it is held: a stolen token must not spend its owner's time
		return nil, notAccepted(err)
	}
	if by != nil && by.lease != l.ID {
		return nil, notAccepted(errors.New("this port is that of another lease"))
	}
	now := time.Now()
	g, err := m.holdLocked(now, l, token)
	if err != nil {
		return nil, err
	}
	m.leases.come(now, g)
	return g, nil
}

// checkLocked returns what a token says, if it may count here. Its error is a *wire.Fail.
func (m *managed) checkLocked(token []byte) (lease.Lease, error) {
	if m.verifier == nil {
		return lease.Lease{}, notAccepted(errors.New("this host has not met its manager yet"))
	}
	l, err := m.verifier.Verify(token)
	if err != nil {
		return l, notAccepted(err)
	}
	if _, out := m.revoked[l.UE]; out {
		return l, notAccepted(errors.New("its UE is revoked"))
	}
	return l, nil
}

// holdLocked puts a lease into the table. Its error is a *wire.Fail.
func (m *managed) holdLocked(now time.Time, l lease.Lease, token []byte) (*grant, error) {
	if m.leases.all[l.ID] == nil { // time bounds the first use only
		if m.draining {
			return nil, &wire.Fail{Code: offload.CodeDraining}
		}
		if err := l.ValidAt(m.clock.at(now)); err != nil {
			return nil, notAccepted(err)
		}
	}
	g, err := m.leases.hold(now, l, token)
	switch {
	case errors.Is(err, errLeaseRoom):
		return nil, &wire.Fail{Code: offload.CodeOverloaded, Text: err.Error()}
	case err != nil:
		return nil, notAccepted(err)
	}
	return g, nil
}

// leave takes note that a connection with g has ended.
func (m *managed) leave(g *grant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leases.leave(time.Now(), g)
}

// covers says why the lease is not for module. A nil g allows all: the host has no manager.
func (g *grant) covers(module digest) error {
	switch {
	case g == nil:
		return nil
	case g.ended.Load():
		return notAccepted(errLeaseEnded)
	case g.Module != module:
		return &wire.Fail{Code: offload.CodeDenied, Text: fmt.Sprintf("the lease is for another module than %x: ask the manager for one of this module", module[:6])}
	}
	return nil
}

// beginCall counts a call of module, and says why it may not be.
func (g *grant) beginCall(module digest) error {
	if err := g.covers(module); g == nil || err != nil {
		return err
	}
	now := time.Now()
	g.use.begin(now)
	if !g.use.rate.AllowN(now, 1) {
		return &wire.Fail{Code: offload.CodeOverloaded, Text: fmt.Sprintf("the lease allows %v calls a second", g.use.rate.Limit())}
	}
	return nil
}

// beginMessage counts a message, which waits until the lease allows it: a channel must not lose one.
func (g *grant) beginMessage(ctx context.Context) error {
	if g == nil {
		return nil
	}
	g.use.begin(time.Now())
	if g.use.rate.Wait(ctx) != nil {
		return noTurn
	}
	return nil
}

// memory returns how many bytes an instance may have that runs for the lease's UE, 0 for as many as the policy says.
func (g *grant) memory() int64 {
	if g == nil {
		return 0
	}
	return g.use.memory.Load()
}

// isRevoked says whether no connection of ue may be.
func (m *managed) isRevoked(ue identity.ID) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, out := m.revoked[ue.String()]
	return out
}

// sweep ends the leases that have ended, and their connections.
func (m *managed) sweep() {
	m.mu.Lock()
	ended := m.leases.sweep(time.Now())
	m.mu.Unlock()
	for _, g := range ended {
		m.h.cfg.Logger.Info("lease ends", "ue", g.UE, "lease", fmt.Sprintf("%x", g.ID[:4]))
	}
	m.h.endConns(func(c *conn) bool {
		g := c.grant.Load()
		return g != nil && g.ended.Load()
	}, func(c *conn) {
		if m.isRevoked(c.id) {
			dismissRevoked(c)
		} else {
			c.link.Close("its lease has ended")
		}
	})
}

// endRevoked ends the connections of UEs that are revoked, and their leases.
func (m *managed) endRevoked() {
	m.mu.Lock()
	now := time.Now()
	for _, g := range m.leases.all {
		if _, out := m.revoked[g.UE]; out {
			m.leases.stop(now, g.ID, 0)
		}
	}
	m.mu.Unlock()
	m.h.endConns(func(c *conn) bool { return m.isRevoked(c.id) }, dismissRevoked)
	m.sweep()
}

// dismissRevoked ends a connection whose UE is revoked, and tells it so.
func dismissRevoked(c *conn) { c.link.Dismiss(&link.CertificateError{Fault: link.Revoked}) }

// endConns has end called for each connection that which says. A peer that does not read holds up nobody else.
func (h *Handler) endConns(which func(*conn) bool, end func(*conn)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		if which(c) && !h.closed {
			h.wg.Go(func() { end(c) })
		}
	}
}

// drain takes no further session, and asks those that there are to go.
func (m *managed) drain() {
	m.mu.Lock()
	m.draining = true
	m.mu.Unlock()
	m.h.askToLeave("the manager drains this host")
}
