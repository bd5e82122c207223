package ue_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A world is a UE, edge hosts and the network between them, in virtual time. The
// hosts' engine runs the native version of the functions, as Wasm does not run
// in virtual time; package cmd/bungee tests the same with the real one.
type world struct {
	t    *testing.T
	ca   *identity.Authority
	air  *radio.Air
	tcp  bool // UEs come over TCP, and the air blocks UDP
	deaf bool // UEs can have no UDP sockets

	mu         sync.Mutex
	sockets    []time.Time // when the UE made each
	streams    []time.Time // when the UE began to dial each of TCP
	reached    string      // the address of the last one
	handshakes int         // of the UE

	engine *engine
	edge   *edgeHost
	host   *host.Handler // of edge
}

// An edgeHost is a host that runs.
type edgeHost struct {
	w      *world
	addr   *net.UDPAddr
	h      *host.Handler
	served chan error
}

// oneWay is the network's delay in each direction.
const oneWay = 5 * time.Millisecond

var (
	hostAddr  = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 4433}
	hostAddrB = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 3), Port: 4433}
	wifi      = net.IPv4(10, 0, 0, 1)
	cellular  = net.IPv4(10, 0, 1, 1)
)

// inBoth runs f over QUIC and over TCP.
func inBoth(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("quic", func(t *testing.T) { inWorld(t, f) })
	t.Run("tcp", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.tcp = true
			f(t, w)
		})
	})
}

// inWorld runs f in virtual time.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		radio.Begin()
		ue.ForgetNetworks()
		ca, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, ca: ca, air: &radio.Air{OneWay: oneWay}, engine: &engine{}}
		t.Cleanup(w.stopHost)
		f(t, w)
	})
}

// startHost starts the edge host of Config.Edge.
func (w *world) startHost(change func(*host.Config)) {
	w.edge = w.start("edge-1", hostAddr, change)
	w.host = w.edge.h
}

func (w *world) stopHost() {
	if w.edge != nil {
		w.edge.stop()
		w.edge, w.host = nil, nil
	}
}

// start starts an edge host. Who starts one stops it.
func (w *world) start(name string, addr *net.UDPAddr, change func(*host.Config)) *edgeHost {
	conf, err := w.ca.TLS(identity.Host, "host")
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := host.Config{Name: name, Engine: w.engine.native(), TLS: conf, Calls: 2, Logger: w.log(name)}
	if change != nil {
		change(&cfg)
	}
	e := &edgeHost{w: w, addr: addr, served: make(chan error, 1)}
	if e.h, err = host.New(cfg); err != nil {
		w.t.Fatal(err)
	}
	pc := w.air.Endpoint(addr)
	e.h.ServeTCP(w.air.Listen(tcp(addr)))
	go func() { e.served <- e.h.Serve(context.Background(), pc) }()
	return e
}

func (e *edgeHost) stop() {
	e.h.Close()
	if err := <-e.served; err != nil {
		e.w.t.Errorf("host: %v", err)
	}
	e.w.air.Leave(e.addr)
}

// startUE starts a handler whose edge host is this world's.
func (w *world) startUE(p policy.Policy, change func(*tls.Config)) *ue.Handler {
	conf, err := w.ca.TLS(identity.UE, "headset")
	if err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		change(conf)
	}
	return w.startUEWith(ue.Config{Edge: hostAddr.String(), TLS: conf, Policy: p})
}

