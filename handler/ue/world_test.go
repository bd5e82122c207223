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
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A world is a UE, an edge host and the network between them, in virtual time.
// The host's engine runs the native version of the functions, as Wasm does not
// run in virtual time; package cmd/yolo-demo tests the same with the real one.
type world struct {
	t    *testing.T
	ca   *identity.Authority
	air  *radio.Air
	port int // of the UE's last socket

	engine *engine
	host   *host.Handler
	served chan error
}

// oneWay is the network's delay in each direction.
const oneWay = 5 * time.Millisecond

var hostAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 4433}

// inWorld runs f in virtual time.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, ca: ca, air: &radio.Air{OneWay: oneWay}, engine: &engine{}}
		t.Cleanup(w.stopHost)
		f(t, w)
	})
}

func (w *world) startHost(change func(*host.Config)) {
	conf, err := w.ca.TLS(identity.Host, "host")
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := host.Config{Name: "edge-1", Engine: w.engine, TLS: conf, Calls: 2, Logger: w.log("host")}
	if change != nil {
		change(&cfg)
	}
	if w.host, err = host.New(cfg); err != nil {
		w.t.Fatal(err)
	}
	w.served = make(chan error, 1)
	pc, h := w.air.Endpoint(hostAddr), w.host
	go func() { w.served <- h.Serve(context.Background(), pc) }()
}

func (w *world) stopHost() {
	if w.host == nil {
		return
	}
	w.host.Close()
	if err := <-w.served; err != nil {
		w.t.Errorf("host: %v", err)
	}
	w.air.Leave(hostAddr)
	w.host = nil
}

// startUE starts a handler whose edge host is this world's.
func (w *world) startUE(p ue.Policy, change func(*tls.Config)) *ue.Handler {
	conf, err := w.ca.TLS(identity.UE, "headset")
	if err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		change(conf)
	}
	h, err := ue.Start(context.Background(), ue.Config{
		Edge: hostAddr.String(), TLS: conf, Policy: p, Name: "headset", Logger: w.log("ue"),
		Listen: func() (net.PacketConn, error) {
			w.port++
			return w.air.Endpoint(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1000 + w.port}), nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	return h
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
	fails error // of each call

	loads, calls atomic.Int64
}

func (e *engine) set(serve func(ctx context.Context, request, dst []byte) []byte, fails error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.serve, e.fails = serve, fails
}

func (e *engine) Load(context.Context, []byte) (executor.Module, error) {
	e.loads.Add(1)
	return module{e}, nil
}

func (e *engine) Close() error { return nil }

type module struct{ e *engine }

func (m module) Instantiate(context.Context, executor.InstanceConfig) (executor.Instance, error) {
	return instance(m), nil
}

func (module) Close() error { return nil }

type instance struct{ e *engine }

func (i instance) Call(ctx context.Context, _ uint32, request []byte) (abi.Reply, error) {
	i.e.calls.Add(1)
	i.e.mu.Lock()
	serve, fails := i.e.serve, i.e.fails
	i.e.mu.Unlock()
	if fails != nil {
		return abi.Reply{}, fails
	}
	reply := serve(ctx, request, nil)
	if ctx.Err() != nil {
		return abi.Reply{}, executor.ErrDeadline
	}
	return abi.ParseReply(reply)
}

func (instance) Close() error { return nil }

// doubler is an elastic function as offloadgen writes one. native is its body.
func doubler(name string, idempotent bool, native func(context.Context, int64) (int64, error)) *offload.Func[int64, int64] {
	appendInt := func(b []byte, n int64) []byte { return pack.AppendInt(b, n) }
	readInt := func(r *pack.Reader) int64 { return r.Int() }
	return &offload.Func[int64, int64]{
		Desc: offload.Desc{
			Name: name, Module: offload.NewModule([]byte("the module of " + name)),
			Deadline: 500 * time.Millisecond, Idempotent: idempotent,
		},
		Native:   native,
		AppendIn: appendInt, ReadIn: readInt, AppendOut: appendInt, ReadOut: readInt,
	}
}

func double(_ context.Context, n int64) (int64, error) { return 2 * n, nil }
