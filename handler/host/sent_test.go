package host_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
)

const (
	heavy = 900 << 10 // a reply that fits in the first window of a stream
	small = 100 << 10 // one of which some fit in the congestion window
)

// heavyEngine has guests that answer B with a heavy reply, W with a small one once release is closed, and
// others with themselves.
func heavyEngine(release <-chan struct{}) native.Engine {
	return native.Engine{Functions: func() []native.Func {
		return []native.Func{func(_ context.Context, request, dst []byte) ([]byte, error) {
			dst = append(dst, byte(abi.OK))
			switch request[0] {
			case 'W':
				<-release
				return append(dst, make([]byte, small)...), nil
			case 'B':
				return append(dst, make([]byte, heavy)...), nil
			}
			return append(dst, request...), nil
		}}
	}}
}

// order is a call whose request is one letter.
func order(letter byte) []byte {
	return append(wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(wasm), Size: 1}), letter)
}

// A UE that takes replies and does not say so makes the host keep them: they count until the
// connection ends.
func TestUnacknowledgedRepliesCount(t *testing.T) {
	air := &radio.Air{OneWay: time.Millisecond}
	var release chan struct{} // made in the bubble
	engine := native.Engine{Functions: func() []native.Func { return heavyEngine(release).Functions() }}
	serveIn(t, air, link.QUIC, host.Config{Engine: engine, Calls: 8}, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		release = make(chan struct{})
		c := conns[0]
		ask(t, c, put(wasm), true)
		sleep()
		before := h.Memory().Held
		for range 100 {
			ask(t, c, call(wasm), true)
		}
		sleep()
		if held := h.Memory().Held; held != before {
			t.Errorf("small calls cost their connection %d bytes", held-before)
		}
		for range 12 { // the congestion window opens
			if got := ask(t, c, order('B'), true); len(got) < heavy {
				t.Fatalf("%d bytes came, want %d", len(got), heavy)
			}
		}
		const calls = 4
		var streams []link.Stream
		for range calls {
			st, err := c.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			st.Write(order('W'))
			streams = append(streams, st)
		}
		sleep()
		air.Set(net.IPv4(10, 0, 0, 1), nil, radio.Faults{Loss: 1}) // of the UE nothing is heard any more
		close(release)
		sleep()
		ts := h.Tenants()[0]
		if ts.Waiting != 0 {
			t.Fatalf("%d calls are not done", ts.Waiting)
		}
		if held := h.Memory().Held - before; held < calls*small {
			t.Errorf("%d bytes count for %d replies of %d bytes that were written and not acknowledged", held, calls, small)
		}
		air.Set(net.IPv4(10, 0, 0, 1), nil, radio.Faults{})
		for _, st := range streams {
			st.Close()
			if got, err := io.ReadAll(st); err != nil || len(got) < small {
				t.Errorf("of a reply that the host has kept came %d bytes, %v", len(got), err)
			}
		}
		c.Close("")
		sleep()
		if m := h.Memory(); m.Held != 0 {
			t.Errorf("%+v when the UE has left; want nothing held", m)
		}
	})
}

// What a tenant has no room to send again is not sent, and its small calls go on.
func TestNoRoomToSendAgain(t *testing.T) {
	cfg := host.Config{Engine: heavyEngine(nil), Policy: policy(t, "[default.quota]\nbuffers = \"4 MiB\"\n")}
	serveOver(t, link.QUIC, cfg, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		c := conns[0]
		ask(t, c, put(wasm), true)
		var served, refused atomic.Int64
		for range 10 {
			var round sync.WaitGroup
			for range 2 {
				round.Go(func() {
					if len(ask(t, c, order('B'), true)) < heavy {
						refused.Add(1)
					} else {
						served.Add(1)
					}
				})
			}
			round.Wait()
		}
		if refused.Load() == 0 || served.Load() == 0 {
			t.Errorf("of 20 heavy replies %d were served and %d found no room; want some of each", served.Load(), refused.Load())
		}
		if m := h.Tenants()[0].Memory; m.Held > m.Most || m.Late == 0 {
			t.Errorf("%+v; want it bounded, and that it is told", m)
		}
		if got := ask(t, c, call(wasm), true); !bytes.Contains(got, []byte("hi")) {
			t.Errorf("a small call: %q", got)
		}
	})
}
