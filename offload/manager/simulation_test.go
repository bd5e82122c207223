package manager

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/offload/cluster"
)

// A fault is what goes wrong in a simulation, or right again.
type fault struct {
	name string
	do   func(w *world)
}

var faults = []fault{
	{"a host crashes", func(w *world) {
		if h := w.anyHost(); h.up {
			h.crash()
		}
	}},
	{"a host comes back", func(w *world) {
		h := w.anyHost()
		h.up, h.mute, h.deaf, h.service = true, false, false, 5*time.Millisecond
	}},
	{"hosts come back", func(w *world) { w.mend() }},
	{"a host's way to the manager is cut", func(w *world) {
		h := w.anyHost()
		h.disconnect()
		h.reconnect = w.now.Add(time.Duration(w.rand.IntN(10)) * time.Second)
	}},
	{"a host says nothing", func(w *world) { w.anyHost().mute = true }},
	{"a host does nothing", func(w *world) { w.anyHost().deaf = true }},
	{"a host becomes slow", func(w *world) { w.anyHost().service = 30 * time.Millisecond }},
	{"a host registers twice", func(w *world) {
		if h := w.anyHost(); h.up && !w.down {
			h.connect()
		}
	}},
	{"the manager ends", func(w *world) { w.stop() }},
	{"the manager begins", func(w *world) {
		if w.down {
			w.restart()
		}
	}},
	{"a UE vanishes", func(w *world) { w.anyUE().vanish() }},
	{"a UE comes back", func(w *world) { u := w.anyUE(); u.up, u.wants, u.askAt = true, true, w.now }},
	{"a UE's way to the manager is cut", func(w *world) { u := w.anyUE(); u.disconnect(); u.hung = w.now.Add(5 * time.Second) }},
	{"a UE says Bye", func(w *world) {
		if u := w.anyUE(); u.up {
			u.bye()
		}
	}},
	{"a UE needs more", func(w *world) {
		u := w.anyUE()
		u.need.Rate, u.need.Memory, u.askAt = float64(10+w.rand.IntN(50)), int64(1+w.rand.IntN(64))<<20, w.now
	}},
	{"a UE loses the way to a host", func(w *world) { u, h := w.anyUE(), w.anyHost(); u.far[h.id.Name] = true; delete(u.attach, h.id.Name) }},
	{"a UE has it again", func(w *world) { clear(w.anyUE().far) }},
	{"a host is cordoned or drained", func(w *world) {
		w.backend.Set(context.Background(), cluster.Member{Name: w.anyHost().id.Name, Want: cluster.Want(w.rand.IntN(3)), By: w.now.Add(10 * time.Second)})
	}},
}

func (w *world) anyHost() *modelHost { return w.hosts[w.rand.IntN(len(w.hosts))] }
func (w *world) anyUE() *modelUE     { return w.ues[w.rand.IntN(len(w.ues))] }

// stop ends the manager's process.
func (w *world) stop() {
	w.down = true
	for _, h := range w.hosts {
		h.peer = nil
	}
	for _, u := range w.ues {
		u.peer = nil
	}
}

// mend makes all hosts and ways good again.
func (w *world) mend() {
	for _, h := range w.hosts {
		h.up, h.mute, h.deaf, h.service = true, false, false, 5*time.Millisecond
		w.backend.Set(context.Background(), cluster.Member{Name: h.id.Name})
	}
}

// Hosts, UEs, ways between them and the manager fail at random. At any time no session has more leases in use than one host and its
// standby, but for the time of a hand-over; no host is promised more memory than it has; and when nothing fails any longer each session
// is placed, local or over, and hosts have no lease that the manager does not know.
func TestSimulation(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed) })
	}
}

func simulate(t *testing.T, seed uint64) {
	w := newWorld(t, seed, names("edge", 5)...)
	for _, h := range w.hosts {
		h.register.Memory = 256 << 20 // so that not all find room
		h.connect()
	}
	for _, n := range names("ue", 50) {
		w.addUE(n)
	}
	many := map[sessionKey]time.Time{}
	var last string
	var promised promises
	var adopted uint64
	w.check = func(w *world) {
		if !w.down {
			promised, adopted = w.checkMemory(promised, adopted, last), w.l.count.Adopted
		}
		w.checkHandovers(many, last)
	}
	w.run(10 * time.Second)
	for range 60 {
		f := faults[w.rand.IntN(len(faults))]
		last = f.name
		f.do(w)
		w.run(time.Duration(w.rand.IntN(4000)) * time.Millisecond)
		if t.Failed() {
			t.Fatalf("seed %d, at %v, after %q", seed, w.now.Sub(epoch), last)
		}
	}
	if w.down {
		w.restart()
	}
	w.mend()
	for _, u := range w.ues {
		clear(u.far)
	}
	w.run(3 * time.Minute)
	w.checkEnd()
}