// startUEWith starts a handler with this world's sockets.
func (w *world) startUEWith(cfg ue.Config) *ue.Handler {
	cfg.Name, cfg.Logger, cfg.Dial = "headset", w.log("ue"), w.dialTCP
	if cfg.Listen == nil {
		cfg.Listen = w.listenAt(wifi)
	}
	if w.tcp {
		cfg.Transport = ue.TCP
		w.air.Block(true)
	}
	if cfg.TLS == nil {
		conf, err := w.ca.TLS(identity.UE, "headset")
		if err != nil {
			w.t.Fatal(err)
		}
		cfg.TLS = conf
	}
	verify := cfg.TLS.VerifyConnection
	cfg.TLS.VerifyConnection = func(s tls.ConnectionState) error {
		if !s.HandshakeComplete { // else it is looked at again
			w.mu.Lock()
			w.handshakes++
			w.mu.Unlock()
		}
		return verify(s)
	}
	h, err := ue.Start(context.Background(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	return h
}

func tcp(a *net.UDPAddr) *net.TCPAddr { return &net.TCPAddr{IP: a.IP, Port: a.Port} }

// dialTCP makes streams from one of the UE's interfaces.
func (w *world) dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	w.mu.Lock()
	w.streams, w.reached = append(w.streams, time.Now()), addr
	w.mu.Unlock()
	to, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	return w.air.Dial(ctx, &net.TCPAddr{IP: wifi, Port: 1}, to)
}

// listenAt gives sockets of one of the UE's interfaces.
func (w *world) listenAt(ip net.IP) func() (net.PacketConn, error) {
	return func() (net.PacketConn, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.sockets = append(w.sockets, time.Now())
		if w.deaf {
			return nil, errNoUDP
		}
		return w.air.Endpoint(&net.UDPAddr{IP: ip, Port: 1000 + len(w.sockets)}), nil
	}
}

// connections returns how many connections the UE has made.
func (w *world) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handshakes
}

// made returns how many sockets the UE has made.
func (w *world) made() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sockets)
}

// dialled returns when the UE made its socket number n, from 0.
func (w *world) dialled(n int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sockets[n]
}

// log returns a logger whose records go to the test's log.
func (w *world) log(who string) *slog.Logger {
	return slog.New(slog.NewTextHandler(w.t.Output(), nil)).With("who", who)
}

// ready waits until the edge host can take f.
func (w *world) ready(h *ue.Handler, f *offload.Desc) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.Prepare(ctx, f); err != nil {
		w.t.Fatalf("prepare: %v", err)
	}
}

// An engine runs the function of a test in place of a module.
type engine struct {
	mu    sync.Mutex
	serve func(ctx context.Context, request, dst []byte) []byte
	fails error                  // of each call
	far   func() codegen.Serving // a new far endpoint; nil: modules have functions only

	loads, calls atomic.Int64
}

func (e *engine) set(serve func(ctx context.Context, request, dst []byte) []byte, fails error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.serve, e.fails = serve, fails
}

// native returns the engine as hosts have it.
func (e *engine) native() executor.Engine {
	return native.Engine{
		Check:     func(executor.Source) error { e.loads.Add(1); return nil },
		Functions: e.functions,
	}
}

// functions are one function, or those of a far endpoint.
func (e *engine) functions() []native.Func {
	if e.far == nil {
		return []native.Func{e.guarded(nil)}
	}
	far := e.far()
	return []native.Func{e.guarded(far.Handle), e.guarded(far.Save), e.guarded(far.Restore)}
}

// guarded returns f, or what is set when f is nil, which fails when calls are to.
func (e *engine) guarded(f func(ctx context.Context, request, dst []byte) []byte) native.Func {
	return func(ctx context.Context, request, dst []byte) ([]byte, error) {
		e.calls.Add(1)
		e.mu.Lock()
		serve, fails := e.serve, e.fails
		e.mu.Unlock()
		if fails != nil {
			return nil, fails
		}
		if f != nil {
			serve = f
		}
		dst = serve(ctx, request, dst)
		if ctx.Err() != nil {
			return nil, executor.ErrDeadline
		}
		return dst, nil
	}
}

// doubler is an elastic function as offloadgen writes one. native is its body.
func doubler(name string, idempotent bool, native func(context.Context, int64) (int64, error)) *codegen.Func[int64, int64] {
	appendInt := func(b []byte, n int64) []byte { return pack.AppendInt(b, n) }
	readInt := func(r *pack.Reader) int64 { return r.Int() }
	return &codegen.Func[int64, int64]{
		Desc: offload.Desc{
			Name: name, Module: codegen.NewModule([]byte("the module of " + name)),
			Deadline: 500 * time.Millisecond, Idempotent: idempotent,
		},
		Native:   native,
		AppendIn: appendInt, ReadIn: readInt, AppendOut: appendInt, ReadOut: readInt,
	}
}

func double(_ context.Context, n int64) (int64, error) { return 2 * n, nil }
