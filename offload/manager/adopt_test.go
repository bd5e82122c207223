package manager

import (
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// A lease that is shown after its session was decided without it ends: the session is elsewhere by then, and nobody has asked
// whether the host can hold it.
func TestLateLeasesAreNotAdopted(t *testing.T) {
	for name, decide := range map[string]func(w *world, u *modelUE, late *modelHost){
		"the manager has settled": func(w *world, u *modelUE, late *modelHost) {
			w.run(returning + 3*time.Second)
			if s := u.known(); !w.l.settled || s == nil || s.primary == nil || s.standby != nil {
				t.Fatalf("without %s the session is %+v", late.id.Name, s)
			}
		},
		"its other host has lost it": func(w *world, u *modelUE, late *modelHost) {
			u.hung = w.now.Add(time.Hour)
			w.run(2 * time.Second)
			for _, h := range w.hosts {
				if h != late {
					clear(h.table)
				}
			}
			w.run(3 * time.Second)
			if s := u.known(); w.l.settled || s == nil || s.state != local {
				t.Fatalf("without a host the session is %+v", s)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, names("edge", 2)...)
			u := w.addUE("headset")
			w.run(20 * time.Second)
			late := w.host(hostOf(u.known().primary))
			w.down = true
			for _, h := range w.hosts {
				h.peer = nil
			}
			late.up = false // cut off, with its table
			w.restart()
			decide(w, u, late)

			adopted, had := w.l.count.Adopted, late.sorted()
			if adopted != 1 || len(had) != 1 {
				t.Fatalf("%d leases were adopted, and the late host has %d; want one and one", adopted, len(had))
			}
			late.up = true
			late.connect()
			stopped := false
			for _, f := range late.peer.take() {
				o, ok := f.(wire.Order)
				stopped = stopped || ok && o.Kind == wire.OrderStop && o.ID == had[0].ID
			}
			if w.l.count.Adopted != adopted || w.l.leases[had[0].ID] != nil || !stopped {
				t.Errorf("%d leases are adopted, stopped %v; want the late one to end", w.l.count.Adopted, stopped)
			}
		})
	}
}
