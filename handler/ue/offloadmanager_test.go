package ue_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/codegen"
)

var managerAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 4434}

// An offloadManager says what a test tells it to, and records what UEs say.
type offloadManager struct {
	w  *world
	ln *link.Listener
	wg sync.WaitGroup

	mu     sync.Mutex
	said   []wire.ManagerFrame
	at     []time.Time // when
	talks  []*control.Conversation
	number uint64
	answer func(c *control.Conversation, f wire.ManagerFrame) // nil: says nothing
}

// startManager starts a manager, which answers as it is told. Who starts one stops it.
func (w *world) startManager(answer func(m *offloadManager, c *control.Conversation, f wire.ManagerFrame)) *offloadManager {
	conf, err := w.ca.TLS(identity.Manager, "manager")
	if err != nil {
		w.t.Fatal(err)
	}
	m := &offloadManager{w: w}
	m.answer = func(c *control.Conversation, f wire.ManagerFrame) { answer(m, c, f) }
	if m.ln, err = link.Listen(w.air.Endpoint(managerAddr), conf); err != nil {
		w.t.Fatal(err)
	}
	m.wg.Go(func() {
		for {
			conn, err := m.ln.Accept(context.Background())
			if err != nil {
				return
			}
			m.wg.Go(func() { m.serve(conn) })
		}
	})
	return m
}

func (m *offloadManager) serve(conn *link.Conn) {
	st, err := conn.Accept(context.Background())
	if err != nil {
		return
	}
	c := control.Converse(st, control.FromUE)
	m.mu.Lock()
	m.talks = append(m.talks, c)
	m.mu.Unlock()
	for {
		f, err := c.Next()
		if err == io.EOF {
			st.Close()
			return
		}
		if err != nil {
			return
		}
		m.mu.Lock()
		m.said, m.at = append(m.said, f), append(m.at, time.Now())
		m.mu.Unlock()
		m.answer(c, f)
	}
}

func (m *offloadManager) stop() {
	m.ln.Close()
	m.wg.Wait()
	m.w.air.Leave(managerAddr)
}

// all returns what UEs have said of a kind.
func all[F wire.ManagerFrame](m *offloadManager) (frames []F) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.said {
		if f, ok := f.(F); ok {
			frames = append(frames, f)
		}
	}
	return frames
}

// last returns the last of them.
func last[F wire.ManagerFrame](m *offloadManager) (f F) {
	if frames := all[F](m); len(frames) > 0 {
		f = frames[len(frames)-1]
	}
	return f
}

// candidate returns a host as a manager names it.
func candidate(name string, at *net.UDPAddr) wire.Candidate {
	return wire.Candidate{Host: name, Addresses: []string{at.String()}}
}

// placed returns a host as a manager says that it may be used.
func placed(name string, at *net.UDPAddr) wire.Placed {
	return wire.Placed{Host: name, Addresses: []string{at.String()}, Lease: []byte("lease for " + name)}
}

// place sends a Place on the newest conversation.
func (m *offloadManager) place(session uint64, f wire.Place) {
	m.mu.Lock()
	m.number++
	f.Session, f.Number = session, m.number
	c := m.talks[len(m.talks)-1]
	m.mu.Unlock()
	if err := c.Send(f); err != nil {
		m.w.t.Errorf("place: %v", err)
	}
}

// usual answers as a manager does that has the hosts edge-1 and edge-2: the first one measured is the primary.
func usual(theta time.Duration) func(m *offloadManager, c *control.Conversation, f wire.ManagerFrame) {
	return func(m *offloadManager, c *control.Conversation, f wire.ManagerFrame) {
		switch f := f.(type) {
		case wire.Ask:
			c.Send(wire.Candidates{Session: f.Session, Round: 7, Theta: theta, Hosts: []wire.Candidate{candidate("edge-1", hostAddr), candidate("edge-2", hostAddrB)}})
		case wire.Feel:
			if len(all[wire.Feel](m)) > len(all[wire.Ask](m)) {
				return // no answer to Candidates
			}
			at := map[string]*net.UDPAddr{"edge-1": hostAddr, "edge-2": hostAddrB}
			var p wire.Place
			for i, l := range f.Links {
				switch i {
				case 0:
					p.Primary = placed(l.Host, at[l.Host])
				case 1:
					p.Standby = placed(l.Host, at[l.Host])
				}
			}
			m.place(f.Session, p)
		}
	}
}

// startManaged starts a handler that asks the manager.
func (w *world) startManaged(need ue.Need) *ue.Handler {
	return w.startUEWith(ue.Config{Managers: ue.Addresses{managerAddr.String()}, Need: need})
}

// inManagedWorld runs f with two hosts and a manager that answers as is usual.
func inManagedWorld(t *testing.T, f func(t *testing.T, w *world, m *offloadManager, a, b *edgeHost)) {
	inWorld(t, func(t *testing.T, w *world) {
		w.engine.set(doubler("echo", true, func(_ context.Context, n int64) (int64, error) { return n, nil }).Serve, nil)
		a, b := w.start("edge-1", hostAddr, nil), w.start("edge-2", hostAddrB, nil)
		defer b.stop()
		defer a.stop()
		m := w.startManager(usual(20 * time.Millisecond))
		defer m.stop()
		f(t, w, m, a, b)
	})
}

// same is a function that a host answers with what it was given, and the UE with something else.
func same(name string) *codegen.Func[int64, int64] {
	return doubler(name, true, func(context.Context, int64) (int64, error) { return -1, nil })
}

// calls calls f once, and fails unless it ran where it should.
func calls(t *testing.T, f *codegen.Func[int64, int64], edge bool) {
	t.Helper()
	got, err := f.Call(context.Background(), 5)
	want := int64(-1)
	if edge {
		want = 5
	}
	if got != want || err != nil {
		t.Errorf("%d, %v; want %d", got, err, want)
	}
}

// startPlaced starts a UE whose manager has placed the function that comes with it on a host, which is ready.
func (w *world) startPlaced() (*ue.Handler, *codegen.Func[int64, int64]) {
	w.t.Helper()
	h, f := w.startManaged(ue.Need{}), same("echo")
	w.ready(h, &f.Desc)
	return h, f
}
