package main

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
)

// A dropped socket is on a network that drops UDP.
type dropped struct{ net.PacketConn }

func (d dropped) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

// dropUDP makes the sockets of such a network.
func dropUDP() (net.PacketConn, error) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	return dropped{pc}, err
}

// Where UDP is dropped, calls and channels go over TCP, and the end of the host's process is
// known at once.
func TestUDPIsDropped(t *testing.T) {
	p := startHost(t)
	conf, err := ue.LoadTLS(p.certs)
	if err != nil {
		t.Fatal(err)
	}
	start := func() *ue.Handler {
		h, err := ue.Start(t.Context(), ue.Config{Edge: p.addr, TLS: conf, Policy: policy.Always(policy.OnEdge), Listen: dropUDP})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		return h
	}
	echo := raw(t, "basic", 0, errNative)
	h := start()
	ready(t, h, &echo.Desc) // uploads the module
	h.Close()
	begin := time.Now()
	h = start()
	ready(t, h, &echo.Desc)
	var tr offload.Trace
	in := []byte(strings.Repeat("x", 1000))
	if out, err := echo.Call(offload.WithTrace(t.Context(), &tr), in); err != nil || len(out) == 0 || tr.Host != "edge-1" {
		t.Fatalf("a call: %d bytes, %v, on %q", len(out), err, tr.Host)
	}
	t.Logf("from Start to the first answer, module loaded: %v; round trip %v", time.Since(begin), tr.Network)
	if links := h.Stats().Links; len(links) != 1 || links[0].Transport != "tcp" {
		t.Errorf("links %+v, want one over tcp", links)
	}
	f := flows(t, elastic.Config{CheckpointMessages: 50})
	f.move(t, h.Target(""), "edge-1")
	f.more(t, 500)
	begin = time.Now()
	p.kill()
	await(t, "the UE to take over", func() bool { return f.ch.Where() == "" || t.Failed() })
	t.Logf("%v after the host was killed, the UE has taken over", time.Since(begin))
	f.more(t, 100)
	lost := fellBack(f.stop())
	if len(lost) != 1 || errors.Is(lost[0].Reason, offload.ErrDeadline) {
		t.Errorf("fallbacks %+v; want one, because the peer is gone", lost)
	}
}
