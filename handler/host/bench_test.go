package host_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"testing"

	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// BenchmarkCall is a call and its answer over loopback, both ends in this process: request and reply
// of the same size.
func BenchmarkCall(b *testing.B) {
	c := benchmarkHost(b)
	for _, size := range []int{0, 100 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) { benchmarkCalls(b, c, size) })
	}
}

// benchmarkHost returns a connection to a host that has the module wasm, whose calls echo.
func benchmarkHost(b *testing.B) *link.Conn {
	ca, err := identity.NewAuthority()
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := ca.TLS(identity.Host, "host")
	if err != nil {
		b.Fatal(err)
	}
	ours, err := ca.TLS(identity.UE, "ue")
	if err != nil {
		b.Fatal(err)
	}
	engine := native.Engine{Functions: func() []native.Func {
		return []native.Func{func(_ context.Context, request, dst []byte) ([]byte, error) {
			return append(append(dst, byte(abi.OK)), request...), nil
		}}
	}}
	h, err := host.New(host.Config{Engine: engine, TLS: theirs})
	if err != nil {
		b.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(context.Background(), pc) }()
	up, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	c, err := link.Dial(b.Context(), up, pc.LocalAddr(), ours)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close(""); h.Close(); <-served })
	st, err := c.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	st.Write(put(wasm))
	st.Close()
	if err := wire.ExpectControl(st, wire.TypeLoaded, new(wire.Loaded)); err != nil {
		b.Fatal(err)
	}
	return c
}

func benchmarkCalls(b *testing.B, c *link.Conn, size int) {
	st, err := c.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	frame := append(wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(wasm), Size: size}), make([]byte, size)...)
	var reply []byte
	b.ReportAllocs()
	for b.Loop() {
		st.Write(frame)
		typ, err := wire.ReadType(st)
		if err != nil || typ != wire.TypeResult {
			b.Fatalf("frame 0x%02x, %v", typ, err)
		}
		res, err := wire.ReadResult(st)
		if err == nil {
			reply, err = wire.ReadPayload(st, reply, res.Size)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
