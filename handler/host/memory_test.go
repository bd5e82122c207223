package host_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A tenant may have as many connections as its quota says; others do not suffer, and what ends
// makes room.
func TestConnectionsOfATenant(t *testing.T) {
	cfg := host.Config{Policy: policy(t, "[default.quota]\nconnections = 2\n")}
	serve(t, cfg, []string{"ann", "ann", "ann", "bob", "ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		sleep()
		for i, lives := range []bool{true, true, false, true, false} {
			if err := conns[i].Err(); lives != (err == nil) {
				t.Errorf("connection %d: %v, want that it lives: %v", i, err, lives)
			} else if err != nil && conns[i].Transport() == link.QUIC && !strings.Contains(err.Error(), `tenant \"ann\" has 2 connections`) {
				t.Errorf("connection %d was ended: %v; want that it says why", i, err)
			}
		}
		for _, ts := range h.Tenants() {
			want := map[string]int64{"ann": 2, "bob": 1}[ts.Name] * link.FirstWindow
			if held := ts.Memory.Held; held < want || held > want+want/4 {
				t.Errorf("%s holds %d bytes; want the windows of its connections, %d, and a little", ts.Name, held, want)
			}
		}
		for _, c := range conns {
			c.Close("")
		}
		sleep()
		if m := h.Memory(); m.Held != 0 || len(h.Tenants()) != 0 {
			t.Errorf("%+v and %d tenants when all have left; want nothing", m, len(h.Tenants()))
		}
	})
}

// A host too small for a connection ends it, and says so.
func TestConnectionWithoutRoom(t *testing.T) {
	serveOver(t, link.QUIC, host.Config{Memory: 3 << 20}, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		sleep()
		if err := conns[0].Err(); !errors.Is(err, link.ErrClosed) || !strings.Contains(err.Error(), "overloaded") {
			t.Errorf("a connection without room: %v; want it closed, as overloaded", err)
		}
		if m := h.Memory(); m.TooMuch != 1 || m.Held != 0 {
			t.Errorf("%+v; want one refused", m)
		}
	})
}

// One tenant takes three quarters of the host's channels, and others still find some.
func TestChannelsAreShared(t *testing.T) {
	serve(t, host.Config{Channels: 16}, []string{"ann", "bob"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		for _, c := range conns {
			greet(t, c, 7)
			ask(t, c, put(wasm), true)
		}
		for id := range uint64(12) {
			if _, fail := attach(t, conns[0], id+1); fail != nil {
				t.Fatalf("channel %d of a lone tenant: %v", id, fail)
			}
		}
		if _, fail := attach(t, conns[0], 13); fail == nil || fail.Code != offload.CodeOverloaded || !strings.Contains(fail.Text, "keeps the others") {
			t.Errorf("the 13th of 16 channels: %v; want %v, and why", fail, offload.CodeOverloaded)
		}
		st, fail := attach(t, conns[1], 1)
		if fail != nil {
			t.Fatalf("another tenant's first channel: %v", fail)
		}
		if n := h.Tenants()[0].Channels; n != 12 {
			t.Errorf("the first tenant has %d channels, want 12", n)
		}
		st.Reset()
		sleep()
		if n := h.Tenants()[1].Channels; n != 0 {
			t.Errorf("the second tenant has %d channels, want none after it left", n)
		}
	})
}

// Control frames and streams count, also those that stop in the middle.
func TestStreamsCount(t *testing.T) {
	serve(t, host.Config{Memory: 5 << 20}, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		for range 40 { // 24 KiB each; room is for less than 16
			st, err := conns[0].Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			st.Write(wire.AppendControl(nil, wire.TypeHave, wire.Have{})[:3])
		}
		sleep()
		if m := h.Memory(); m.Busy+m.Late == 0 || m.Held > m.Most/2 {
			t.Errorf("%+v; want some refused, and half held at most", m)
		}
		for range 6 {
			sleep()
		}
		if m := h.Memory(); m.Held > link.FirstWindow+link.FirstWindow/4 {
			t.Errorf("%+v; want what stopped in the middle given up", m)
		}
	})
}

// Who has a connection is served, however much others make the host hold: what it cost to connect does not
// count against the little that is kept for it.
func TestTheConnectedAreServed(t *testing.T) {
	serve(t, host.Config{Memory: 24 << 20}, []string{"ann", "bob", "hog", "boar"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		sleep()
		quiet, greedy := conns[:2], conns[2:]
		for _, c := range quiet {
			ask(t, c, put(wasm), true)
		}
		for _, c := range greedy { // nothing of it is ever sent in full
			begin(t, c, wire.AppendControl(nil, wire.TypePut, wire.Put{Size: 4 << 20}))
			for range 90 {
				begin(t, c, []byte{byte(wire.TypeCall)})
			}
		}
		sleep()
		if m := h.Memory(); m.Busy == 0 {
			t.Fatalf("%+v; want the greedy ones refused, else the test shows nothing", m)
		}
		for i, c := range quiet {
			for range 3 {
				wantEcho(t, fmt.Sprint("a call of tenant ", i), ask(t, c, call(wasm), true))
			}
		}
	})
}

// begin sends the beginning of a request on a stream of its own.
func begin(t *testing.T, c *link.Conn, b []byte) {
	t.Helper()
	st, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write(b); err != nil {
		t.Fatal(err)
	}
}
