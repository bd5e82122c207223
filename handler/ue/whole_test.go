package ue_test

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/authority"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload/manager"
)

// A plant is an offload manager, edge hosts and a UE, with identities of one authority.
type plant struct {
	*world
	ca    *authority.Authority
	dir   string
	certs string // the manager's folder
	m     *manager.Manager
	wg    sync.WaitGroup // of m
}

func (p *plant) issue(role identity.Role, tenant, name string) string {
	p.t.Helper()
	id, err := p.ca.ID(role, tenant, name)
	if err != nil {
		p.t.Fatal(err)
	}
	i, _, err := p.ca.Issue(id, 0, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return i.Dir
}

// begin starts the manager.
func (p *plant) begin() {
	var err error
	p.m, err = manager.New(manager.Config{
		Certs: p.certs, Store: filepath.Join(p.dir, "store"), Logger: p.log("manager"),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	pc := p.air.Endpoint(managerAddr)
	p.wg.Go(func() {
		if err := p.m.Serve(context.Background(), pc); err != nil {
			p.t.Errorf("manager: %v", err)
		}
	})
}

func (p *plant) end() {
	p.m.Close()
	p.wg.Wait()
	p.air.Leave(managerAddr)
}

// host starts an edge host that obeys the manager. Who starts one stops it.
func (p *plant) host(name string, addr *net.UDPAddr) *edgeHost {
	conf, err := identity.Load(p.issue(identity.Host, "", name), identity.Host)
	if err != nil {
		p.t.Fatal(err)
	}
	var sockets atomic.Int64
	return p.start(name, addr, func(c *host.Config) {
		c.TLS = conf
		c.Manager = &host.Manager{
			Addresses: []string{managerAddr.String()}, Advertise: []string{addr.String()},
			Listen: func() (net.PacketConn, error) {
				return p.air.Endpoint(&net.UDPAddr{IP: addr.IP, Port: 1000 + int(sockets.Add(1))}), nil
			},
			Dial: func(ctx context.Context, at string) (net.Conn, error) {
				return p.air.Dial(ctx, &net.TCPAddr{IP: addr.IP, Port: 1}, tcp(managerAddr))
			},
		}
	})
}

// A UE is placed by a manager on hosts that obey it, goes on while the manager is away, and moves when its host is lost.
func TestWhole(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.engine.set(doubler("echo", true, func(_ context.Context, n int64) (int64, error) { return n, nil }).Serve, nil)
		p := &plant{world: w, dir: t.TempDir()}
		var err error
		if p.ca, _, err = authority.Init(filepath.Join(p.dir, "ca"), "bungee", 365*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		defer p.ca.Close()
		p.certs = p.issue(identity.Manager, "", "m1")
		p.begin()
		defer p.end()
		hosts := map[string]*edgeHost{"edge-1": p.host("edge-1", hostAddr), "edge-2": p.host("edge-2", hostAddrB)}
		defer func() {
			for _, h := range hosts {
				h.stop()
			}
		}()
		time.Sleep(4 * time.Second)
		conf, err := identity.Load(p.issue(identity.UE, "acme", "headset"), identity.UE)
		if err != nil {
			t.Fatal(err)
		}
		h := w.startUEWith(ue.Config{Managers: ue.Addresses{managerAddr.String()}, TLS: conf, Need: ue.Need{Rate: 30, Memory: 1 << 20}})
		f := same("echo")
		w.ready(h, &f.Desc)
		run := func(d time.Duration) {
			for begin := time.Now(); time.Since(begin) < d; time.Sleep(100 * time.Millisecond) {
				calls(t, f, true)
			}
		}
		somewhere := func(d time.Duration) { // here or there, but answered
			for begin := time.Now(); time.Since(begin) < d; time.Sleep(100 * time.Millisecond) {
				if got, err := f.Call(context.Background(), 5); got != 5 && got != -1 || err != nil {
					t.Errorf("%d, %v", got, err)
				}
			}
		}
		run(3 * time.Second)
		p.end()
		run(5 * time.Second)
		if s := h.Stats(); s.Fallbacks != 0 || s.Moves != 1 {
			t.Errorf("%+v; want that no call fell back while the manager was away", s)
		}
		p.begin()
		somewhere(30 * time.Second) // the manager may not know of all hosts yet
		run(70 * time.Second)       // longer than a lease is new
		on := h.Stats().Links[0].Host
		lost := hosts[on]
		delete(hosts, on)
		lost.stop()
		somewhere(15 * time.Second)
		run(10 * time.Second)
		h.Close()
	})
}
