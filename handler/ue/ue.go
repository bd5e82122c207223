// Package ue is the UE offload handler: it decides where elastic functions run
// and keeps edge hosts ready for them and for elastic channels.
//
// An application starts one handler. From then on the handler's policy (package policy) decides
// where each call of an elastic function runs. A call meant for the edge host goes there if the
// host can take it now, and otherwise runs natively.
//
//	h, err := ue.Start(ctx, ue.Config{Edge: "edge.example:4433", TLS: conf})
//	defer h.Close()
//	boxes, err := DetectObjects(ctx, frame) // here or there
//
// # Fallback
//
// A call falls back, that is, runs natively though it was meant for the edge host, when no
// edge host is configured, when the host is draining or overloaded, and when it lacks the
// module. A function marked idempotent also falls back when the host is lost during the
// call, gives no answer by the deadline, or stops the function at a trap or a limit,
// because the function may have run there. Each fallback is counted by its reason, and
// the first of successive ones with the same reason is logged. The handler reconnects by
// itself, and uses the host again when it is back.
//
// # Offload managers
//
// An offload manager knows many edge hosts, and says on which of them a module runs. A handler with
// Config.Managers asks it for each module whose functions are called, measures the hosts that it names, and goes where it
// says: to the primary, with the standby ready beside it. It tells the manager each second how calls are, and follows when
// the manager moves it. While the manager is gone, all stays where it is. When the primary is lost, calls go to the
// standby at once. [Handler.Follow] does the same for channels.
//
//	h, err := ue.Start(ctx, ue.Config{Managers: ue.Addresses{"manager.example:4434"}, TLS: conf, Need: ue.Need{Rate: 30}})
//
// # Channels
//
// [Handler.Target] returns an edge host to which an elastic channel (package elastic)
// can move. A UE may use any number of hosts at once. It has one session with each, which
// functions and channels share:
//
//	a, b := h.Target("edge-a.example:4433"), h.Target("edge-b.example:4433")
//	ch, err := OpenTracker(elastic.Config{Standby: []elastic.Target{a, b}})
//	err = ch.Move(ctx, a)
//
// # Networks
//
// Sessions go over QUIC, and over TCP where a network blocks UDP, or where Config.Transport
// says so. [Stats] says which. What a session over TCP lacks, [Transport] says.
//
// A session keeps a lifeline to its host if it can: a TCP connection that shows
// within a millisecond or two that the host's process has ended. [Handler.SwitchPath]
// moves all sessions to another network, with everything that is in flight. A host to which
// the UE was connected before is ready again a round trip after the first packet.
// Config.Stripes is for links that lose packets.
//
// A host may have several addresses, of IPv4 and IPv6. They are tried 250 ms apart, and the
// first that answers is used (RFC 8305). The one that worked is tried first on the same
// network for ten minutes. [Handler.Stats] says what each connection knows of its network.
//
// # Policies
//
// A policy decides on a view: how the device is, what calls took at both places, how the way to the host is, and what is
// required (package policy). The handler makes a new one 20 times a second while there are calls. [Handler.Require] changes what is
// required, and [Handler.Fidelity] says how finely to encode the next input.
//
// A call of an idempotent function that the edge host has not answered in time can be begun on the UE, too, when the policy says
// so (policy.Decision.Hedge). The first result counts. At most one call in 20 is, after three in a row: a host that
// freezes is asked no more once the UE had the first result. Functions that several hosts compare are never hedged: one
// answer does not replace what is compared.
//
// # Concurrency
//
// A handler may be used by many goroutines. On the native path it costs a look-up,
// a counter, a clock and the policy, 40 to 80 ns on a busy machine of two cores (BenchmarkLocalCall), and allocates nothing.
package ue

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
)

