package manager

import (
	"testing"
	"time"

	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/placement"
)

// A UE whose standby ends, and that is given no other, is told so.
func TestUEIsToldThatItsStandbyHasEnded(t *testing.T) {
	w := newWorld(t, 1, "edge-1", "edge-2")
	w.run(2 * time.Second)
	u := w.addUE("headset-1")
	w.run(2 * time.Second)
	standby := u.place.Standby.Host
	if standby == "" {
		t.Fatalf("the UE is told %+v; want a standby, or there is nothing to test", u.place)
	}
	if err := w.backend.Set(t.Context(), cluster.Member{Name: standby, Want: cluster.Cordon}); err != nil {
		t.Fatal(err)
	}
	w.run(20 * time.Second)
	if h, _ := w.l.registry.Host(standby); h.State != placement.Cordoned {
		t.Fatalf("%s is %v", standby, h.State)
	}
	if got := u.place.Standby.Host; got != "" || hostOf(u.known().standby) != "" {
		t.Errorf("the UE is told that its standby is %q, and the manager has %q; want none", got, hostOf(u.known().standby))
	}
}
