package ue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A refusal's retry-after is kept, also over a new conversation.
func TestManagerRefuses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		refuses := func(m *offloadManager, c *control.Conversation, f wire.ManagerFrame) {
			if f, ok := f.(wire.Ask); ok {
				m.place(f.Session, wire.Place{Why: "full", RetryAfter: 20 * time.Second})
			}
		}
		m := w.startManager(refuses)
		h := w.startManaged(ue.Need{})
		defer h.Close()
		f := same("echo")
		calls(t, f, false)
		time.Sleep(10 * time.Second)
		if n := len(all[wire.Ask](m)); n != 1 {
			t.Errorf("asked %d times in 10 s, want once", n)
		}
		m.stop()
		m = w.startManager(refuses)
		defer m.stop()
		time.Sleep(8 * time.Second)
		if n := len(all[wire.Ask](m)); n != 0 {
			t.Errorf("asked the next manager %d times before the time", n)
		}
		time.Sleep(5 * time.Second)
		if n := len(all[wire.Ask](m)); n != 1 {
			t.Errorf("asked %d times after the time, want once", n)
		}
		if err := h.SetNeed(ue.Need{Latency: time.Second}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if ask := last[wire.Ask](m); ask.Need.Latency != time.Second {
			t.Errorf("after SetNeed: %+v; want a latency of 1 s at once", ask.Need)
		}
	})
}

// A UE whose manager lets it in and ends the conversation at once, as one does whose UE is revoked, comes again ever
// more seldom.
func TestManagerTurnsAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := w.startManager(func(_ *offloadManager, c *control.Conversation, _ wire.ManagerFrame) {
			c.Refuse(&wire.Fail{Code: offload.CodeDenied, Text: "revoked"})
		})
		defer m.stop()
		h := w.startManaged(ue.Need{})
		defer h.Close()
		calls(t, same("same"), false)
		time.Sleep(time.Minute)
		if asks := len(all[wire.Ask](m)); asks < 15 || asks > 45 {
			t.Errorf("the UE has asked %d times in a minute; want once in some 2 s", asks)
		}
	})
}

// A UE whose handshakes are refused, as some are of a thousand behind one address, comes again ever more seldom, and is let in once
// there is room.
func TestManagerRefusesHandshakes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		conf, err := w.ca.TLS(identity.Manager, "manager")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		came := map[string]bool{} // a handshake begins with two packets, from one address
		full := &quic.Transport{Conn: w.air.Endpoint(managerAddr), ConnContext: func(_ context.Context, from *quic.ClientInfo) (context.Context, error) {
			mu.Lock()
			defer mu.Unlock()
			came[from.RemoteAddr.String()] = true
			return nil, errors.New("no room for a handshake")
		}}
		times := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(came)
		}
		if _, err := full.Listen(conf, nil); err != nil {
			t.Fatal(err)
		}
		h := w.startManaged(ue.Need{})
		defer h.Close()
		calls(t, same("same"), false)
		time.Sleep(time.Second)
		first := times()
		if first < 2 || first > 6 {
			t.Errorf("the UE has come %d times in the first second; want again after some 100 ms, and after twice that", first)
		}
		time.Sleep(time.Minute)
		if n := times() - first; n < 15 || n > 45 {
			t.Errorf("the UE has come %d times in a minute; want once in some 2 s", n)
		}
		full.Close()
		full.Conn.Close()
		w.air.Leave(managerAddr)
		m := w.startManager(func(*offloadManager, *control.Conversation, wire.ManagerFrame) {})
		defer m.stop()
		time.Sleep(5 * time.Second)
		if n := len(all[wire.Ask](m)); n != 1 {
			t.Errorf("once there is room the UE asks %d times", n)
		}
	})
}
