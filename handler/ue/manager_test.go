package ue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// What is asked for, what is measured, and that calls run where the manager says.
func TestManagerPlaces(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
		h := w.startManaged(ue.Need{Rate: 30, InFlight: 2, Up: 1000, Labels: []string{"gpu=a5000"}, Class: "gold"})
		defer h.Close()
		f := same("echo")
		calls(t, f, false) // nobody has answered
		w.ready(h, &f.Desc)
		calls(t, f, true)

		ask := last[wire.Ask](m)
		if ask.Module != f.Module.Digest || ask.Session == 0 || ask.Class != "gold" || len(ask.Hosts) != 0 {
			t.Errorf("asked: %+v", ask)
		}
		want := wire.Need{Latency: f.Deadline, Rate: 30, InFlight: 2, Up: 1000, Labels: []string{"gpu=a5000"}}
		if fmt.Sprint(ask.Need) != fmt.Sprint(want) {
			t.Errorf("needs %+v, want %+v", ask.Need, want)
		}
		feel := all[wire.Feel](m)[0]
		if feel.Session != ask.Session || feel.Round != 7 || len(feel.Links) != 2 {
			t.Fatalf("felt: %+v", feel)
		}
		for _, l := range feel.Links {
			if l.RTT < 2*oneWay || l.RTT > 2*oneWay+5*time.Millisecond || l.Sent == 0 {
				t.Errorf("%+v; want a round trip of %v", l, 2*oneWay)
			}
		}
		if s := h.Stats(); s.Edge != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A host that is further than theta, or that nobody answers at, is left out.
func TestManagerCandidatesThatAreTooFar(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.start("edge-1", hostAddr, nil)
		defer a.stop()
		m := w.startManager(usual(oneWay))
		defer m.stop()
		h := w.startManaged(ue.Need{})
		defer h.Close()
		f := same("echo")
		calls(t, f, false)
		time.Sleep(10 * time.Second)
		if feel := last[wire.Feel](m); feel.Session == 0 || len(feel.Links) != 0 {
			t.Errorf("%+v; want that edge-1 is too far, and edge-2 not there", feel)
		}
		calls(t, f, false)
	})
}

// Each second a manager hears how calls and links are, while the module is remote.
func TestManagerHearsHowCallsAre(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
		h, f := w.startPlaced()
		defer h.Close()
		before := len(all[wire.Feel](m))
		for range 50 {
			calls(t, f, true)
			time.Sleep(100*time.Millisecond - 2*oneWay)
		}
		feels := all[wire.Feel](m)[before:]
		if len(feels) < 4 || len(feels) > 6 {
			t.Errorf("told %d times in 5 s", len(feels))
		}
		feel := feels[len(feels)-1]
		if len(feel.Calls) != 1 || len(feel.Links) != 2 {
			t.Fatalf("%+v; want the calls at edge-1, and both links", feel)
		}
		c := feel.Calls[0]
		if c.Host != "edge-1" || c.N < 7 || c.N > 11 || c.Missed != 0 || c.P50 < 2*oneWay*9/10 || c.P99 > 3*oneWay {
			t.Errorf("%+v; want about 9 calls of 10 ms", c)
		}
		if l := feel.Links[0]; l.Host != "edge-1" || l.RTT < 2*oneWay || l.Sent == 0 {
			t.Errorf("%+v", l)
		}
	})
}

