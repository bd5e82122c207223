package ue_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

func TestStatsOfLinks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := doubler("links", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Policy: policy.Always(policy.OnEdge), Stripes: 2})
		if got := h.Stats().Links; len(got) != 0 {
			t.Errorf("before there is a connection: %+v", got)
		}
		w.ready(h, &f.Desc)
		time.Sleep(time.Second) // the second stripe, and the first moves
		for range 10 {
			if _, err := f.Call(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		links := h.Stats().Links
		if len(links) != 2 {
			t.Fatalf("%d links, want one a stripe: %+v", len(links), links)
		}
		for _, l := range links {
			if l.Host != "edge-1" || l.Transport != "quic" || !strings.HasPrefix(l.Path, "10.0.0.1:") || !strings.HasSuffix(l.Path, " > "+hostAddr.String()) {
				t.Errorf("%+v", l)
			}
			if l.RTT < 2*oneWay || l.RTT > 10*oneWay || l.MinRTT < 2*oneWay || l.Packets == 0 || l.Lost != 0 || l.Delivered == 0 || l.Window == 0 {
				t.Errorf("%+v", l)
			}
		}
		h.Close()
		if got := h.Stats().Links; len(got) != 0 {
			t.Errorf("after Close: %+v", got)
		}
	})
}
