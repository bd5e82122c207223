package ue_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// echoing is a function whose requests and replies are large.
func (w *world) echoing() *codegen.Func[[]byte, []byte] {
	f := &codegen.Func[[]byte, []byte]{
		Desc:     offload.Desc{Name: "echo", Module: codegen.NewModule([]byte("the module of echo")), Deadline: time.Second, Idempotent: true},
		Native:   func(_ context.Context, b []byte) ([]byte, error) { return b, nil },
		AppendIn: pack.AppendBytes, ReadIn: (*pack.Reader).Bytes, AppendOut: pack.AppendBytes, ReadOut: (*pack.Reader).Bytes,
	}
	w.engine.set(f.Serve, nil)
	return f
}

// outage calls f twenty times a second until the edge host has answered a second long. It
// returns when the last call ended before that which ran on the UE, and how many did.
func (w *world) outage(h *ue.Handler, f *codegen.Func[[]byte, []byte]) (took time.Duration, fell int) {
	w.t.Helper()
	request := make([]byte, 20_000)
	begin := time.Now()
	for time.Since(begin)-took < time.Second {
		edge := h.Stats().Edge
		if got, err := f.Call(context.Background(), request); err != nil || len(got) != len(request) {
			w.t.Fatalf("call: %d bytes, %v", len(got), err)
		}
		if h.Stats().Edge == edge {
			took, fell = time.Since(begin), fell+1
		}
		if took > time.Minute {
			w.t.Fatalf("no calls on the edge host a minute later: %v", h.Stats().Reasons)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return took, fell
}

// Where large packets begin to be lost while small ones pass, calls run on the edge host again
// within 5 s, over the same connection. The air knows no MTU discovery: what a fresh path finds out,
// is here that the fault is on the way of the old socket only.
func TestPathThatDropsLargePackets(t *testing.T) {
	narrow := radio.Faults{MTU: 800} // less than any packet that is full
	for _, tt := range []struct {
		name string
		ways func(air *radio.Air)
	}{
		{"both ways", func(air *radio.Air) { air.Set(wifi, hostAddr.IP, narrow); air.Set(hostAddr.IP, wifi, narrow) }},
		{"to the host", func(air *radio.Air) { air.Set(wifi, hostAddr.IP, narrow) }},
		{"to the UE", func(air *radio.Air) { air.Set(hostAddr.IP, wifi, narrow) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				f := w.echoing()
				w.startHost(nil)
				var other atomic.Bool
				listen := func() (net.PacketConn, error) {
					if other.Load() {
						return w.listenAt(cellular)()
					}
					return w.listenAt(wifi)()
				}
				h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Policy: policy.Always(policy.OnEdge), Listen: listen})
				w.ready(h, &f.Desc)
				if took, _ := w.outage(h, f); took != 0 {
					t.Fatalf("before anything happened calls ran on the UE for %v", took)
				}
				tt.ways(w.air)
				other.Store(true)
				took, fell := w.outage(h, f)
				t.Logf("on the edge host again after %v, %d calls on the UE", took, fell)
				if fell == 0 || took > 5*time.Second {
					t.Errorf("calls ran on the UE for %v, %d of them; want some, for at most 5 s", took, fell)
				}
				if n := w.connections(); n != 1 {
					t.Errorf("there were %d connections, want one", n)
				}
			})
		})
	}
}
