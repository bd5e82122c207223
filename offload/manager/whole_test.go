package manager_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/authority"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/manager"
	"github.com/bungee-xr/bungee/offload/pack"
)

var managerAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 4434}

// A whole is a manager, edge hosts and UEs as they are shipped, on a network of tests, in virtual time. Hosts run the native
// function in place of a module.
type whole struct {
	t       *testing.T
	air     *radio.Air
	ca      *authority.Authority
	dir     string
	m       *manager.Manager
	serving sync.WaitGroup // of m
	ports   int
	mu      sync.Mutex

	primary, standby string // hosts, in tests that part them
}

// An edge is a host that runs.
type edge struct {
	w      *whole
	addr   *net.UDPAddr
	h      *host.Handler
	served chan error
}

func inWhole(t *testing.T, f func(t *testing.T, w *whole)) {
	synctest.Test(t, func(t *testing.T) {
		radio.Begin()
		w := &whole{t: t, air: &radio.Air{OneWay: 2 * time.Millisecond}, dir: t.TempDir(), ports: 1000}
		ca, _, err := authority.Init(filepath.Join(w.dir, "ca"), "bungee", 365*24*time.Hour)
		w.must(err)
		defer ca.Close()
		w.ca = ca
		w.issue(identity.Manager, "", "m1")
		w.begin()
		defer func() { w.end() }()
		f(t, w)
	})
}

func (w *whole) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// log returns a log of the test.
func (w *whole) log(who string) *slog.Logger {
	return slog.New(slog.NewTextHandler(w.t.Output(), nil)).With("who", who)
}

func (w *whole) issue(role identity.Role, tenant, name string) string {
	w.t.Helper()
	id, err := w.ca.ID(role, tenant, name)
	w.must(err)
	i, _, err := w.ca.Issue(id, 0, nil)
	w.must(err)
	return i.Dir
}

func (w *whole) begin() {
	w.t.Helper()
	m, err := manager.New(manager.Config{Certs: filepath.Join(w.dir, "ca", "manager", "m1"), Store: filepath.Join(w.dir, "store"), Logger: w.log("manager"), Audit: w.log("audit")})
	w.must(err)
	w.m = m
	pc, ln := w.air.Endpoint(managerAddr), w.air.Listen(&net.TCPAddr{IP: managerAddr.IP, Port: managerAddr.Port})
	for _, serve := range []func() error{
		func() error { return m.Serve(context.Background(), pc) }, func() error { return m.ServeTCP(context.Background(), ln) },
	} {
		w.serving.Go(func() {
			if err := serve(); err != nil {
				w.t.Errorf("manager: %v", err)
			}
		})
	}
}

func (w *whole) end() {
	w.must(w.m.Close())
	w.serving.Wait()
	w.air.Leave(managerAddr)
}

// from gives sockets of an address.
func (w *whole) from(ip net.IP) func() (net.PacketConn, error) {
	return func() (net.PacketConn, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ports++
		return w.air.Endpoint(&net.UDPAddr{IP: ip, Port: w.ports}), nil
	}
}

// stream makes streams from an address.
func (w *whole) stream(ip net.IP) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, at string) (net.Conn, error) {
		to, err := net.ResolveTCPAddr("tcp", at)
		if err != nil {
			return nil, err
		}
		return w.air.Dial(ctx, &net.TCPAddr{IP: ip, Port: 1}, to)
	}
}

func (w *whole) host(name string, last byte) *edge {
	w.t.Helper()
	conf, err := identity.Load(w.issue(identity.Host, "", name), identity.Host)
	w.must(err)
	addr := &net.UDPAddr{IP: net.IPv4(10, 0, 0, last), Port: 4433}
	functions := func() []native.Func {
		return []native.Func{func(ctx context.Context, request, dst []byte) ([]byte, error) {
			return doubler.Serve(ctx, request, dst), nil
		}}
	}
	e := &edge{w: w, addr: addr, served: make(chan error, 1)}
	e.h, err = host.New(host.Config{
		Name: name, TLS: conf, Calls: 4, Logger: w.log(name),
		Engine: native.Engine{Check: func(executor.Source) error { return nil }, Functions: functions},
		Manager: &host.Manager{
			Addresses: []string{managerAddr.String()}, Advertise: []string{addr.String()}, Listen: w.from(addr.IP),
			Dial: w.stream(addr.IP),
		},
	})
	w.must(err)
	pc := w.air.Endpoint(addr)
	go func() { e.served <- e.h.Serve(context.Background(), pc) }()
	return e
}

func (e *edge) end() {
	e.h.Close()
	if err := <-e.served; err != nil {
		e.w.t.Errorf("host: %v", err)
	}
	e.w.air.Leave(e.addr)
}

