package ue_test

import (
	"context"
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

// doubling is a function that the edge host serves, too.
func (w *world) doubling() *doubling {
	f := doubler("double", true, double)
	w.engine.set(f.Serve, nil)
	return f
}

// dials returns how many connections of TCP the UE has begun.
func (w *world) dials() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.streams)
}

// transport returns what carries the session with the host, "" if there is none.
func transport(h *ue.Handler) string {
	for _, l := range h.Stats().Links {
		return l.Transport
	}
	return ""
}

// over awaits that the UE is connected to the host over a transport, "" for none.
func (w *world) over(h *ue.Handler, want string) {
	w.t.Helper()
	begin := time.Now()
	for transport(h) != want {
		if time.Since(begin) > time.Hour {
			w.t.Fatalf("over %q, want %q", transport(h), want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// answered calls f until the edge host answers, and returns when that was.
func (w *world) answered(h *ue.Handler, f *doubling) time.Duration {
	w.t.Helper()
	begin, edge := time.Now(), h.Stats().Edge
	for h.Stats().Edge == edge {
		if got, err := f.Call(context.Background(), 21); got != 42 || err != nil {
			w.t.Fatalf("call: %d, %v", got, err)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin)
}

func TestTransports(t *testing.T) {
	tests := []struct {
		name  string
		cfg   ue.Config
		block bool
		deaf  bool // the UE can have no UDP sockets
		over  string
		most  time.Duration // from Start to the first answer of the host
		dials int           // of TCP, at most; a lifeline is one
	}{
		{"UDP works", ue.Config{}, false, false, "quic", 50 * time.Millisecond, 1},
		{"UDP is dropped", ue.Config{}, true, false, "tcp", 300 * time.Millisecond, 1},
		{"UDP is refused", ue.Config{}, true, true, "tcp", 100 * time.Millisecond, 1},
		{"TCP is preferred", ue.Config{Transport: ue.TCP}, false, false, "tcp", 100 * time.Millisecond, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				f := w.doubling()
				w.startHost(nil)
				w.air.Block(tt.block)
				tt.cfg.Edge = hostAddr.String()
				w.deaf = tt.deaf
				h := w.startUEWith(tt.cfg)
				took := w.answered(h, f)
				if got := transport(h); got != tt.over || took > tt.most || w.dials() > tt.dials {
					t.Errorf("over %q after %v with %d dials of TCP; want %q within %v and at most %d", got, took, w.dials(), tt.over, tt.most, tt.dials)
				}
				t.Logf("%v", took)
			})
		})
	}
}

// A middlebox begins to drop UDP under a session that is in use: calls are on the edge again
// within 5 s.
func TestUDPIsDroppedUnderASession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.doubling()
		w.startHost(nil)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Policy: policy.Always(policy.OnEdge)})
		w.ready(h, &f.Desc)
		w.over(h, "quic")
		w.air.Block(true)
		begin := time.Now()
		for transport(h) != "tcp" {
			if got, err := f.Call(context.Background(), 21); got != 42 || err != nil {
				t.Fatalf("call: %d, %v", got, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		w.answered(h, f)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("on the edge again after %v, want 5s", took)
		} else {
			t.Logf("on the edge again after %v", took)
		}
	})
}

// A host may be reached over TCP at another port, for networks that let only that one pass.
func TestTCPPort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.doubling()
		w.startHost(nil)
		other := &net.TCPAddr{IP: hostAddr.IP, Port: 443}
		w.host.ServeTCP(w.air.Listen(other))
		w.air.Block(true)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), TCPPort: 443})
		w.answered(h, f)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.reached != other.String() {
			t.Errorf("over TCP at %s, want %s", w.reached, other)
		}
	})
}

// Where neither works, the error names both.
func TestNoTransport(t *testing.T) {
	tests := []struct {
		transport ue.Transport
		names     string
	}{
		{ue.Auto, "refused"},
		{ue.QUIC, "no answer"},
	}
	for _, tt := range tests {
		inWorld(t, func(t *testing.T, w *world) {
			f := w.doubling()
			h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Transport: tt.transport})
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			defer cancel()
			err := h.Prepare(ctx, &f.Desc)
			if offload.CodeOf(err) != offload.CodeUnavailable || !strings.Contains(err.Error(), "no answer") || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("transport %d: %v; want it to name %q", tt.transport, err, tt.names)
			}
			if dials := w.dials(); (dials == 0) != (tt.transport == ue.QUIC) {
				t.Errorf("transport %d: %d dials of TCP", tt.transport, dials)
			}
			t.Log(err)
		})
	}
}

