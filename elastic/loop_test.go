package elastic_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// echo answers a message with as many bytes as it is asked for.
func echo(out int) *codegen.Endpoint[[]byte, []byte] {
	reply := make([]byte, out)
	return &codegen.Endpoint[[]byte, []byte]{
		Desc: offload.Desc{Name: "echo", Module: codegen.NewModule([]byte("echo")), Idempotent: true},
		New: func() *codegen.Live[[]byte, []byte] {
			return &codegen.Live[[]byte, []byte]{
				Handle:      func(_ context.Context, _ []byte, emit func([]byte) error) error { return emit(reply) },
				AppendState: func(b []byte) []byte { return pack.AppendArray(b, 0) },
				ReadState:   func(r *pack.Reader) { r.Tuple(0) },
			}
		},
		AppendIn: pack.AppendBytes, ReadIn: (*pack.Reader).BytesRef,
		AppendOut: pack.AppendBytes, ReadOut: (*pack.Reader).BytesRef,
	}
}

// A loopback is an edge host on a real socket of this machine.
type loopback struct {
	conn *link.Conn
	ln   *link.Listener
	wg   sync.WaitGroup
}

func newLoopback(b *testing.B, open func() far.Endpoint) *loopback {
	ca, err := identity.NewAuthority()
	if err != nil {
		b.Fatal(err)
	}
	hostTLS, err := ca.TLS(identity.Host, "host")
	if err != nil {
		b.Fatal(err)
	}
	ueTLS, err := ca.TLS(identity.UE, "ue")
	if err != nil {
		b.Fatal(err)
	}
	l := &loopback{}
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	pc, err := net.ListenUDP("udp", local)
	if err != nil {
		b.Fatal(err)
	}
	if l.ln, err = link.Listen(pc, hostTLS); err != nil {
		b.Fatal(err)
	}
	h := &host{open: func() (far.Endpoint, error) { return open(), nil }, ln: l.ln}
	l.wg.Go(h.accept)
	up, err := net.ListenUDP("udp", local)
	if err != nil {
		b.Fatal(err)
	}
	if l.conn, err = link.Dial(b.Context(), up, pc.LocalAddr(), ueTLS); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		l.conn.Close("")
		l.ln.Close()
		l.wg.Wait()
		h.wg.Wait()
	})
	return l
}

func (l *loopback) Name() string { return "loopback" }

func (l *loopback) Prepare(context.Context, *offload.Desc) (elastic.Host, error) {
	return spot{l.conn}, nil
}

// BenchmarkOrdered is a message and its outcome over QUIC, both ends in this process.
func BenchmarkOrdered(b *testing.B) {
	for _, size := range []struct{ in, out, flying int }{{1 << 10, 1 << 10, 1}, {1 << 10, 1 << 10, 200}, {100 << 10, 1 << 10, 1}, {100 << 10, 100 << 10, 16}} {
		b.Run(fmt.Sprintf("%dKB in, %dKB out, %d in flight", size.in>>10, size.out>>10, size.flying), func(b *testing.B) {
			ep := echo(size.out)
			c, err := elastic.Open(ep, elastic.Config{Deadline: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if err := c.Move(b.Context(), newLoopback(b, func() far.Endpoint { return native.New(ep) })); err != nil {
				b.Fatal(err)
			}
			message := make([]byte, size.in)
			b.ReportAllocs()
			b.SetBytes(int64(size.in + size.out))
			flying := 0
			for b.Loop() {
				if err := c.Send(b.Context(), message); err != nil {
					b.Fatal(err)
				}
				if flying++; flying < size.flying {
					continue
				}
				flying--
				if _, err := c.Recv(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
