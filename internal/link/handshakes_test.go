package link_test

import (
	"context"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// UEs that all come at once get in, one after the other once there are many: handshakes leave the cores to those who
// are connected.
func TestHandshakesAreSpread(t *testing.T) { testSpread(t, 0) }

// More sockets do not let them ask for more.
func TestHandshakesAreSpreadOverSockets(t *testing.T) { testSpread(t, 3) }

// testSpread has UEs come to a listener that has some more sockets.
func testSpread(t *testing.T, also int) {
	const ues, atOnce = 48, 16
	every := 12 * time.Millisecond / time.Duration(runtime.GOMAXPROCS(0))
	inWorld(t, func(t *testing.T, w *world) {
		ctx, stop := context.WithCancel(t.Context())
		var host sync.WaitGroup
		accept := func(ln *link.Listener) {
			host.Go(func() {
				for {
					if _, err := ln.Accept(ctx); err != nil {
						return
					}
				}
			})
		}
		at := []*net.UDPAddr{hostAddr}
		accept(w.listener)
		for i := range also {
			addr := &net.UDPAddr{IP: hostAddr.IP, Port: hostAddr.Port + 1 + i}
			ln, err := w.listener.Also(w.air.Endpoint(addr))
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			at = append(at, addr)
			accept(ln)
		}
		begin := time.Now()
		var all sync.WaitGroup
		for i := range ues {
			all.Go(func() {
				c, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 1000 + i}), at[i%len(at)], w.ue)
				if err != nil {
					t.Error(err)
					return
				}
				<-c.Confirmed()
				defer c.Close("")
			})
		}
		all.Wait()
		stop()
		host.Wait()
		least, most := (ues-atOnce-1)*every, (ues-atOnce)*every+time.Second
		if took := time.Since(begin); took < least || took > most {
			t.Errorf("%d handshakes took %v, want %v to %v", ues, took, least, most)
		}
	})
}

// Who comes from one network, beside a storm of handshakes from another, need not wait until that is over.
func TestHandshakesBesideStorm(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			for {
				if _, err := w.listener.Accept(ctx); err != nil {
					return
				}
			}
		})
		for i := range 250 * runtime.GOMAXPROCS(0) {
			all.Go(func() {
				if c, err := link.Dial(ctx, w.air.Endpoint(&net.UDPAddr{IP: net.IPv4(10, 9, 9, 9), Port: 1000 + i}), hostAddr, w.ue); err == nil {
					c.Close("")
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		begin := time.Now()
		c, err := link.Dial(ctx, w.air.Endpoint(ueAddr), hostAddr, w.ue)
		if took := time.Since(begin); err != nil || took > 700*time.Millisecond {
			t.Errorf("%v after %v; want a connection after a Retry, a turn, and perhaps a packet that was lost", err, took)
		}
		if err == nil {
			c.Close("")
		}
		stop()
		all.Wait()
	})
}