// A network that blocks UDP is remembered: the next session does not wait for it.
func TestBlockedNetworkIsRemembered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.doubling()
		w.startHost(nil)
		w.air.Block(true)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String()})
		first := w.answered(h, f)
		for _, tt := range []struct {
			after time.Duration
			waits bool
			why   string
		}{
			{time.Minute, false, "a minute later"},
			{9 * time.Minute, false, "each session over TCP counts"},
			{11 * time.Minute, true, "after 10 minutes"},
		} {
			w.stopHost()
			w.over(h, "")
			time.Sleep(tt.after)
			sockets := w.made()
			for w.made() == sockets { // an attempt begins; the host is back a moment later
				time.Sleep(time.Millisecond)
			}
			time.Sleep(3 * time.Second) // it ends
			w.startHost(nil)
			begin := time.Now()
			w.over(h, "tcp")
			t.Logf("%s: %v (first %v)", tt.why, time.Since(begin), first)
			last := w.streamed(w.dials() - 1)
			if waited := last.Sub(w.dialled(w.made() - 1)); (waited >= 200*time.Millisecond) != tt.waits {
				t.Errorf("%s: TCP was dialled %v after UDP, want a wait %v", tt.why, waited, tt.waits)
			}
		}
	})
}

// Another handler of the same process does not wait for UDP either.
func TestNextHandlerRemembersTheNetwork(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.doubling()
		w.startHost(nil)
		w.air.Block(true)
		var took [2]time.Duration
		for i := range took {
			h := w.startUEWith(ue.Config{Edge: hostAddr.String()})
			took[i] = w.answered(h, f)
			h.Close()
		}
		if took[0] < 200*time.Millisecond || took[1] > 100*time.Millisecond {
			t.Errorf("the first answer came after %v, and of the next handler after %v; want one wait for UDP", took[0], took[1])
		}
	})
}

// A session over TCP goes back to QUIC when that works. No call notices; a channel stays where
// it is until it moves.
func TestBackToQUIC(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.doubling()
		w.startHost(nil)
		w.air.Block(true)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Policy: policy.Always(policy.OnEdge)})
		w.ready(h, &f.Desc)
		w.over(h, "tcp")
		time.Sleep(2 * time.Minute) // tries to go back fail
		w.air.Block(false)
		begin := time.Now()
		for transport(h) != "quic" {
			if got, err := f.Call(context.Background(), 21); got != 42 || err != nil {
				t.Fatalf("call: %d, %v", got, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("back after %v", time.Since(begin))
		if s := h.Stats(); s.Fallbacks != 0 || time.Since(begin) > 5*time.Minute {
			t.Errorf("back after %v with %d fallbacks: %v", time.Since(begin), s.Fallbacks, s.Reasons)
		}
	})
}

func TestChannelStaysOnItsSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(nil)
		w.air.Block(true)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String()})
		c := flows(t, w.openTally(elastic.Config{CheckpointMessages: 8}))
		c.move(t, h.Target(""), "edge-1")
		w.over(h, "tcp")
		w.air.Block(false)
		w.over(h, "quic")
		time.Sleep(time.Minute)
		if where := c.ch.Where(); where != "edge-1" {
			t.Errorf("the channel is on %q, want edge-1", where)
		}
		c.move(t, nil, "")
		c.move(t, h.Target(""), "edge-1")
		c.stop()
		if s := c.ch.Stats(); s.Fallbacks != 0 {
			t.Errorf("stats %+v, want no fallback", s)
		}
		h.Close()
	})
}

// A session over TCP cannot follow to another network: another one takes its place.
func TestSwitchPathOverTCP(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.doubling()
		w.startHost(nil)
		w.air.Block(true)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Policy: policy.Always(policy.OnEdge)})
		w.ready(h, &f.Desc)
		w.over(h, "tcp")
		w.air.Block(false)
		if err := h.SwitchPath(context.Background(), w.listenAt(cellular)); err == nil || !strings.Contains(err.Error(), "TCP") {
			t.Errorf("SwitchPath: %v, want an error that names TCP", err)
		}
		begin := time.Now()
		w.over(h, "quic")
		if took := time.Since(begin); took > time.Second {
			t.Errorf("a session on the other network after %v", took)
		}
		if got, err := f.Call(context.Background(), 21); got != 42 || err != nil || h.Stats().Fallbacks != 0 {
			t.Errorf("call: %d, %v, %v", got, err, h.Stats())
		}
	})
}

var errNoUDP = errors.New("no UDP sockets here")

// streamed returns when the UE began to dial its connection number n of TCP, from 0.
func (w *world) streamed(n int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.streams[n]
}
