package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// doctorWasm is the module that is called, compiled from doctor.wat. It asks for nothing, so whatever
// keeps a host from loading it keeps every module out.
//
//go:embed doctor.wasm
var doctorWasm []byte

// errHere says that a call came back to the UE.
var errHere = errors.New("the call ran on the UE")

// doctorFunc returns guest function fn of the module: 0 answers with its request, 1 with nothing.
func doctorFunc(m *offload.Module, fn uint32) *codegen.Func[[]byte, []byte] {
	return &codegen.Func[[]byte, []byte]{
		Desc:     offload.Desc{Name: "doctor", Index: fn, Module: m, Deadline: 5 * time.Second},
		Native:   func(context.Context, []byte) ([]byte, error) { return nil, errHere },
		AppendIn: pack.AppendBytes, ReadIn: (*pack.Reader).Bytes,
		AppendOut: pack.AppendBytes,
		ReadOut: func(r *pack.Reader) []byte {
			if fn == 1 {
				return nil
			}
			return r.Bytes()
		},
	}
}

// call does what an application does: it has the module loaded, and calls it.
func (d *doctor) call(ctx context.Context) {
	h, err := ue.Start(ctx, ue.Config{
		Edge: d.addr, TLS: d.conf, Name: "doctor", Policy: policy.Always(policy.OnEdge), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		d.bad("call", "see the lines above", "%v", err)
		return
	}
	defer h.Close()
	m := codegen.NewModule(doctorWasm)
	echo, drop := doctorFunc(m, 0), doctorFunc(m, 1)
	load, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := h.Prepare(load, &echo.Desc); err != nil {
		d.bad("policy", "ask who runs the host: its policy, and the tenant's quotas in it, decide (there: journalctl -u bungee)", "this tenant may load no module, not even one that asks for nothing: %v", err)
		return
	}
	d.ok("policy", "this tenant may have modules loaded")
	var trace offload.Trace
	want := []byte("is anybody there?")
	got, err := echo.Call(offload.WithTrace(ctx, &trace), want)
	if err != nil || !bytes.Equal(got, want) {
		d.bad("call", "the host's log says why (there: journalctl -u bungee)", "answered %.40q: %v", got, errors.Join(err, trace.Fallback))
		return
	}
	d.ok("call", "host %.255q ran it: network %s, queue %s, run %s", trace.Host, short(trace.Network), short(trace.Queue), short(trace.Run))
	d.packets(ctx, h, drop)
}

const (
	trips     = 40              // round trips in which packets have grown (quic-go needs five for each of five steps)
	growing   = 5 * time.Second // that they may take
	upload    = 1 << 20         // bytes, of which the packets are counted
	leastSize = 1205            // bytes of the mean packet, if packets have grown at all: the first have 1200
)

// packets says how long a round trip takes, and how large packets may be.
func (d *doctor) packets(ctx context.Context, h *ue.Handler, drop *codegen.Func[[]byte, []byte]) {
	least, most, n := time.Hour, time.Duration(0), 0
	for begin := time.Now(); n < trips && time.Since(begin) < growing; n++ {
		sent := time.Now()
		if _, err := drop.Call(ctx, make([]byte, 3<<10)); err != nil {
			d.bad("round trip", "the path loses packets, or the host is overloaded: see its metrics", "call %d of %d: %v", n+1, trips, err)
			return
		}
		least, most = min(least, time.Since(sent)), max(most, time.Since(sent))
	}
	d.ok("round trip", "%s to %s, of %d calls with 3 KiB", short(least), short(most), n)
	before := sentBy(h)
	if before.Transport != "quic" {
		d.ok("packets", "their size is TCP's business")
		return
	}
	_, err := drop.Call(ctx, make([]byte, upload))
	after := sentBy(h)
	sent := after.Packets - before.Packets
	if err != nil || sent == 0 {
		d.bad("packets", "see whether something on the way drops large packets, or much traffic", "%d KiB do not arrive: %v", upload>>10, err)
		return
	}
	lost := after.Lost - min(after.Lost, before.Lost)
	mean := (after.Delivered - before.Delivered) / max(1, sent-min(sent-1, lost))
	if mean < leastSize && n == trips {
		d.bad("packets", "something on the way loses packets over 1,228 bytes, as a tunnel with a small MTU does: large requests cost more packets; raise its MTU", "they do not grow beyond %d bytes", mean)
		return
	}
	d.ok("packets", "up to about %d bytes, so the path carries %d or more; %d of %d lost", mean, mean+28, lost, sent)
}

// sentBy returns the counts of the connection that h uses.
func sentBy(h *ue.Handler) (l ue.Link) {
	for _, l = range h.Stats().Links {
		return l
	}
	return l
}