// A promise is what a host holds for a session.
type promise struct {
	bytes int64
	left  bool // the session is about to leave, and its UE may still be there
}

// promises are those of hosts, by host and session.
type promises map[string]map[sessionKey]promise

func (w *world) promises() promises {
	all := promises{}
	for _, s := range w.l.sessions {
		for i, le := range append([]*lease{s.primary, s.standby}, s.leaving...) {
			if le == nil {
				continue
			}
			if all[le.Host] == nil {
				all[le.Host] = map[sessionKey]promise{}
			}
			all[le.Host][s.key] = promise{s.ask.Need.Memory * int64(need(s.ask.Need)), i > 1}
		}
	}
	return all
}

// checkMemory looks at what hosts are promised: no decision puts a session on a host that has no room for it. A host may
// have too little room since a session there needs more, since one has stayed whose next host was lost, or since a manager has taken
// leases over, until these are looked at again.
func (w *world) checkMemory(before promises, adopted uint64, last string) promises {
	now := w.promises()
	for name, sessions := range now {
		var sum, fresh int64
		grown := false
		for k, p := range sessions {
			if p.left {
				continue
			}
			sum += p.bytes
			if was, ok := before[name][k]; !ok {
				fresh += p.bytes
			} else if p.bytes > was.bytes {
				grown = true
			}
		}
		if sum > w.host(name).register.Memory && fresh > 0 && !grown && w.l.count.Adopted == adopted {
			w.t.Errorf("%s is promised %d MiB, %d of them by these decisions, and has %d, after %q", name, sum>>20, fresh>>20, w.host(name).register.Memory>>20, last)
		}
	}
	return now
}

// handover is how long a session may have leases at a third host: until its UE is at the new one, 15 s at most, and what an order and the
// grace take. While the manager is down, or a host does not listen, it can tell nobody.
const handover = 15*time.Second + orderTime + grace + 2*time.Second

func (w *world) checkHandovers(many map[sessionKey]time.Time, last string) {
	n := map[sessionKey]int{}
	for _, h := range w.hosts {
		if !h.up || h.peer == nil || h.deaf || h.mute || w.down {
			continue
		}
		for _, le := range h.table {
			if le.used {
				n[sessionKey{le.UE, le.Session}]++
			}
		}
	}
	for k := range many {
		if n[k] <= 2 {
			delete(many, k)
		}
	}
	for k, n := range n {
		if n <= 2 {
			continue
		}
		if many[k].IsZero() {
			many[k] = w.now
		}
		if w.now.Sub(many[k]) > handover {
			w.t.Errorf("%s has used leases at %d hosts for %v, after %q", k, n, w.now.Sub(many[k]), last)
		}
	}
}

// checkEnd looks at what is left when all is well again.
func (w *world) checkEnd() {
	for _, u := range w.ues {
		s := u.known()
		switch {
		case u.up && u.wants && s == nil:
			w.t.Errorf("%s wants a session and has none", u.id.Name)
		case s == nil:
		case !u.up || !u.wants:
			w.t.Errorf("%s is away, and its session is %s", u.id.Name, s.state)
		case s.state == asked && w.now.Sub(s.asking) < time.Second: // no host had room, and it has just asked again
		case s.state != running && s.state != local:
			w.t.Errorf("%s is %s", u.id.Name, s.state)
		case s.state == running && u.attach[hostOf(s.primary)] != s.primary.ID:
			w.t.Errorf("%s is at %v and should be at %s", u.id.Name, u.attach, hostOf(s.primary))
		case s.state == local && len(u.attach) > 0:
			w.t.Errorf("%s is at %v and should be local", u.id.Name, u.attach)
		}
	}
	for _, h := range w.hosts {
		for id, le := range h.table {
			if w.l.leases[id] == nil {
				w.t.Errorf("%s has a lease of %s that the manager does not know", h.id.Name, le.UE.Name)
			}
		}
		if n := len(w.l.hosts[h.id.Name].orders); n > 0 {
			w.t.Errorf("%s: %d orders wait", h.id.Name, n)
		}
	}
	for id, le := range w.l.leases {
		if le.state == over || w.l.sessions[le.s.key] != le.s {
			w.t.Errorf("lease %x of %s is kept", id, le.s.id)
		}
	}
}