func (w *whole) ue(name string, last byte) *ue.Handler {
	w.t.Helper()
	conf, err := identity.Load(w.issue(identity.UE, "acme", name), identity.UE)
	w.must(err)
	h, err := ue.Start(context.Background(), ue.Config{
		Name: name, TLS: conf, Logger: w.log(name), Managers: ue.Addresses{managerAddr.String()}, Need: ue.Need{Rate: 50}, Listen: w.from(net.IPv4(10, 0, 1, last)),
		Dial: w.stream(net.IPv4(10, 0, 1, last)),
	})
	w.must(err)
	return h
}

// doubler is an elastic function as offloadgen writes one. Natively it gives the wrong answer, which tells where it ran.
var doubler = &codegen.Func[int64, int64]{
	Desc:     offload.Desc{Name: "double", Module: codegen.NewModule([]byte("the module of double")), Deadline: 500 * time.Millisecond, Idempotent: true},
	Native:   func(_ context.Context, n int64) (int64, error) { return 2 * n, nil },
	AppendIn: func(b []byte, n int64) []byte { return pack.AppendInt(b, n) }, ReadIn: func(r *pack.Reader) int64 { return r.Int() },
	AppendOut: func(b []byte, n int64) []byte { return pack.AppendInt(b, n) }, ReadOut: func(r *pack.Reader) int64 { return r.Int() },
}

// calls calls for d, and returns how many calls ran at a host and on the UE.
func (w *whole) calls(d time.Duration) (remote, local int) {
	w.t.Helper()
	for begin := time.Now(); time.Since(begin) < d; time.Sleep(20 * time.Millisecond) {
		var trace offload.Trace
		got, err := doubler.Call(offload.WithTrace(context.Background(), &trace), 21)
		if err != nil || got != 42 {
			w.t.Errorf("a call gave %d, %v", got, err)
		}
		if trace.Host == "" {
			local++
		} else {
			remote++
		}
	}
	return remote, local
}

// only returns the only session.
func (w *whole) only() manager.Session {
	w.t.Helper()
	s, err := w.m.State()
	w.must(err)
	if len(s.Sessions) != 1 {
		w.t.Fatalf("sessions are %+v, hosts %+v", s.Sessions, s.Hosts)
	}
	return s.Sessions[0]
}

// From the first call to a revocation: a UE is placed, goes on while there is no manager, is moved off a host that drains and
// off one that is lost, and is shut out.
func TestWhole(t *testing.T) {
	inWhole(t, func(t *testing.T, w *whole) {
		hosts := map[string]*edge{"edge-1": w.host("edge-1", 2), "edge-2": w.host("edge-2", 3)}
		defer func() {
			for _, h := range hosts {
				h.end()
			}
		}()
		time.Sleep(time.Second)
		h := w.ue("headset", 1)
		defer h.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		w.must(h.Prepare(ctx, &doubler.Desc))
		if remote, local := w.calls(3 * time.Second); local > 0 {
			t.Errorf("placed: %d calls ran at a host, %d on the UE", remote, local)
		}
		s := w.only()
		if s.State != "running" || s.Standby == "" || !s.Connected {
			t.Errorf("the session is %+v", s)
		}
		first, second := s.Primary, s.Standby

		w.end()
		if remote, local := w.calls(20 * time.Second); local > 0 {
			t.Errorf("without a manager: %d calls ran at a host, %d on the UE", remote, local)
		}
		w.begin()
		if remote, local := w.calls(15 * time.Second); local > 0 {
			t.Errorf("with the next manager: %d calls ran at a host, %d on the UE", remote, local)
		}
		if s := w.only(); s.State != "running" || s.Primary != first {
			t.Errorf("the session is %+v; want it where it was, at %s", s, first)
		}

		w.must(w.m.Set(t.Context(), cluster.Member{Name: first, Want: cluster.Drain, By: time.Now().Add(10 * time.Second)}))
		if remote, local := w.calls(5 * time.Second); local > 1 {
			t.Errorf("while %s drains: %d calls ran at a host, %d on the UE", first, remote, local)
		}
		if s := w.only(); s.State != "running" || s.Primary != second {
			t.Errorf("the session is %+v; want it at %s", s, second)
		}

		hosts[first].end()
		delete(hosts, first)
		hosts["edge-3"] = w.host("edge-3", 4)
		if remote, local := w.calls(10 * time.Second); local > 0 {
			t.Errorf("with another standby: %d calls ran at a host, %d on the UE", remote, local)
		}
		hosts[second].end()
		delete(hosts, second)
		if remote, local := w.calls(10 * time.Second); remote < 400 {
			t.Errorf("after %s was lost: %d calls ran at a host, %d on the UE", second, remote, local)
		}
		if s := w.only(); s.State != "running" || s.Primary != "edge-3" {
			t.Errorf("the session is %+v; want it at edge-3", s)
		}

		w.must(w.m.Revoke("ue", "acme", "headset"))
		w.calls(3 * time.Second)
		if remote, local := w.calls(2 * time.Second); remote > 0 {
			t.Errorf("revoked: %d calls ran at a host, %d on the UE", remote, local)
		}
	})
}