// A push moves calls to another host while they go on, and to the UE.
func TestManagerMoves(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
		h, f := w.startPlaced()
		defer h.Close()
		session := last[wire.Ask](m).Session
		where := func() string {
			links := last[wire.Feel](m).Calls
			if len(links) != 1 {
				return fmt.Sprint(links)
			}
			return links[0].Host
		}
		run := func(d time.Duration, edge bool) {
			for begin := time.Now(); time.Since(begin) < d; time.Sleep(10 * time.Millisecond) {
				calls(t, f, edge)
			}
		}
		m.place(session, wire.Place{Primary: placed("edge-2", hostAddrB), Standby: placed("edge-1", hostAddr)}) // the standby becomes the primary
		run(3*time.Second, true)
		if got := where(); got != "edge-2" {
			t.Errorf("calls ran on %s, want edge-2", got)
		}
		m.place(session, wire.Place{Primary: placed("edge-2", hostAddrB)})
		run(3*time.Second, true)
		m.place(session, wire.Place{Primary: placed("edge-1", hostAddr), By: time.Minute}) // a host that is not connected
		run(3*time.Second, true)
		if got := where(); got != "edge-1" {
			t.Errorf("calls ran on %s, want edge-1", got)
		}
		m.mu.Lock()
		stale := m.number
		m.mu.Unlock()
		unusable := wire.Placed{Host: "edge-3", Addresses: []string{"nowhere"}}
		m.place(session, wire.Place{Primary: unusable, Standby: placed("edge-1", hostAddr)})
		run(time.Second, true)
		m.place(session, wire.Place{Why: "no room", RetryAfter: time.Hour, Standby: placed("edge-1", hostAddr)}) // without a primary it is no standby
		time.Sleep(time.Second)
		run(time.Second, false)
		m.mu.Lock()
		c := m.talks[0]
		m.mu.Unlock()
		c.Send(wire.Place{Session: session, Number: stale, Primary: placed("edge-1", hostAddr)}) // late
		time.Sleep(time.Second)
		run(time.Second, false)
		if s := h.Stats(); s.Fallbacks != 0 {
			t.Errorf("%d calls fell back: %v", s.Fallbacks, s.Reasons)
		}
		time.Sleep(20 * time.Second)
		if s := h.Stats(); len(s.Links) != 0 {
			t.Errorf("%d connections to hosts that were left", len(s.Links))
		}
	})
}

// When the primary is lost, calls go to the standby at once, and the manager hears it.
func TestManagerStandby(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, a, _ *edgeHost) {
		h, f := w.startPlaced()
		defer h.Close()
		time.Sleep(2 * time.Second) // the standby has the module, too
		w.air.Mute(hostAddr.IP, true)
		for range 100 {
			f.Call(context.Background(), 5) // the first waits for its deadline
			time.Sleep(20 * time.Millisecond)
		}
		before := h.Stats()
		if before.Fallbacks > 1 {
			t.Errorf("%d calls fell back: %v; want the one that was under way", before.Fallbacks, before.Reasons)
		}
		calls(t, f, true)
		c := last[wire.Feel](m).Calls
		if i := slices.IndexFunc(c, func(c wire.CallsFeel) bool { return c.Host == "edge-2" && c.N > 0 }); i < 0 {
			t.Errorf("the manager hears %+v; want calls at edge-2", c)
		}
		w.air.Mute(hostAddr.IP, false)
	})
}

// While the manager is gone, calls go on; the next one is asked again, and told where the module is. What it says again changes nothing.
func TestManagerIsGone(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
		h, f := w.startPlaced()
		defer h.Close()
		time.Sleep(time.Second)
		session := last[wire.Ask](m).Session
		m.stop()
		for range 100 {
			calls(t, f, true)
			time.Sleep(100 * time.Millisecond)
		}
		before := w.connections()
		next := w.startManager(func(m *offloadManager, c *control.Conversation, f wire.ManagerFrame) {
			if f, ok := f.(wire.Ask); ok {
				m.place(f.Session, wire.Place{Primary: placed("edge-1", hostAddr), Standby: placed("edge-2", hostAddrB)})
			}
		})
		defer next.stop()
		time.Sleep(5 * time.Second)
		asks := all[wire.Ask](next)
		if len(asks) != 1 || asks[0].Session != session || !slices.Equal(asks[0].Hosts, []string{"edge-1", "edge-2"}) {
			t.Errorf("asked the next manager %+v; want once, with both hosts", asks)
		}
		calls(t, f, true)
		if n := w.connections() - before; n != 1 {
			t.Errorf("%d connections since, want that to the manager only", n)
		}
		if s := h.Stats(); s.Fallbacks != 0 {
			t.Errorf("%d calls fell back: %v", s.Fallbacks, s.Reasons)
		}
	})
}

// Close says Bye.
func TestManagerHearsBye(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
		h, f := w.startPlaced()
		begin := time.Now()
		h.Close()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("Close took %v", took)
		}
		if bye := last[wire.Bye](m); bye.Session == 0 || bye.Session != last[wire.Ask](m).Session {
			t.Errorf("%+v", bye)
		}
		calls(t, f, false)
	})
}

