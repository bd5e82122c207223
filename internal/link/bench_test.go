package link

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/internal/identity"
)

// BenchmarkExchange is a request and an answer on a stream of their own, over
// loopback: with a plain socket, with the one that tune makes, and with that one
// in a slot.
func BenchmarkExchange(b *testing.B) {
	for _, size := range []struct{ up, down int }{{1_000, 1_000}, {50_000, 1_000}, {100_000, 100_000}} {
		for _, socket := range []struct {
			name string
			tune func(net.PacketConn) net.PacketConn
		}{
			{"plain", func(pc net.PacketConn) net.PacketConn { return pc }},
			{"tuned", tune},
			{"slot", func(pc net.PacketConn) net.PacketConn { _, c := newSlot(newSocket(pc)); return c }},
		} {
			b.Run(fmt.Sprintf("%d-%d/%s", size.up, size.down, socket.name), func(b *testing.B) {
				exchange(b, size.up, size.down, socket.tune)
			})
		}
	}
}

func exchange(b *testing.B, up, down int, tune func(net.PacketConn) net.PacketConn) {
	ca, err := identity.NewAuthority()
	if err != nil {
		b.Fatal(err)
	}
	config := func(role identity.Role) *tls.Config {
		c, err := ca.TLS(role, "bench")
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	transport := func() *quic.Transport {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		tr := &quic.Transport{Conn: tune(pc)}
		b.Cleanup(func() { tr.Close(); pc.Close() })
		return tr
	}
	server := transport()
	l, err := server.Listen(config(identity.Host), quicConfig())
	if err != nil {
		b.Fatal(err)
	}
	go answerAll(l, make([]byte, down))
	c, err := transport().Dial(b.Context(), l.Addr(), config(identity.UE), quicConfig())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	request, reply := make([]byte, up), make([]byte, down)
	b.SetBytes(int64(up + down))
	for b.Loop() {
		st, err := c.OpenStream()
		if err != nil {
			b.Fatal(err)
		}
		st.Write(request)
		st.Close()
		if _, err := io.ReadFull(st, reply); err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, st)
	}
	c.CloseWithError(0, "")
}

// answerAll reads each stream of the next connection and answers it.
func answerAll(l *quic.Listener, reply []byte) {
	c, err := l.Accept(context.Background())
	if err != nil {
		return
	}
	for {
		st, err := c.AcceptStream(context.Background())
		if err != nil {
			return
		}
		io.Copy(io.Discard, st)
		st.Write(reply)
		st.Close()
	}
}
