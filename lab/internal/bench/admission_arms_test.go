package bench

import (
	"testing"
	"time"

	"github.com/bungee-xr/bungee/offload/manager"
	"github.com/bungee-xr/bungee/offload/placement"
)

// town3 is a snapshot with the experiment's hosts, all ready, whose calls take so long.
func town3(probe time.Duration) *placement.Snapshot {
	s := &placement.Snapshot{ThetaNet: time.Second}
	for _, h := range shares {
		s.SetHost(placement.Host{
			Name: h.name, State: placement.Ready, Turns: 1, Memory: 1 << 30, Modules: []placement.Module{{Service: probe, Probe: probe}},
		})
	}
	return s
}

// come has a session ask, be decided, and be reserved.
func come(s *placement.Snapshot, decide placement.Decider, id string, rate float64) placement.Decision {
	x := placement.Session{ID: id, Need: placement.Need{Latency: admissionWithin, Rate: rate, InFlight: 2}}
	for _, h := range shares {
		x.Links = append(x.Links, placement.Link{Host: h.name, RTT: time.Millisecond})
	}
	s.SetSession(x)
	d := decide(time.Unix(0, 0), s, id)
	x.Primary = d.Primary
	s.SetSession(x)
	return d
}

// armOf is a Decider of an arm, as a manager has it.
func armOf(arm string, w *witness) (placement.Decider, manager.Config) {
	c := manager.Config{ThetaNet: time.Second}
	configure(&c, arm, 100*time.Millisecond, w)
	return c.Decide, c
}

func TestLeastAllocatedAdmitsAll(t *testing.T) {
	s, w := town3(time.Second), newWitness()
	decide, _ := armOf(armLeast, w)
	at := map[string]int{}
	for i := range askTimes {
		d := come(s, decide, admissionTenant+"/"+ueName(i)+"#7", 5)
		at[d.Primary]++
	}
	if at[""] != 0 || at["edge-a"] != 4 || at["edge-b"] != 3 || at["edge-c"] != 3 {
		t.Errorf("sessions are at %v; want all of them placed, by what is requested of 0.48, 0.36 and 0.36", at)
	}
	if d := decide(time.Unix(0, 0), s, admissionTenant+"/headset-0#7"); d.Verdict != placement.Stays {
		t.Errorf("a session that is looked at again: %v", d)
	}
	s.SetHost(placement.Host{Name: "edge-a", State: placement.Silent})
	if d := decide(time.Unix(0, 0), s, admissionTenant+"/headset-0#7"); d.Verdict != placement.Moves || d.Primary == "edge-a" {
		t.Errorf("its host is gone: %v", d)
	}
	if d := decide(time.Unix(0, 0), s, "nobody"); d.Verdict != placement.Local {
		t.Errorf("a session that is not there: %v", d)
	}
}

// The paper's arm has capacities of 2, 1 and 1, and the refusal is the static limit's, whatever theta_inf says.
func TestAlgorithm1Arm(t *testing.T) {
	s, w := town3(50*time.Millisecond), newWitness()
	decide, c := armOf(armPaper, w)
	placed := 0
	for i := range askTimes {
		if come(s, decide, admissionTenant+"/"+ueName(i)+"#7", 5).Primary != "" {
			placed++
		}
	}
	if placed != 4 || !c.ProbeAfresh {
		t.Errorf("%d are placed, probed afresh: %v; want 4, true", placed, c.ProbeAfresh)
	}
	u := ranUE{Name: ueName(9)}
	if w.testify(&u); len(u.Reasons) != 1 || u.Reasons[0] != "static limit" {
		t.Errorf("the last one is refused for %v", u.Reasons)
	}
	u = ranUE{Name: ueName(0)}
	if w.testify(&u); len(u.Reasons) != 0 || u.PredictedMs == 0 {
		t.Errorf("the first one, who is placed: %+v", u)
	}
	if _, c := armOf(armParallel, w); c.ProbeAfresh {
		t.Error("the first step of the ablation probes one by one")
	}
}

// Without the re-check a session that misses stays; with it, it moves. The witness counts the move.
func TestPlacedOnce(t *testing.T) {
	for _, arm := range []string{armOnce, armOurs} {
		s, w := town3(20*time.Millisecond), newWitness()
		decide, _ := armOf(arm, w)
		id := admissionTenant + "/headset-0#7"
		first := come(s, decide, id, 5)
		x, _ := s.Session(id)
		x.Felt = placement.Felt{Calls: 100, Missed: 50, P99: time.Second}
		s.SetSession(x)
		d := decide(time.Unix(100, 0), s, id)
		if moved := d.Verdict == placement.Moves; first.Primary == "" || moved != (arm == armOurs) {
			t.Errorf("%s: placed at %q, then %v", arm, first.Primary, d)
		}
		u := ranUE{Name: "headset-0"}
		if w.testify(&u); (u.Moves == 1) != (arm == armOurs) {
			t.Errorf("%s: %d moves are counted", arm, u.Moves)
		}
	}
}

// Each bound that a refusal can have has a name.
func TestBoundNames(t *testing.T) {
	for b := placement.HostState; b <= placement.Unprobed; b++ {
		if choosy := b == placement.Arriving || b == placement.TooLittleBetter; boundNames[b] == "" && !choosy {
			t.Errorf("bound %d has no name", b)
		}
	}
}
