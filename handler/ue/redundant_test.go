package ue_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/offload"
)

var hostAddrC = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 4), Port: 4433}

// liar returns an engine whose answers have one bit flipped.
func liar() *engine {
	e := &engine{}
	e.set(func(ctx context.Context, request, dst []byte) []byte {
		f := doubler("redundant", false, double)
		dst = f.Serve(ctx, request, dst)
		dst[len(dst)-1] ^= 1
		return dst
	}, nil)
	return e
}

// A function that is marked to run on several hosts runs on them, and one that lies is
// outvoted by two.
func TestRedundantCalls(t *testing.T) {
	tests := []struct {
		name       string
		redundancy int
		lies       bool
		dissent    bool // is the call's error; else it is right
	}{
		{"two hosts", 2, false, false},
		{"two hosts, one lies", 2, true, true},
		{"three hosts, one lies", 3, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, w *world) {
				f := doubler("redundant", false, func(context.Context, int64) (int64, error) { return 0, errors.New("computed on the UE") })
				f.Redundancy = tt.redundancy
				right := doubler("redundant", false, double)
				w.engine.set(right.Serve, nil)
				w.startHost(nil)
				second := w.engine
				if tt.lies {
					second = liar()
				}
				b := w.start("edge-2", hostAddrB, func(c *host.Config) { c.Engine = second.native() })
				defer b.stop()
				c := w.start("edge-3", hostAddrC, nil)
				defer c.stop()
				h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Others: []string{hostAddrB.String(), hostAddrC.String()}})
				w.ready(h, &f.Desc)
				got, err := f.Call(t.Context(), 21)
				if dissent := offload.CodeOf(err) == offload.CodeDissent; dissent != tt.dissent || !dissent && (got != 42 || err != nil) {
					t.Fatalf("got %d, %v; want 42, or dissent: %v", got, err, tt.dissent)
				}
				if tt.dissent && (!strings.Contains(err.Error(), "edge-1") || !strings.Contains(err.Error(), "edge-2")) {
					t.Errorf("%v: it names no hosts", err)
				}
				h.Close()
			})
		})
	}
}

func TestRedundantNeedsHosts(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("redundant", false, double)
		f.Redundancy = 3
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Others: []string{hostAddrB.String()}})
		if err := h.Prepare(t.Context(), &f.Desc); offload.CodeOf(err) != offload.CodeUnavailable {
			t.Errorf("prepare gave %v, want it to say that there are too few hosts", err)
		}
		if got, err := f.Call(t.Context(), 21); got != 42 || err != nil {
			t.Fatalf("got %d, %v; want 42, computed on the UE", got, err)
		}
		if s := h.Stats(); s.Edge != 0 {
			t.Errorf("%+v; want no call on an edge host", s)
		}
		h.Close()
	})
}

// With an offload manager a function that is marked for two hosts runs on the primary and the standby, and says which of them dissents. One that is
// marked for more runs on the UE, and says why.
func TestRedundantCallsWithAManager(t *testing.T) {
	tests := []struct {
		name       string
		redundancy int
		lies       bool
		code       offload.Code // of the call; 0: it is right
	}{
		{"two hosts", 2, false, 0},
		{"two hosts, one lies", 2, true, offload.CodeDissent},
		{"three hosts", 3, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				onUE := 0
				f := doubler("redundant", false, func(_ context.Context, n int64) (int64, error) { onUE++; return 2 * n, nil })
				f.Redundancy = tt.redundancy
				w.engine.set(doubler("redundant", false, double).Serve, nil)
				second := w.engine
				if tt.lies {
					second = liar()
				}
				a := w.start("edge-1", hostAddr, nil)
				defer a.stop()
				b := w.start("edge-2", hostAddrB, func(c *host.Config) { c.Engine = second.native() })
				defer b.stop()
				m := w.startManager(usual(0))
				defer m.stop()
				h := w.startManaged(ue.Need{})
				defer h.Close()
				if tt.redundancy > 2 {
					if err := h.Prepare(t.Context(), &f.Desc); offload.CodeOf(err) != offload.CodeUnavailable {
						t.Errorf("prepare gave %v, want it to say that a manager names two hosts", err)
					}
				} else {
					w.ready(h, &f.Desc)
				}
				got, err := f.Call(t.Context(), 21)
				if offload.CodeOf(err) != tt.code || err == nil && got != 42 {
					t.Errorf("got %d, %v; want code %v", got, err, tt.code)
				}
				if s := h.Stats(); tt.redundancy == 2 && onUE > 0 || tt.redundancy > 2 && s.Edge > 0 {
					t.Errorf("%d calls ran on the UE: %+v", onUE, s)
				}
			})
		})
	}
}
