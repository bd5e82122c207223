// Package host is the host offload handler: it serves elastic functions and the
// far endpoints of elastic channels on an edge host.
//
// UEs connect over QUIC, or over TCP, with certificates of one authority. A UE asks for a
// module by digest and uploads it when the host lacks it. Its
// calls then run in parallel, at most one for each core, on warm instances of the
// module. A far endpoint has an instance of its own, and its messages take turns
// with the calls. The handler runs modules through executor.Engine and does not know
// which engine that is.
//
// A tenant stands in the ID that a UE's certificate proves, and may have any number of UEs. Config.Policy says what a tenant's modules
// may use and how much the tenant may hold. Tenants share the cores, and nothing else: the
// modules of one do not exist for another. The log, Tenants and Bill say what sessions
// cost.
//
//	h, err := host.New(host.Config{Engine: engine, TLS: conf})
//	err = h.Serve(ctx, packetConn) // until Shutdown, Close or the end of ctx
//
// # Failure
//
// A guest that traps, or overruns its deadline or its memory, loses its instance,
// and its call or its channel's state with it. A UE that breaks the protocol loses that
// stream, or its connection. Shutdown tells the UEs to leave, lets running calls
// end and channels move away, and then closes. With ServeTCP UEs know at once when the
// process has ended without Shutdown.
package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/cores"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
)

// Config configures a Handler. Engine and TLS must be set.
type Config struct {
	// Name is told to UEs and stands in their logs. Empty means "edge".
	Name string
	// Engine runs the modules. The handler does not close it.
	Engine executor.Engine
	// TLS identifies the host and says whose UEs it serves. Its VerifyConnection, if it has one, is also
	// asked about connections that are up, each second, and ends those that it refuses.
	TLS *tls.Config
	// Functions are the host functions that modules may be granted, beyond those of the
	// guest ABI and WASI.
	Functions []Provider
	// Policy says what the modules of a tenant may use, and how much it may hold. Nil
	// means capability.Default. A tenant is whom the ID in a UE's certificate names.
	// [Handler.SetPolicy] replaces it.
	Policy *capability.Policy
	// Calls is how many calls and messages run at once. Zero means GOMAXPROCS.
	Calls int
	// Waiting is how many calls of a tenant may wait; further ones are refused. Zero
	// means 64 for each of Calls.
	Waiting int
	// Channels is how many far endpoints of channels the host serves, each with an
	// instance of its own; a further one is refused. A quarter is kept for tenants that have
	// few. Zero means 2048. A tenant has fewer if its quota in Policy has no room for their
	// instances' memory.
	Channels int
	// Connections is how many connections UEs may have; a further one is ended. A quarter is
	// kept for tenants that have few. Zero means 4096, as many as there are lifelines.
	Connections int
	// Modules is how many modules the host keeps loaded. A further one takes the place of
	// the one that has been unused for longest, among those of its tenant and of tenants
	// that have more than their share, and is refused when all of these are in use. Zero
	// means 256.
	Modules int
	// MemoryLimit bounds the memory of each instance, in bytes: a module that asks for more
	// is refused. Zero means the executor's default, where the policy sets no limit.
	MemoryLimit int64
	// Memory bounds what the host holds for UEs beside their instances, in bytes: frames,
	// modules on their way, replies, states, the windows of connections, and handshakes, which may take an
	// eighth. A tenant may
	// hold half of it, or what its quota says, and a quarter is kept for tenants that hold
	// little beside one connection. What finds no room within half a second is refused with the code
	// "overloaded". Zero means 1 GiB.
	Memory int64
	// InstanceMemory bounds the sum of the memory limits of all instances, in bytes, beside the
	// quota of each tenant. A quarter is kept for tenants that have few. Limits are mostly
	// far more than what is used. A tenant that has no instance gets one in any case; beyond these, an instance
	// that nobody uses makes room for one of another tenant that has no more than an equal part. Zero means 16 times Memory.
	InstanceMemory int64
	// CallLimit bounds a call or a message that has no deadline, or a longer one. Zero
	// means 10 s.
	CallLimit time.Duration
	// Manager makes the host a managed one. Nil means that it serves all UEs of its authority.
	Manager *Manager
	// Logger receives a record for each connection, session, module and failed call.
	// Nil is silent. Of what is logged about one UE or tenant it receives two records a second, and of
	// all of them twenty, with bursts of 20 and 200, and how many were left out before.
	Logger *slog.Logger

	guests *slog.Logger // Logger, for guests' lines, which have their own bound
}

