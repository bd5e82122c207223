package link_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
)

// BenchmarkCarrier is a request and its answer on a stream that stays, over loopback: over QUIC, over
// TCP, and over TLS without streams.
func BenchmarkCarrier(b *testing.B) {
	for _, size := range []int{1_000, 100_000} {
		for _, over := range []string{"quic", "tcp", "tls"} {
			b.Run(fmt.Sprintf("%d/%s", size, over), func(b *testing.B) {
				near := carrier(b, over)
				buf := make([]byte, size)
				b.ReportAllocs()
				b.SetBytes(int64(2 * size))
				go func() { near.Write(buf[:1]) }()
				io.ReadFull(near, buf[:1])
				for b.Loop() {
					near.Write(buf)
					if _, err := io.ReadFull(near, buf); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// carrier returns one end of a stream whose other end echoes.
func carrier(b *testing.B, over string) io.ReadWriter {
	ca := authority(b)
	config := func(role identity.Role) *tls.Config { return config(b, ca, role, "bench") }
	echo := func(rw io.ReadWriter) { io.Copy(struct{ io.Writer }{rw}, struct{ io.Reader }{rw}) }
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	if over == "tls" {
		b.Cleanup(func() { ln.Close() })
		go func() {
			c, err := ln.Accept()
			if err == nil {
				echo(tls.Server(c, config(identity.Host)))
				c.Close()
			}
		}()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		return tls.Client(c, config(identity.UE))
	}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	quic, err := link.Listen(pc, config(identity.Host))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { quic.Close() })
	stream := link.ListenTCP(ln, config(identity.Host), nil)
	b.Cleanup(func() { stream.Close() })
	serve := func(accept func(context.Context) (*link.Conn, error)) {
		c, err := accept(context.Background())
		for err == nil {
			var st link.Stream
			if st, err = c.Accept(context.Background()); err == nil {
				go echo(st)
			}
		}
	}
	go serve(quic.Accept)
	go serve(stream.Accept)
	var c *link.Conn
	if over == "quic" {
		up, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		c, err = link.Dial(b.Context(), up, pc.LocalAddr(), config(identity.UE))
		if err != nil {
			b.Fatal(err)
		}
	} else {
		up, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		if c, err = link.DialTCP(b.Context(), up, ln.Addr(), config(identity.UE)); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { c.Close("") })
	st, err := c.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return st
}