// Config configures a Handler. The zero Config is ready to use and keeps every
// call on the UE.
type Config struct {
	// Edge is the address, "host:port", of the edge host of elastic functions: a name or an
	// IP address, and a UDP port; its TCP has the same. A host that is found at several has
	// commas between them. Empty means none.
	Edge string
	// Others are the addresses of further edge hosts, for functions that are marked to run on
	// several (redundancy): such a call runs on Edge and on the first of these, as many as
	// the mark asks for.
	Others []string
	// TLS identifies the UE and says whose edge hosts it trusts. It must be set if Edge is
	// set or Target is called. LoadTLS makes one.
	TLS *tls.Config
	// Stripes is the number of connections to each edge host. Streams are spread
	// over them, so that a lost packet holds up and slows down only some of the streams. It
	// is for links that lose 1 % of packets or more. Zero means 1; over TCP it is always 1.
	Stripes int
	// Policy decides where calls run. Nil means policy.WhenReady. One that fails is replaced by the UE; see policy.Contain.
	Policy policy.Policy
	// Notifier tells the policy how the device is. It belongs to the caller. Nil means that nothing is known of the device.
	Notifier *notifier.Notifier
	// MaxTemperature is what the device's temperature is not to pass [°C]. Zero means that there is no limit.
	MaxTemperature float64
	// Explain receives the log of decisions: each with the view that it was made on, and how calls were. A Write has whole lines, and
	// is made by one goroutine, up to 20 times a second; after one that fails there is none. ExplainFile makes one that is
	// bounded. Nil means that there is no log.
	Explain io.Writer
	// Name appears in the edge host's logs. Empty means "ue".
	Name string
	// Logger receives a record for each change: connected, lost, deployed,
	// fallbacks begin and end. Nil means slog.Default for warnings, and nothing else; a logger
	// with slog.DiscardHandler is silent.
	Logger *slog.Logger
	// Managers finds the offload managers that say on which edge host functions run. With one,
	// Edge and Others must be empty. Nil means that there is none. See the package's documentation.
	Managers Discoverer
	// Need is what a manager is asked for. SetNeed changes it.
	Need Need
	// Listen makes the sockets of connections. Each connection takes one to begin with, for
	// each address that is tried, and another once it is connected, so that it can leave a
	// dead network later. Nil means UDP sockets on any port. See SwitchPath.
	Listen func() (net.PacketConn, error)
	// Transport says what carries sessions. Zero is Auto.
	Transport Transport
	// TCPPort is the edge hosts' port for TCP. Zero means the number of their UDP port.
	TCPPort int
	// Dial makes connections of TCP to addr, "host:port". Nil means the system's, through the
	// proxy that HTTPS_PROXY names, if any (NO_PROXY names exceptions).
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// LoadTLS returns the UE's TLS configuration from ca.pem, ue.pem and ue.key in folder
// dir, as "bungee ca" writes them. An empty dir means the user's own folder, where
// "bungee host" writes them, too.
//
// The configuration follows the files: they are read again when they change, so a renewed certificate
// or another authority needs no restart, and files that cannot be used change nothing. What checks the
// edge host is the configuration's VerifyConnection; an application that sets its own must call it.
func LoadTLS(dir string) (*tls.Config, error) {
	if dir != "" {
		return identity.Load(dir, identity.UE)
	}
	own, err := identity.Dir()
	if err != nil {
		return nil, err
	}
	conf, err := identity.Load(own, identity.UE)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf(`%w, and "bungee host" or "bungee up" on this machine does so when it starts`, err)
	}
	return conf, err
}

// A Handler is the UE offload handler of a process.
type Handler struct {
	log       *slog.Logger
	addr      string  // Config.Edge
	edge      *target // at addr; nil: none is configured
	others    []string
	manager   *manager // nil: none
	policy    atomic.Pointer[policy.Contained]
	viewer    *viewer
	explainer *explainer // nil: there is no log of decisions
	before    route.Router

	dialer dialer // copied for each target
	path   atomic.Pointer[path]
	run    func(t *target) // begins t's run

	stop context.CancelFunc
	wg   sync.WaitGroup

	functions atomic.Pointer[map[*offload.Desc]*function] // each map is immutable
	adding    sync.Mutex                                  // a change of functions; taken before mu

	reminding sync.Mutex // leaf lock
	reminder  identity.Reminder

	mu      sync.Mutex
	ended   bool
	targets map[string]*target // by address
}