func (c Config) withDefaults() (Config, error) {
	if c.Engine == nil || c.TLS == nil {
		return c, errors.New("host: Config needs Engine and TLS")
	}
	if c.Name == "" {
		c.Name = "edge"
	}
	if c.Calls <= 0 {
		c.Calls = cores.N()
	}
	if c.Waiting <= 0 {
		c.Waiting = 64 * c.Calls
	}
	if c.Channels <= 0 {
		c.Channels = 2048
	}
	if c.Connections <= 0 {
		c.Connections = 4096
	}
	if c.Modules <= 0 {
		c.Modules = 256
	}
	if c.Memory <= 0 {
		c.Memory = 1 << 30
	}
	if c.InstanceMemory <= 0 {
		c.InstanceMemory = 16 * c.Memory
	}
	if c.CallLimit <= 0 {
		c.CallLimit = 10 * time.Second
	}
	if c.Policy == nil {
		c.Policy = capability.Default()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.guests, c.Logger = c.Logger, limitLog(c.Logger)
	return c, nil
}

// A Handler serves UEs. It may be used by many goroutines.
type Handler struct {
	cfg      Config
	deployed *deployments
	turns    *executor.Turns // of calls and messages on the cores
	memory   *budget.Host    // bytes held for UEs
	room     *budget.Host    // memory limits of instances
	channels *budget.Host    // far endpoints of channels
	peers    *budget.Host    // connections
	pacer    *pacer          // of what the host does for UEs outside turns
	refusals refusals
	times    times
	managed  *managed // nil: it has no manager

	strangers *budget.Share // of memory: handshakes of UEs that are not known yet

	came   chan struct{} // cap 1: a note that there is a connection
	ending sync.Once
	ended  chan struct{} // closed by Shutdown and Close: no new calls

	mu       sync.Mutex
	closed   bool
	policy   *capability.Policy
	listener []*link.Listener
	tcp      []*link.TCPListener    // the first one has the lifelines
	strayed  link.HandshakeFailures // of doors that are closed
	conns    map[*conn]struct{}
	sessions map[sessionKey]*session
	tenants  map[string]*tenant
	gone     executor.Bill // of tenants that have left
	names    names         // of tenants that are monitored by name
	serving  bool          // a call of Serve accepts UEs

	watching sync.Once
	shut     chan struct{} // closed by Close
	shutting sync.Once
	wg       sync.WaitGroup // all goroutines
}

// New returns a handler that serves nobody yet. It fails if its certificate has expired, which
// no UE would accept. From 30 days before that on it warns, once a day.
func New(cfg Config) (*Handler, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := identity.CheckDates(cfg.TLS, time.Now()); errors.Is(err, identity.ErrExpired) {
		return nil, fmt.Errorf("host: %w", err)
	}
	h := &Handler{
		cfg:      cfg,
		turns:    executor.NewTurns(cfg.Calls),
		memory:   budget.New(cfg.Memory),
		room:     budget.New(cfg.InstanceMemory),
		channels: budget.New(int64(cfg.Channels)),
		peers:    budget.New(int64(cfg.Connections)),
		pacer:    newPacer(),
		came:     make(chan struct{}, 1),
		ended:    make(chan struct{}),
		policy:   cfg.Policy,
		shut:     make(chan struct{}),
		conns:    map[*conn]struct{}{},
		sessions: map[sessionKey]*session{},
		tenants:  map[string]*tenant{},
	}
	h.memory.Spare(connectionCost)
	h.strangers = h.memory.Share(1, max(cfg.Memory/strangersPart, 4*link.YoungCost))

	h.times.init()
	h.deployed = newDeployments(h)
	if h.managed, err = newManaged(h, cfg.Manager); err != nil {
		return nil, err
	}
	return h, nil
}

// strangersPart is the part of Config.Memory that handshakes may take: some 1,300 at once in an eighth of 1 GiB.
const strangersPart = 8

// stranger holds what a handshake may take, until the UE is known, or gone.
func (h *Handler) stranger() (known func(), ok bool) {
	held, err := h.strangers.Try(link.YoungCost)
	return sync.OnceFunc(held.Release), err == nil
}

// Serve accepts UEs on pc, which belongs to the handler from then on, until
// Close, Shutdown or the end of ctx. It returns nil after the first two.
func (h *Handler) Serve(ctx context.Context, pc net.PacketConn) error {
	l, err := link.Listen(link.Logged(pc, h.cfg.Logger), h.cfg.TLS)
	if err != nil {
		return err
	}
	l.OnStranger(h.stranger)
	if !h.add(l) {
		return l.Close()
	}
	h.watching.Do(func() {
		h.wg.Go(h.watchIdentities)
		if h.managed != nil {
			h.managed.listensAt(l, pc.LocalAddr())
			h.wg.Go(h.managed.run)
		}
	})
	for {
		conn, err := l.Accept(ctx)
		if err != nil {
			h.mu.Lock()
			h.serving = false
			h.mu.Unlock()
			return h.serveEnd(ctx)
		}
		h.start(conn, nil)
	}
}

func (h *Handler) serveEnd(ctx context.Context) error {
	select {
	case <-h.ended:
		return nil
	default:
		return context.Cause(ctx)
	}
}

func (h *Handler) add(l *link.Listener) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.listener = append(h.listener, l)
	h.serving = true
	return true
}

