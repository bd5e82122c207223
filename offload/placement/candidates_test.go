package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestCandidates(t *testing.T) {
	ms := time.Millisecond
	hosts := []Host{
		edge("far"), edge("near", func(h *Host) { h.Modules[0].Service = 15 * ms }), edge("new", func(h *Host) { h.Modules[0].Service = 3 * ms }), edge("newer"),
		edge("full", func(h *Host) { h.Memory = 1 }), edge("gone", func(h *Host) { h.State = Silent }), edge("mine"), edge("beyond"),
	}
	near := map[string]time.Duration{"far": 9 * ms, "near": ms, "mine": 12 * ms, "beyond": 21 * ms, "gone": ms, "nowhere": ms}
	s := world(hosts, headset("ue", nil), headset("other", nil, on("mine"), func(x *Session) { x.Standby = "gone" }))
	for id, want := range map[string][]string{
		"ue":     {"near", "far", "mine", "new", "newer"},
		"other":  {"mine", "near", "far", "new", "newer"},
		"nobody": nil,
	} {
		if got := Candidates(now, s, id, near); !slices.Equal(got, want) {
			t.Errorf("for %s: %v, want %v", id, got, want)
		}
	}
	for i := range 100 {
		s.SetHost(edge(fmt.Sprint("edge-", i)))
	}
	if got := Candidates(now, s, "ue", nil); len(got) != MaxCandidates {
		t.Errorf("of 105 hosts %d are candidates, want %d", len(got), MaxCandidates)
	}
}

// plainCandidates does what Candidates promises, by a look at each host.
func plainCandidates(now time.Time, s *Snapshot, session string, near map[string]time.Duration) (names []string) {
	x := s.sessions[session]
	var all []candidate
	for name, h := range s.hosts {
		c := candidate{own: name == x.Primary || name == x.Standby}
		c.rtt, c.known = near[name]
		o, r := h.try(x, &Link{Host: name, RTT: c.rtt}).judge(now, s.ThetaNet)
		if c.option = o; r.Bound == NoBound || c.own && h.State == Ready {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return compareCandidates(&a, &b) })
	for _, c := range all[:min(len(all), MaxCandidates)] {
		names = append(names, c.h.Name)
	}
	return names
}

// Whatever hosts and sessions came, changed and went, the candidates are those that a look at each host finds.
func TestCandidatesAreThoseOfALookAtAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	labels := []string{"gpu=a5000", "site=north", "site=south", "zone=1"}
	some := func(n int) (all []string) {
		for range rng.IntN(n) {
			all = append(all, labels[rng.IntN(len(labels))]) // one may be there twice
		}
		return all
	}
	full, few := 0, 0
	for range rounds / 20 {
		s := &Snapshot{ThetaNet: 20 * time.Millisecond}
		var hosts []Host
		near := map[string]time.Duration{}
		for i := range 60 {
			h := randomHost(rng, fmt.Sprint("edge-", i))
			h.Labels = some(5)
			hosts = append(hosts, h)
			s.SetHost(h)
			if rng.IntN(3) == 0 {
				near[h.Name] = time.Duration(rng.IntN(23)) * time.Millisecond
			}
		}
		for i := range 60 {
			x := randomSession(rng, fmt.Sprint("ue-", i), hosts[:10])
			x.Need.Labels = some(3)
			x.Primary, x.Standby = hosts[rng.IntN(60)].Name, hosts[rng.IntN(60)].Name
			x.Shown = now.Add(-time.Duration(rng.IntN(30)) * time.Second)
			s.SetSession(x)
			switch name := fmt.Sprint("edge-", rng.IntN(60)); rng.IntN(4) {
			case 0:
				s.RemoveHost(name)
			case 1:
				h := randomHost(rng, name)
				h.Labels = some(5)
				s.SetHost(h)
			case 2:
				s.RemoveSession(fmt.Sprint("ue-", rng.IntN(60)))
			}
			for id := range s.sessions {
				got, want := Candidates(now, s, id, near), plainCandidates(now, s, id, near)
				if !slices.Equal(got, want) {
					t.Fatalf("for %+v:\ngot  %v\nwant %v", s.sessions[id], got, want)
				}
				if len(got) == MaxCandidates {
					full++
				} else {
					few++
				}
				if rng.IntN(4) == 0 {
					break
				}
			}
		}
	}
	if full < 100 || few < 100 {
		t.Errorf("%d sessions had all candidates, %d fewer: the worlds are too alike", full, few)
	}
}