// Start starts a handler and makes it the router of this process's elastic
// functions. It does not wait for the edge host; see [Handler.Prepare]. The end
// of ctx has the effect of Close.
func Start(ctx context.Context, cfg Config) (*Handler, error) {
	if cfg.Edge != "" && cfg.TLS == nil {
		return nil, errors.New("ue: Config.Edge needs Config.TLS; LoadTLS makes one")
	}
	switch {
	case cfg.Managers != nil && cfg.TLS == nil:
		return nil, errors.New("ue: Config.Managers needs Config.TLS; LoadTLS makes one")
	case cfg.Managers != nil && (cfg.Edge != "" || len(cfg.Others) > 0):
		return nil, errors.New("ue: Config.Edge and Config.Others are not for a handler with Config.Managers: the manager names the edge hosts")
	}
	if err := cmp.Or(cfg.checkHosts(), cfg.Need.check()); err != nil {
		return nil, fmt.Errorf("ue: %w", err)
	}
	cfg = cfg.withDefaults()
	var reminder identity.Reminder
	if cfg.TLS != nil {
		if err := reminder.Due(cfg.TLS, time.Now()); err != nil { // calls run natively all the same
			cfg.Logger.Warn("certificate", "why", err)
		}
	}
	h := &Handler{reminder: reminder, log: cfg.Logger, addr: cfg.Edge, others: slices.Clone(cfg.Others), targets: map[string]*target{}}
	h.dialer = dialer{
		name: cfg.Name, conf: cfg.TLS, stripes: cfg.Stripes, path: &h.path, known: &reached, look: net.DefaultResolver.LookupNetIP, log: cfg.Logger,
		transport: cfg.Transport, tcpPort: cfg.TCPPort, stream: cfg.Dial, direct: cfg.Dial,
	}
	if cfg.Dial == nil {
		h.dialer.stream, h.dialer.direct = dialSystem, dialDirect
	}
	h.path.Store(&path{listen: cfg.Listen})
	h.SetPolicy(cfg.Policy)
	h.functions.Store(&map[*offload.Desc]*function{})
	h.viewer = newViewer(h, &cfg)
	if cfg.Explain != nil {
		h.explainer = &explainer{to: cfg.Explain, began: h.viewer.began}
		if err := h.explainer.begin(cfg.Policy); err != nil {
			return nil, fmt.Errorf("ue: log of decisions: %w", err)
		}
	}
	ctx, h.stop = context.WithCancel(ctx)
	h.run = func(t *target) { h.wg.Go(func() { t.run(ctx) }) }
	if cfg.Managers != nil {
		h.manager = newManager(h, cfg.Managers, cfg.Need)
		h.wg.Go(func() { h.manager.run(ctx) })
	}
	if cfg.Edge != "" {
		h.edge = h.targetAt(cfg.Edge)
		h.edge.begin() // it has TLS, and the handler has not ended
	}
	h.wg.Go(func() { h.viewer.run(ctx) }) // it looks at all of the above
	h.before = route.Use(router{h})
	return h, nil
}

