package host_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// listenAt is a kernel's: a port has one socket.
func (w *land) listenAt(at *net.UDPAddr) (net.PacketConn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inUse[at.Port] {
		return nil, syscall.EADDRINUSE
	}
	w.inUse[at.Port] = true
	return &portConn{w.air.Endpoint(at), w, at}, nil
}

// A portConn leaves its port when it is closed.
type portConn struct {
	net.PacketConn
	w  *land
	at *net.UDPAddr
}

func (c *portConn) Close() error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.w.inUse[c.at.Port] {
		c.w.inUse[c.at.Port] = false
		c.w.air.Leave(c.at)
	}
	return c.PacketConn.Close()
}

// isOpen says whether the host has a socket at the port.
func (w *land) isOpen(port int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inUse[port]
}

func edgeAt(port int) *net.UDPAddr { return &net.UDPAddr{IP: edgeAddr.IP, Port: port} }

// prepared has the host prepare a lease, and wants it to answer with a port.
func (b *boss) prepared(token []byte, port int) {
	b.w.t.Helper()
	did := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: token})
	if want := []string{edgeAt(port).String(), edgeAddr.String()}; did.Failed || !slices.Equal(did.Addresses, want) {
		b.w.t.Errorf("prepare: %+v; want addresses %v", did, want)
	}
}

// Leases have ports of their own, which end with them.
func TestLeasesHavePorts(t *testing.T) {
	inLandWith(t, host.Ports{First: 5000, Last: 5002}, func(t *testing.T, w *land) {
		w.inUse[5001] = true // another program's
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		second, theirs := b.lease("other", nil)
		b.prepared(token, 5000)
		b.prepared(theirs, 5002)
		b.prepared(token, 5000) // again
		c, other := w.connectTo(edgeAt(5000), "headset"), w.connectTo(edgeAt(5002), "other")
		for _, err := range []error{hello(t, c, token), hello(t, other, theirs)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if !works(t, c) || !works(t, other) {
			t.Fatal("a UE is not served by its port")
		}
		b.prepared(token, 5000) // in use
		same, err := w.ue("headset", token)
		if err != nil || !works(t, same) {
			t.Errorf("by the host's own port, where TCP is: %v", err)
		}

		_, third := b.lease("third", nil)
		full := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: third})
		if !full.Failed || full.Code != offload.CodeOverloaded || !strings.Contains(full.Why, "no UDP port of 5000-5002 is free") {
			t.Errorf("without a free port: %+v", full)
		}

		b.order(wire.Order{Kind: wire.OrderStop, ID: second.ID})
		time.Sleep(3 * time.Second)
		if w.isOpen(5002) || !w.isOpen(5000) || other.Err() == nil {
			t.Errorf("after a lease has ended its port is open: %v, the other one: %v; its connection: %v", w.isOpen(5002), w.isOpen(5000), other.Err())
		}
		b.prepared(third, 5002)
		c.Close("")
		same.Close("")
		time.Sleep(30 * time.Second)
		if back := w.connectTo(edgeAt(5000), "headset"); hello(t, back, token) != nil || !works(t, back) {
			t.Error("a UE that comes back is not served by its port")
		} else {
			back.Close("")
		}
		time.Sleep(65 * time.Second)
		if w.isOpen(5000) || w.isOpen(5002) {
			t.Error("the ports of UEs that are gone, or have not come, are open")
		}
		if did := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: token}); !did.Failed || w.isOpen(5000) {
			t.Errorf("a lease that has ended is prepared: %+v", did)
		}
	})
}

// By the port of a lease nobody comes but its UE, and with no other lease.
func TestStrangersAtPort(t *testing.T) {
	inLandWith(t, host.Ports{First: 5000, Last: 5000}, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		_, theirs := b.lease("other", nil)
		_, second := b.lease("headset", nil)
		b.prepared(token, 5000)
		stranger := w.connectTo(edgeAt(5000), "other")
		time.Sleep(time.Second)
		if stranger.Err() == nil {
			t.Error("another UE stays at the port")
		}
		if stranger, err := w.ue("other", theirs); err != nil || !works(t, stranger) {
			t.Errorf("it is not served where it may come: %v", err)
		}
		if err := hello(t, w.connectTo(edgeAt(5000), "headset"), second); !refusedAs(err, offload.CodeDenied, "of another lease") {
			t.Errorf("the UE with another lease: %v", err)
		}
		if c := w.connectTo(edgeAt(5000), "headset"); hello(t, c, token) != nil || !works(t, c) {
			t.Error("after these the lease's own UE is not served")
		}
	})
}

