package main

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
)

func TestTracker(t *testing.T) {
	cat := func(x float32) Detection { return Detection{Box{x, 0, x + 10, 10}, "cat", 1} }
	dog := func(x float32) Detection { return Detection{Box{x, 0, x + 10, 10}, "dog", 1} }
	hidden := make([][]Detection, maxLost)
	tests := []struct {
		why    string
		frames [][]Detection
		want   []int // identities in the last frame, in the order in which they were given
	}{
		{"a thing that moves a little keeps its identity", [][]Detection{{cat(0)}, {cat(3)}, {cat(6)}}, []int{1}},
		{"one that jumps is another", [][]Detection{{cat(0)}, {cat(30)}}, []int{2}},
		{"so is one of another kind", [][]Detection{{cat(0)}, {dog(0)}}, []int{2}},
		{"the order of detections says nothing", [][]Detection{{cat(0), dog(0)}, {dog(0), cat(0)}}, []int{1, 2}},
		{"the pair that overlaps most comes first", [][]Detection{{cat(0), cat(5)}, {cat(4)}}, []int{2}},
		{"a thing that is hidden comes back", slices.Concat([][]Detection{{cat(0)}}, hidden, [][]Detection{{cat(0)}}), []int{1}},
		{"but not after too long", slices.Concat([][]Detection{{cat(0)}, {}}, hidden, [][]Detection{{cat(0)}}), []int{2}},
		{"nothing is emitted for an empty frame", [][]Detection{{cat(0)}, {}}, nil},
	}
	for _, tt := range tests {
		var v tracker
		var got []int
		for _, f := range tt.frames {
			got = nil
			if err := v.Handle(t.Context(), f, func(x Track) error { got = append(got, x.ID); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: identities %v in the last of frames %v; want %v", tt.why, got, tt.frames, tt.want)
		}
	}
}

func TestIdentitiesHere(t *testing.T) {
	var said bytes.Buffer
	if err := run(t.Context(), &said, elastic.Config{}, stay, 200); err != nil || !strings.Contains(said.String(), "no identity has changed") {
		t.Errorf("on the UE: %v, said:\n%s", err, &said)
	}
}

// TestIdentitiesOnTheMove moves the tracker to an edge host with the module and
// back, over a real network.
func TestIdentitiesOnTheMove(t *testing.T) {
	ctx := t.Context()
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.TLS(identity.UE, "ue")
	if err != nil {
		t.Fatal(err)
	}
	h, err := ue.Start(ctx, ue.Config{TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var said bytes.Buffer
	// No deadline, and moves may fail: on a slow machine a host can be silent for long.
	err = run(ctx, &said, elastic.Config{Deadline: -1}, toAndFro(h.Target(startHost(t, ca))), 10*moveEvery)
	if err != nil || !strings.Contains(said.String(), "is on edge-1") || !strings.Contains(said.String(), "no identity has changed") {
		t.Errorf("to and fro: %v; want stays on edge-1 and stable identities. It said:\n%s", err, &said)
	}
}

// startHost starts an edge host and returns its address.
func startHost(t *testing.T, ca *identity.Authority) string {
	t.Helper()
	conf, err := ca.TLS(identity.Host, "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.New(host.Config{Name: "edge-1", Engine: engine, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- h.Serve(context.Background(), pc) }()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		engine.Close()
	})
	return pc.LocalAddr().String()
}

// TestStateRoundTrip holds that a tracker with the state of another does what that
// one does, to the byte.
func TestStateRoundTrip(t *testing.T) {
	ctx, stays := t.Context(), trackerEndpoint.Serve()
	for f := range 60 {
		moved := trackerEndpoint.Serve()
		if reply := moved.Restore(ctx, stays.Save(ctx, nil, nil)[1:], nil); !bytes.Equal(reply, []byte{0}) {
			t.Fatalf("restore of the state before frame %d: %q", f, reply)
		}
		in := trackerEndpoint.AppendIn(nil, detect(f))
		want := stays.Handle(ctx, in, nil)
		if got := moved.Handle(ctx, in, nil); !bytes.Equal(got, want) {
			t.Errorf("frame %d came to % x after a move; want % x, as without", f, got, want)
		}
		if got, want := moved.Save(ctx, nil, nil), stays.Save(ctx, nil, nil); !bytes.Equal(got, want) {
			t.Errorf("frame %d left % x after a move; want % x, as without", f, got, want)
		}
	}
}