// Ready returns nil while the handler accepts UEs and takes their calls, else why it does not.
func (h *Handler) Ready() error {
	if h.draining() != nil {
		return errors.New("the host is draining, or has ended")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.serving {
		return errors.New("the host does not listen yet")
	}
	return nil
}

// ServeTCP makes the handler serve UEs on ln as well, until Close: those whose network
// blocks UDP come there, if ln has the number of the UDP port. ln also holds a lifeline for
// each UE. The kernel closes it when the host's process ends, however it ends, so the UE
// knows at once. ln belongs to the handler from then on. Call ServeTCP before Serve; a
// further listener, of port 443 for example, is for UEs whose network lets nothing else
// pass, and holds no lifelines.
func (h *Handler) ServeTCP(ln net.Listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		ln.Close()
		return
	}
	l := link.ListenTCP(ln, h.cfg.TLS, h.cfg.Logger)
	l.OnStranger(h.stranger)
	h.tcp = append(h.tcp, l)
	h.wg.Go(func() {
		for {
			conn, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			h.start(conn, nil)
		}
	})
}

// lifeline returns the port and the key of a lifeline for a connection, and what
// revokes the key. The zero port is none.
func (h *Handler) lifeline() (port int, key link.LifelineKey, revoke func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.tcp) == 0 {
		return 0, key, func() {}
	}
	key, revoke = h.tcp[0].LifelineKey()
	return h.tcp[0].Addr().(*net.TCPAddr).Port, key, revoke
}

