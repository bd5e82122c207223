// Package ue is the UE offload handler: it decides where elastic functions run
// and keeps the edge host ready for them.
//
// An application starts one handler. From then on each call of an elastic
// function asks the handler's [Policy] for a place; a call that belongs on the
// edge host goes there if the host can take it now, and runs natively if not.
//
//	h, err := ue.Start(ctx, ue.Config{Edge: "edge.example:4433", TLS: conf})
//	defer h.Close()
//	boxes, err := DetectObjects(ctx, frame) // here or there
//
// # Fallback
//
// A call falls back, that is, runs natively though it was meant for the edge
// host, when there is no edge host, when it is lost, draining or overloaded, when
// it lacks the module, and when it gives no answer by the function's deadline
// (only functions marked idempotent, since the host may still run the call). The
// reason is logged once for each run of fallbacks of one cause, and each is counted.
// The handler connects again by itself, and the host is used again when it is back.
//
// # Concurrency
//
// A handler may be used by many goroutines. On the native path it costs a look-up,
// a counter and the policy, about 20 ns, and allocates nothing.
package ue

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload"
)

// Config configures a Handler. The zero Config is ready to use and keeps every
// call on the UE.
type Config struct {
	// Edge is the address of the edge host, "host:port" of UDP. Empty: none.
	Edge string
	// TLS identifies the UE and says whose edge hosts it trusts. It must be set
	// when Edge is. LoadTLS makes one.
	TLS *tls.Config
	// Policy decides where calls run. Nil means WhenReady.
	Policy Policy
	// Name stands in the edge host's logs. Empty means "ue".
	Name string
	// Logger receives a record for each change: connected, lost, deployed,
	// fallbacks begin and end. Nil is silent.
	Logger *slog.Logger
	// Listen gives the socket of each new connection. Nil means a UDP socket on
	// any port.
	Listen func() (net.PacketConn, error)
}

// LoadTLS returns the UE's TLS configuration from a folder that "bungee certs"
// made: ca.pem, ue.pem, ue.key. The empty dir is the user's own folder, where
// "bungee host" makes them, too.
func LoadTLS(dir string) (*tls.Config, error) {
	if dir == "" {
		own, err := identity.Dir()
		if err != nil {
			return nil, err
		}
		dir = own
	}
	return identity.Load(dir, identity.UE)
}

// A Handler is the UE offload handler of a process.
type Handler struct {
	log    *slog.Logger
	edge   *edge // nil: none is configured
	policy atomic.Pointer[Policy]
	before offload.Router

	stop context.CancelFunc
	wg   sync.WaitGroup

	functions sync.Map // *offload.Desc to *function
}

// Start starts a handler and makes it the router of this process's elastic
// functions. It does not wait for the edge host; see [Handler.Prepare]. The end
// of ctx has the effect of Close.
func Start(ctx context.Context, cfg Config) (*Handler, error) {
	if cfg.Edge != "" && cfg.TLS == nil {
		return nil, errors.New("ue: Config.Edge needs Config.TLS; LoadTLS makes one")
	}
	h := &Handler{log: cfg.Logger}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Policy == nil {
		cfg.Policy = WhenReady{}
	}
	h.SetPolicy(cfg.Policy)
	ctx, h.stop = context.WithCancel(ctx)
	if cfg.Edge != "" {
		if cfg.Name == "" {
			cfg.Name = "ue"
		}
		if cfg.Listen == nil {
			cfg.Listen = func() (net.PacketConn, error) { return net.ListenUDP("udp", nil) }
		}
		h.edge = newEdge(cfg.Edge, cfg.Name, cfg.TLS, cfg.Listen, h.log)
		h.wg.Go(func() { h.edge.run(ctx) })
	}
	h.before = offload.Use(h)
	return h, nil
}

// SetPolicy makes p decide from the next call on. It must not be nil.
func (h *Handler) SetPolicy(p Policy) { h.policy.Store(&p) }

// Prepare makes the edge host ready for f before the first call is placed there,
// so that the call need not fall back. It returns when the host is connected, has
// the module and an instance warm, or says why not when ctx ends.
func (h *Handler) Prepare(ctx context.Context, f *offload.Desc) error {
	if h.edge == nil {
		return errNoEdge
	}
	h.function(f)
	return h.edge.await(ctx, f.Module)
}

// Close ends the session with the edge host and returns when the handler's last
// goroutine has ended. Elastic functions run natively from then on; calls in
// flight on the edge host fail there and fall back as they do when it is lost.
func (h *Handler) Close() error {
	if now := offload.Use(h.before); now != offload.Router(h) {
		offload.Use(now) // a later handler is in place: it stays
	}
	h.stop()
	h.wg.Wait()
	return nil
}

// Stats counts calls since Start.
type Stats struct {
	Calls     uint64            // of all elastic functions
	Edge      uint64            // answered by the edge host
	Fallbacks uint64            // meant for the edge host and run natively
	Reasons   map[string]uint64 // Fallbacks by their reason
	Moves     uint64            // of far endpoints
}

// Stats returns the counts so far.
func (h *Handler) Stats() Stats {
	s := Stats{Reasons: map[string]uint64{}}
	h.functions.Range(func(_, v any) bool {
		v.(*function).addTo(&s)
		return true
	})
	return s
}

// Route implements offload.Router.
func (h *Handler) Route(ctx context.Context, d *offload.Desc) (offload.Far, error) {
	f := h.function(d)
	n := f.calls.Add(1) - 1
	why := errNoEdge
	var v *view
	if h.edge != nil {
		v = h.edge.view.Load()
		why = v.serves(d.Module)
	}
	switch (*h.policy.Load()).Decide(Snapshot{Call: n, Ready: why == nil, Now: f.now()}) {
	case OnEdge:
		if why == nil {
			why = f.toEdge(ctx, v.sess)
		}
		if why != nil {
			f.fellBack(why)
			return nil, why
		}
		return f, nil
	default:
		f.toUE(ctx)
		return nil, nil
	}
}

// function returns the state of d, and has its module deployed the first time.
func (h *Handler) function(d *offload.Desc) *function {
	if f, ok := h.functions.Load(d); ok {
		return f.(*function)
	}
	f, loaded := h.functions.LoadOrStore(d, &function{desc: d, edge: h.edge, log: h.log})
	if !loaded && h.edge != nil {
		h.edge.want(d.Module)
	}
	return f.(*function)
}