// A channel follows the manager, and to the standby.
func TestFollow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e := tally()
		w.engine.far = e.Serve
		a, b := w.start("edge-1", hostAddr, nil), w.start("edge-2", hostAddrB, nil)
		defer b.stop()
		defer a.stop()
		m := w.startManager(usual(0))
		defer m.stop()
		h := w.startManaged(ue.Need{})
		defer h.Close()
		ch, err := elastic.Open(e, elastic.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer ch.Close()
		fl := flows(t, ch)
		ctx, cancel := context.WithCancel(context.Background())
		var following sync.WaitGroup
		following.Go(func() {
			if err := h.Follow(ctx, &e.Desc, ch); err != context.Canceled {
				t.Errorf("Follow: %v", err)
			}
		})
		is := func(want string) {
			t.Helper()
			for range 100 {
				if ch.Where() == want {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Errorf("the channel is on %q, want %q", ch.Where(), want)
		}
		is("edge-1")
		session := last[wire.Ask](m).Session
		m.place(session, wire.Place{Primary: placed("edge-2", hostAddrB), Standby: placed("edge-1", hostAddr), By: 5 * time.Second})
		is("edge-2")
		time.Sleep(time.Second)
		w.air.Mute(hostAddrB.IP, true)
		is("edge-1")
		w.air.Mute(hostAddrB.IP, false)
		time.Sleep(5 * time.Second)
		m.place(session, wire.Place{Why: "no room"})
		is("")
		fl.stop()
		cancel()
		following.Wait()
	})
}

// A rawHost answers pings and hellos, and records the leases that it is shown.
type rawHost struct {
	mu     sync.Mutex
	pings  int // on connections without a Hello
	leases []string
}

func (r *rawHost) serve(conn *link.Conn) {
	greeted := false
	for {
		st, err := conn.Accept(context.Background())
		if err != nil {
			return
		}
		switch kind, _ := control.Begin(st); kind {
		case wire.TypePing:
			control.Pong(st)
			r.mu.Lock()
			if !greeted {
				r.pings++
			}
			r.mu.Unlock()
		case wire.TypeHello:
			hello, _ := control.ReadHello(st)
			lease, _ := hello.Extensions.Get(wire.ExtensionLease)
			greeted = true
			r.mu.Lock()
			r.leases = append(r.leases, string(lease))
			r.mu.Unlock()
			control.Welcome(st, wire.Welcome{Name: "edge-1"})
		case wire.TypeHave:
			control.ReadHave(st)
			control.Loaded(st, true)
		}
	}
}

// A candidate is pinged five times and not greeted. The lease is shown to the host that a Place names, and a new one on
// the next connection.
func TestManagerLease(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		conf, err := w.ca.TLS(identity.Host, "edge-1")
		if err != nil {
			t.Fatal(err)
		}
		ln, err := link.Listen(w.air.Endpoint(hostAddr), conf)
		if err != nil {
			t.Fatal(err)
		}
		var r rawHost
		var wg sync.WaitGroup
		var conns []*link.Conn
		wg.Go(func() {
			for {
				conn, err := ln.Accept(context.Background())
				if err != nil {
					return
				}
				r.mu.Lock()
				conns = append(conns, conn)
				r.mu.Unlock()
				wg.Go(func() { r.serve(conn) })
			}
		})
		defer wg.Wait()
		defer ln.Close()
		m := w.startManager(usual(0))
		defer m.stop()
		h, _ := w.startPlaced()
		defer h.Close()
		r.mu.Lock()
		if r.pings != 5 || !slices.Equal(r.leases, []string{"lease for edge-1"}) {
			t.Errorf("%d pings without a Hello, leases %q", r.pings, r.leases)
		}
		r.mu.Unlock()
		next := placed("edge-1", hostAddr)
		next.Lease = []byte("another")
		m.place(last[wire.Ask](m).Session, wire.Place{Primary: next})
		time.Sleep(time.Second)
		r.mu.Lock()
		conns[len(conns)-1].Close("the host ends it")
		r.mu.Unlock()
		time.Sleep(5 * time.Second)
		r.mu.Lock()
		defer r.mu.Unlock()
		if n := len(r.leases); n < 2 || r.leases[n-1] != "another" {
			t.Errorf("leases %q; want the new one on the next connection", r.leases)
		}
	})
}

// On another network the manager is dialled again, and asked again.
func TestManagerOnAnotherNetwork(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
		h, f := w.startPlaced()
		defer h.Close()
		time.Sleep(time.Second)
		if err := h.SwitchPath(context.Background(), w.listenAt(cellular)); err != nil {
			t.Error(err)
		}
		w.air.Cut(wifi, true)
		time.Sleep(2 * time.Second)
		calls(t, f, true)
		if asks := all[wire.Ask](m); len(asks) != 2 || len(asks[1].Hosts) != 2 {
			t.Errorf("asked %+v; want again, with both hosts", asks)
		}
	})
}