// What an open port holds is the tenant's, whose UE comes by it.
func TestPortsAreHeld(t *testing.T) {
	small := func(cfg *host.Config) {
		cfg.Manager.Ports, cfg.Memory = host.Ports{First: 5000, Last: 5015}, 2<<20
	}
	inLandOf(t, small, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		held := func() int64 { return w.h.Memory().Held }
		before := held()
		first, token := b.lease("headset", nil)
		b.prepared(token, 5000)
		one := held() - before
		if one < 128<<10 || one > 256<<10 {
			t.Errorf("an open port holds %d bytes", one)
		}
		opened, full := 1, wire.Did{}
		for range 15 {
			_, token := b.lease("headset", nil)
			if full = b.order(wire.Order{Kind: wire.OrderPrepare, Lease: token}); full.Failed {
				break
			}
			opened++
		}
		if !full.Failed || full.Code != offload.CodeOverloaded || opened < 2 {
			t.Errorf("%d ports of a host with 2 MiB are open, then: %+v", opened, full)
		}
		if got := held() - before; got != int64(opened)*one {
			t.Errorf("%d ports hold %d bytes, and one %d", opened, got, one)
		}
		b.order(wire.Order{Kind: wire.OrderStop, ID: first.ID})
		time.Sleep(3 * time.Second)
		if got := held() - before; got != int64(opened-1)*one {
			t.Errorf("after one was closed, %d bytes are held", got)
		}
		time.Sleep(20 * time.Second)
		if got := held(); got != before || len(w.h.Tenants()) != 0 {
			t.Errorf("after all were closed, %d bytes are held, and there are tenants %+v", got-before, w.h.Tenants())
		}
	})
}

// Handshakes that have failed at a port count after it is closed.
func TestFailuresAtPortsCount(t *testing.T) {
	inLandWith(t, host.Ports{First: 5000, Last: 5000}, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		b.prepared(token, 5000)
		foreign, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		conf, err := foreign.TLS(identity.UE, "headset")
		if err != nil {
			t.Fatal(err)
		}
		if c, err := link.Dial(t.Context(), w.air.Endpoint(w.from(net.IPv4(10, 0, 0, 3))), edgeAt(5000), conf); err == nil {
			c.Close("")
			t.Error("a UE of another authority is connected")
		}
		time.Sleep(time.Second)
		want := w.h.HandshakeFailures()
		if want.Identity != 1 || !w.isOpen(5000) {
			t.Errorf("failures are %+v, the port is open: %v", want, w.isOpen(5000))
		}
		time.Sleep(20 * time.Second)
		if got := w.h.HandshakeFailures(); got != want || w.isOpen(5000) {
			t.Errorf("when the port is closed: %v, failures are %+v; want %+v", !w.isOpen(5000), got, want)
		}
	})
}

// Without its manager a lease keeps its port, and under the next one.
func TestPortsOutliveManagers(t *testing.T) {
	inLandWith(t, host.Ports{First: 5000, Last: 5001}, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		b.prepared(token, 5000)
		c := w.connectTo(edgeAt(5000), "headset")
		if err := hello(t, c, token); err != nil {
			t.Fatal(err)
		}
		b.end()
		time.Sleep(10 * time.Minute)
		back := w.manage(managerAddr, 2, func(next *boss) { next.runs = []wire.Run{next.run, b.run} })
		if h, want := hear[wire.Holding](back), []string{edgeAt(5000).String(), edgeAddr.String()}; len(h.Addresses) != 1 || !slices.Equal(h.Addresses[0], want) {
			t.Errorf("the host says that its lease is at %v; want %v", h.Addresses, want)
		}
		time.Sleep(time.Second)
		back.prepared(token, 5000)
		if !works(t, c) {
			t.Error("under the next manager the UE is not served by its port")
		}
	})
}

// A lease that fails after its port was opened has none.
func TestRefusedLeaseHasNoPort(t *testing.T) {
	inLandWith(t, host.Ports{First: 5000, Last: 5000}, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, late := b.lease("headset", nil)
		time.Sleep(5 * time.Minute) // its time has passed
		if did := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: late}); !did.Failed || did.Code != offload.CodeDenied {
			t.Errorf("a late lease: %+v", did)
		}
		time.Sleep(2 * time.Second)
		_, token := b.lease("headset", nil)
		b.prepared(token, 5000)
	})
}

func TestParsePorts(t *testing.T) {
	for _, s := range []string{"", "1-1", "20000-21023", "65535-65535"} {
		if p, err := host.ParsePorts(s); err != nil || p.String() != s {
			t.Errorf("%q is %v, %v", s, p, err)
		}
	}
	for _, s := range []string{"-", "0-0", "0-5", "5", "5-", "-5", "6-5", "1-65536", "20000-21024", "a-b", "1 - 2", "+1-2", "1-2-3", strings.Repeat("9", 1000)} {
		if p, err := host.ParsePorts(s); err == nil || p != (host.Ports{}) || len(err.Error()) > 200 {
			t.Errorf("%.20q is %v, %v", s, p, fmt.Sprintf("%.300v", err))
		}
	}
}