// start serves a connection that came by a door; nil: by the host's own port.
func (h *Handler) start(lc *link.Conn, by *door) {
	id := lc.Peer()
	if lc.Err() == nil && (id.Role != identity.UE || id.Tenant == "") { // Config.TLS let it pass
		h.cfg.Logger.Warn("connection refused", "addr", lc.RemoteAddr().String(), "why", "its certificate is not that of a UE")
		lc.Close("no UE")
		return
	}
	if lc.Err() == nil && by != nil && id.String() != by.ue {
		h.cfg.Logger.Warn("connection refused", "addr", lc.RemoteAddr().String(), "ue", id.Short(), "why", "it came to the port of another UE")
		lc.Close("this port is another UE's")
		return
	}
	c := &conn{h: h, link: lc, id: id, door: by, ue: id.Short(), owner: id.Tenant, greeted: make(chan link.Stream, 1), admitted: make(chan struct{}), pings: rate.NewLimiter(pingsPerSecond, pingsAtOnce)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		lc.Close("host has ended")
		return
	}
	c.tenant = h.enterLocked(c.owner)
	h.conns[c] = struct{}{}
	if h.managed.isRevoked(id) { // after it is one of conns: a revocation misses none
		h.wg.Go(func() { dismissRevoked(c) })
	}
	note(h.came)
	h.wg.Go(func() {
		c.run()
		h.mu.Lock()
		h.dropLocked(c)
		h.mu.Unlock()
		h.leave(c.tenant)
	})
}

// Shutdown tells the UEs that the host takes no new calls and that their channels
// must move away. It waits until they have the answers of calls under way and have
// disconnected, or until ctx ends, and then closes. Its error is what ended the wait early.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.end()
	left := h.askToLeave("host is draining")
	return errors.Join(h.drained(ctx, left), h.Close())
}

// askToLeave asks the UEs to make no new calls here and to move their channels, and returns
// their connections.
func (h *Handler) askToLeave(reason string) (asked []*conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	for c := range h.conns {
		asked = append(asked, c)
		h.wg.Go(func() { c.goAway(reason) })
	}
	for _, s := range h.sessions {
		h.wg.Go(func() { s.far.Drain(reason) })
	}
	return asked
}

// drained waits until all of left have ended, or ctx ends, and logs that, with how many are left after
// 1 s, 3 s, 7 s and so on. Its error is the cause of ctx.
func (h *Handler) drained(ctx context.Context, left []*conn) error {
	log, begun := h.cfg.Logger, time.Now()
	if len(left) == 0 {
		return nil
	}
	log.Warn("drain begins", "connections", len(left))
	pause := time.Second
	tell := time.NewTimer(pause)
	defer tell.Stop()
	for len(left) > 0 {
		select {
		case <-left[0].link.Done():
			left = left[1:]
		case <-tell.C:
			log.Warn("drain goes on", "connections", stillOpen(left), "for", time.Since(begun))
			pause *= 2
			tell.Reset(pause)
		case <-ctx.Done():
			log.Warn("drain is cut off", "connections", stillOpen(left), "after", time.Since(begun))
			return context.Cause(ctx)
		}
	}
	log.Warn("drain ends", "after", time.Since(begun))
	return nil
}

// stillOpen counts the connections that have not ended.
func stillOpen(conns []*conn) (n int) {
	for _, c := range conns {
		if c.link.Err() == nil {
			n++
		}
	}
	return n
}

// end lets no new call begin.
func (h *Handler) end() { h.ending.Do(func() { close(h.ended) }) }

// Close ends all connections, running calls included, and returns when the last
// goroutine of the handler has ended. Further calls do nothing.
func (h *Handler) Close() error {
	h.end()
	h.shutting.Do(func() { close(h.shut) })
	h.mu.Lock()
	h.closed = true
	listeners, tcp := h.listener, h.tcp
	h.listener, h.tcp = nil, nil
	for c := range h.conns {
		c.link.Close("host has ended")
	}
	h.mu.Unlock()
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	for _, l := range tcp {
		err = errors.Join(err, l.Close())
	}
	h.wg.Wait()
	h.deployed.closeAll()
	return err
}