// Where UDP is blocked, manager, candidates and hosts are reached over TCP.
func TestManagerOverTCP(t *testing.T) {
	inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
		conf, err := w.ca.TLS(identity.Manager, "manager")
		if err != nil {
			t.Fatal(err)
		}
		ln := link.ListenTCP(w.air.Listen(tcp(managerAddr)), conf, w.log("manager"))
		defer ln.Close()
		m.wg.Go(func() {
			for {
				conn, err := ln.Accept(context.Background())
				if err != nil {
					return
				}
				m.wg.Go(func() { m.serve(conn) })
			}
		})
		w.air.Block(true)
		h, f := w.startPlaced()
		defer h.Close()
		calls(t, f, true)
		for _, l := range h.Stats().Links {
			if l.Transport != "tcp" {
				t.Errorf("%+v", l)
			}
		}
	})
}

// What cannot be used is said at the start.
func TestManagersConfig(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		conf, err := w.ca.TLS(identity.UE, "headset")
		if err != nil {
			t.Fatal(err)
		}
		at := ue.Addresses{managerAddr.String()}
		for name, cfg := range map[string]ue.Config{
			"no TLS":           {Managers: at},
			"an edge host":     {Managers: at, TLS: conf, Edge: hostAddr.String()},
			"other edge hosts": {Managers: at, TLS: conf, Others: []string{hostAddr.String()}},
			"a bad need":       {Managers: at, TLS: conf, Need: ue.Need{Rate: -1}},
		} {
			if h, err := ue.Start(context.Background(), cfg); err == nil {
				h.Close()
				t.Errorf("%s: no error", name)
			}
		}
		h := w.startUEWith(ue.Config{})
		defer h.Close()
		f := same("echo")
		if err := h.SetNeed(ue.Need{}); err == nil {
			t.Error("Require without managers: no error")
		}
		if err := h.Follow(context.Background(), &f.Desc, nil); err == nil {
			t.Error("Follow without managers: no error")
		}
	})
}

// Whatever a manager says, calls are answered, here or there, and the handler ends.
func TestManagerSaysAnything(t *testing.T) {
	for seed := range uint64(5) {
		inManagedWorld(t, func(t *testing.T, w *world, m *offloadManager, _, _ *edgeHost) {
			rng := rand.New(rand.NewPCG(seed, 1))
			h, f := w.startPlaced()
			session := last[wire.Ask](m).Session
			addresses := []*net.UDPAddr{hostAddr, hostAddrB, {IP: net.IPv4(10, 0, 0, 77), Port: 1}, managerAddr}
			host := func() (p wire.Placed) {
				switch rng.IntN(6) {
				case 0:
					return p
				case 1:
					return wire.Placed{Host: "edge-1", Addresses: []string{"no address", ""}}
				case 2:
					return wire.Placed{Host: "edge-9"}
				}
				p = placed(fmt.Sprint("edge-", rng.IntN(4)), addresses[rng.IntN(len(addresses))])
				p.Lease = p.Lease[:rng.IntN(len(p.Lease))]
				return p
			}
			for range 200 {
				id := session
				if rng.IntN(10) == 0 {
					id = rng.Uint64()
				}
				switch rng.IntN(4) {
				case 0:
					c := wire.Candidates{Session: id, Round: rng.Uint32N(3), Theta: time.Duration(rng.IntN(2)) * oneWay}
					for range rng.IntN(4) {
						at := host()
						c.Hosts = append(c.Hosts, wire.Candidate{Host: at.Host, Addresses: at.Addresses})
					}
					m.mu.Lock()
					talk := m.talks[len(m.talks)-1]
					m.mu.Unlock()
					talk.Send(c)
				default:
					m.place(id, wire.Place{Primary: host(), Standby: host(), By: time.Duration(rng.IntN(3)) * time.Second, RetryAfter: time.Duration(rng.IntN(2)) * time.Second})
				}
				time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
				if got, err := f.Call(context.Background(), 5); got != 5 && got != -1 || err != nil {
					t.Fatalf("seed %d: %d, %v", seed, got, err)
				}
			}
			m.place(session, wire.Place{Primary: placed("edge-2", hostAddrB)})
			time.Sleep(15 * time.Second)
			calls(t, f, true)
			for _, l := range h.Stats().Links {
				if l.Host != "edge-2" {
					t.Errorf("seed %d: %+v is left, and is up", seed, l)
				}
			}
			h.Close()
		})
	}
}