// checkHosts refuses addresses that can never work.
func (c Config) checkHosts() error {
	all := slices.Clone(c.Others)
	if c.Edge != "" {
		all = append(all, c.Edge)
	}
	for _, addr := range all {
		if _, err := parseHost(addr); err != nil {
			return fmt.Errorf("edge host %.200q: %w", addr, err)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(warnings{slog.Default().Handler()})
	}
	if c.Policy == nil {
		c.Policy = policy.WhenReady{}
	}
	if c.Name == "" {
		c.Name = "ue"
	}
	if c.TLS != nil && c.TLS.ClientSessionCache == nil {
		c.TLS = c.TLS.Clone()
		c.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(0) // to resume with a host that comes back
	}
	c.Stripes = max(c.Stripes, 1)
	if c.Listen == nil {
		c.Listen = func() (net.PacketConn, error) { return net.ListenUDP("udp", nil) }
	}
	return c
}

// SetPolicy makes p decide from the next call on. It must not be nil.
func (h *Handler) SetPolicy(p policy.Policy) {
	h.policy.Store(policy.Contain(p, func(why error) { h.log.Error("all calls run on the UE", "why", why) }))
}

// DescOf returns the description of an elastic function, as in DescOf(detect.DetectObjects);
// a method is given as (*T).Method. It is nil when f is no elastic function.
func DescOf(f any) *offload.Desc {
	if d, ok := f.(*offload.Desc); ok {
		return d
	}
	return route.DescOf(f)
}

// Prepare makes the edge host, or all hosts that a function is marked for, ready for it, so that
// the first call need not fall back. Elastic is an elastic function, or an *offload.Desc. It returns when each host is connected and has the
// module and a warm instance. With an offload manager that is the host on which the manager places its
// module. When ctx ends first, the error says what is missing.
func (h *Handler) Prepare(ctx context.Context, elastic any) error {
	f := DescOf(elastic)
	if f == nil {
		return fmt.Errorf("prepare: %T is no elastic function that offloadgen made; pass one, such as Detect, or its *offload.Desc", elastic)
	}
	at := h.function(f).where.Load()
	if h.manager != nil {
		return h.manager.await(ctx, f)
	}
	for _, t := range at.all {
		if _, err := t.await(ctx, f.Module); err != nil {
			return fmt.Errorf("edge host %s: %w", t.addr, err)
		}
	}
	return at.none
}

// Close ends the sessions with the edge hosts and returns when the handler's last
// goroutine has ended. Elastic functions run natively from then on. Calls in flight on an
// edge host end, and fall back as they do when the host is lost.
func (h *Handler) Close() error {
	if now := route.Use(h.before); now != route.Router(router{h}) {
		route.Use(now) // a later handler is in place: it stays
	}
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.stop()
	h.wg.Wait()
	return nil
}

// Stats counts calls since Start, and says how the connections to edge hosts are.
type Stats struct {
	Calls     uint64            // of all elastic functions
	Edge      uint64            // answered by the edge host
	Fallbacks uint64            // meant for the edge host and run natively
	Reasons   map[string]uint64 // Fallbacks by their reason
	Moves     uint64            // changes of where a function's calls run
	Hedged    uint64            // begun on the UE, too, as the edge host had not answered
	Overtaken uint64            // of these, those whose result the UE had first
	Wasted    time.Duration     // time of their other runs: on the UE until the edge host answered, or waiting for the edge host in vain
	Links     []Link            // those that are up, as many as Config.Stripes for each host

	CertificateEnds time.Time // when the UE's certificate ends, as it is read now; zero: not known
}

// Stats returns the counts so far.
func (h *Handler) Stats() Stats {
	s := Stats{Reasons: map[string]uint64{}, Links: h.links()}
	if h.dialer.conf != nil {
		s.CertificateEnds = identity.Ends(h.dialer.conf)
	}
	for _, f := range *h.functions.Load() {
		f.addTo(&s)
	}
	return s
}

// function returns the state of d, and has its module deployed the first time.
func (h *Handler) function(d *offload.Desc) *function {
	if f := (*h.functions.Load())[d]; f != nil {
		return f
	}
	return h.addFunction(d)
}

// addFunction adds the state of d to a copy of the functions: calls look them up without
// a lock.
func (h *Handler) addFunction(d *offload.Desc) *function {
	h.adding.Lock()
	defer h.adding.Unlock()
	old := *h.functions.Load()
	if f := old[d]; f != nil {
		return f
	}
	f := h.newFunction(d)
	f.number = h.viewer.add(d)
	all := maps.Clone(old)
	all[d] = f
	h.functions.Store(&all)
	note(h.viewer.wake)
	if h.manager != nil {
		return f
	}
	for _, t := range f.where.Load().all {
		t.want(d.Module)
		t.begin()
	}
	return f
}
