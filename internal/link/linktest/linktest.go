// Package linktest connects a UE and a host for tests, in virtual time.
package linktest

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

// HostAddr is the address of the host.
var HostAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 4433}

// Connect runs f in a bubble of its own, with a UE's connection to a host. serve answers
// each stream of the UE, on a goroutine of its own. When f returns, Connect ends the
// connection and waits for serve.
func Connect(t *testing.T, air *radio.Air, serve func(st link.Stream), f func(t *testing.T, ue *link.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		hostTLS, err := ca.TLS(identity.Host, "host")
		if err != nil {
			t.Fatal(err)
		}
		ueTLS, err := ca.TLS(identity.UE, "ue")
		if err != nil {
			t.Fatal(err)
		}
		ln, err := link.Listen(air.Endpoint(HostAddr), hostTLS)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			host, err := ln.Accept(context.Background())
			for err == nil {
				var st link.Stream
				if st, err = host.Accept(context.Background()); err == nil {
					wg.Go(func() { serve(st) })
				}
			}
		})
		ue, err := link.Dial(t.Context(), air.Endpoint(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}), HostAddr, ueTLS)
		if err != nil {
			t.Fatal(err)
		}
		f(t, ue)
		ue.Close("")
		ln.Close()
		wg.Wait()
	})
}
