package link_test

import (
	"io"
	"net"
	"testing"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

// Most tunnels have MTU 1280, and so may any IPv6 path (RFC 8200 section 5). Longer packets
// are lost there, and nobody is told.
func TestSmallMTU(t *testing.T) {
	for _, ip := range []struct {
		name     string
		ue, host net.IP
	}{
		{"IPv4", net.IPv4(10, 0, 0, 1), net.IPv4(10, 0, 0, 2)},
		{"IPv6", net.ParseIP("2001:db8::1"), net.ParseIP("2001:db8::2")},
	} {
		t.Run(ip.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.air.Set(nil, nil, radio.Faults{MTU: 1280})
				at := &net.UDPAddr{IP: ip.host, Port: 2}
				l, err := link.Listen(w.air.Endpoint(at), w.hostTLS)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go func() {
					if host, err := l.Accept(t.Context()); err == nil {
						echo(host)
					}
				}()
				ue, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ip.ue, Port: 2}), at, w.ue)
				if err != nil {
					t.Fatal(err)
				}
				defer ue.Close("")
				sendAndReceive(t, ue, 100_000)
			})
		})
	}
}

// sendAndReceive has size bytes echoed.
func sendAndReceive(t *testing.T, c *link.Conn, size int) {
	t.Helper()
	st, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() { st.Write(make([]byte, size)); st.Close() }()
	if got, err := io.ReadAll(st); err != nil || len(got) != size {
		t.Fatalf("%d of %d bytes came back: %v", len(got), size, err)
	}
}
