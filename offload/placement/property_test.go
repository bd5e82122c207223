package placement

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/internal/qos"
)

// rounds is how many random worlds a property is looked at in.
const rounds = 500

// randomHost returns a host that may be anything.
func randomHost(rng *rand.Rand, name string) Host {
	return edge(name, func(h *Host) {
		h.State = []State{Ready, Ready, Ready, Ready, Ready, Cordoned, Draining, Silent}[rng.IntN(8)]
		h.Turns = 1 + 8*rng.Float64()
		h.Learned = h.Turns * (0.5 + 2*rng.Float64())
		h.Load = h.Turns * rng.Float64() * rng.Float64()
		h.Stretch = 1 + rng.Float64()
		h.Price = float64(rng.IntN(3))
		h.Memory = int64(rng.IntN(2000)) << 20
		h.Limit = rng.IntN(10)
		h.Modules[0].Service = time.Duration(rng.IntN(20)) * time.Millisecond
		h.Modules[0].Probe = time.Duration(rng.IntN(40)) * time.Millisecond
		h.Modules[0].Tail = 1 + 3*rng.Float64()
		h.Modules[0].Present, h.Modules[0].Compiled = rng.IntN(2) == 0, rng.IntN(2) == 0
		if rng.IntN(2) == 0 {
			h.Labels = []string{"gpu=a5000"}
		}
	})
}

// randomSession returns a session that has measured all hosts.
func randomSession(rng *rand.Rand, id string, hosts []Host) Session {
	return headset(id, nil, func(x *Session) {
		x.Need.Rate = float64(rng.IntN(60))
		x.Need.InFlight = rng.IntN(5)
		x.Need.Latency = time.Duration(rng.IntN(150)) * time.Millisecond
		x.Need.Memory = int64(rng.IntN(100)) << 20
		if rng.IntN(4) == 0 {
			x.Need.Labels = []string{"gpu=a5000"}
		}
		for _, h := range hosts {
			x.Links = append(x.Links, Link{Host: h.Name, RTT: time.Duration(rng.IntN(22)) * time.Millisecond, Factor: 2 * rng.Float64()})
		}
	})
}

// randomWorld returns hosts and sessions, most of them placed somewhere.
func randomWorld(rng *rand.Rand) (hosts []Host, sessions []Session) {
	for i := range 2 + rng.IntN(8) {
		hosts = append(hosts, randomHost(rng, fmt.Sprint("edge-", i)))
	}
	for i := range rng.IntN(30) {
		x := randomSession(rng, fmt.Sprint("ue-", i), hosts)
		if rng.IntN(3) > 0 {
			x.Primary = hosts[rng.IntN(len(hosts))].Name
			x.Standby = hosts[rng.IntN(len(hosts))].Name
			x.Shown = now.Add(-time.Duration(rng.IntN(30)) * time.Second)
			x.Moved = now.Add(-time.Duration(rng.IntN(30)) * time.Second)
			x.Felt = Felt{Calls: 1000, Missed: uint64(rng.IntN(10))}
		}
		sessions = append(sessions, x)
	}
	return hosts, sessions
}

// In which order hosts, sessions and links came changes no decision.
func TestOrderDoesNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range rounds {
		hosts, sessions := randomWorld(rng)
		s := world(hosts, sessions...)
		var mixed Snapshot
		mixed.ThetaNet = s.ThetaNet
		gone := randomHost(rng, "gone")
		mixed.SetHost(gone)
		for _, i := range rng.Perm(len(sessions)) {
			x := sessions[i]
			x.Links = slices.Clone(x.Links)
			rng.Shuffle(len(x.Links), func(i, j int) { x.Links[i], x.Links[j] = x.Links[j], x.Links[i] })
			before := x
			before.Primary, before.Standby = "gone", x.Primary
			mixed.SetSession(before)
			mixed.SetSession(x)
		}
		for _, i := range rng.Perm(len(hosts)) {
			mixed.SetHost(randomHost(rng, hosts[i].Name))
			mixed.SetHost(hosts[i])
		}
		mixed.RemoveHost("gone")
		for _, x := range sessions {
			if diff := cmp.Diff(Decide(now, s, x.ID), Decide(now, &mixed, x.ID)); diff != "" {
				t.Fatalf("the order changes a decision:\n%s", diff)
			}
			if diff := cmp.Diff(Candidates(now, s, x.ID, nil), Candidates(now, &mixed, x.ID, nil)); diff != "" {
				t.Fatalf("the order changes the candidates:\n%s", diff)
			}
		}
	}
}

// A decision keeps its own rules.
func TestDecisionsKeepTheRules(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	moves := 0
	for range 10 * rounds {
		hosts, sessions := randomWorld(rng)
		s := world(hosts, sessions...)
		for _, x := range sessions {
			d := Decide(now, s, x.ID)
			forced := d.Cause == CannotStay
			switch {
			case d.Standby != "" && d.Standby == d.Primary:
				t.Fatalf("%v: the standby is the primary", d)
			case d.Verdict == Local && (d.Primary != "" || d.Standby != ""), d.Verdict != Local && d.Primary == "":
				t.Fatalf("%v: %+v", d, d)
			case (d.Verdict == Stays) != (d.Primary == x.Primary && x.Primary != ""):
				t.Fatalf("%v: it is on %q", d, x.Primary)
			case d.Verdict == Moves && !forced && now.Sub(x.Moved) < Dwell:
				t.Fatalf("%v: it moved %v before", d, now.Sub(x.Moved))
			}
			if d.Verdict == Moves && !forced {
				moves++
				here := s.hosts[x.Primary]
				at := here.try(&x, x.link(x.Primary))
				p := at.predict(at.crowd(now))
				if d.Predicted.Latency > seconds(Gain*p.Latency.Seconds()) {
					t.Fatalf("%v: it takes %v where it is", d, p.Latency)
				}
			}
			if d.Verdict == Placed || d.Verdict == Moves {
				if x.Need.Latency > 0 && d.Predicted.Latency > x.Need.Latency {
					t.Fatalf("%v: it may take %v", d, x.Need.Latency)
				}
			}
		}
	}
	if moves < 20 {
		t.Errorf("only %d moves were seen: the worlds are too easy", moves)
	}
}

// What a host can hold, it can hold with more of anything.
func TestMoreIsNeverLess(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 4 * rounds {
		hosts, sessions := randomWorld(rng)
		x := randomSession(rng, "newcomer", hosts)
		sessions = append(sessions, x)
		i := rng.IntN(len(hosts))
		s := world(hosts, sessions...)
		name := hosts[i].Name
		_, before := s.hosts[name].try(&x, x.link(name)).judge(now, s.ThetaNet)
		if before.Bound != NoBound {
			continue
		}
		h := hosts[i]
		h.Modules = slices.Clone(h.Modules)
		what := []string{"turns", "learned turns", "memory", "speed", "idleness", "price"}[rng.IntN(6)]
		switch what {
		case "turns":
			h.Turns += rng.Float64()
		case "learned turns":
			h.Learned += rng.Float64()
		case "memory":
			h.Memory += 1 << 20
		case "speed":
			h.Modules[0].Service = max(h.Modules[0].Service*9/10, min(1, h.Modules[0].Service))
		case "idleness":
			h.Load *= rng.Float64()
		case "price":
			h.Price *= rng.Float64()
		}
		s.SetHost(h)
		if _, after := s.hosts[name].try(&x, x.link(name)).judge(now, s.ThetaNet); after.Bound != NoBound {
			t.Fatalf("with more %s: %v; it was feasible before\n%+v\n%+v", what, after, hosts[i], h)
		}
	}
}

// Whatever sequence of sessions comes and goes, no one that was admitted is over its bound as predicted, and no host is over what
// it can take.
func TestAdmissionsKeepEachOther(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	placed, refused := 0, 0
	for range rounds / 10 {
		var hosts []Host
		for i := range 1 + rng.IntN(4) {
			h := randomHost(rng, fmt.Sprint("edge-", i))
			h.State, h.Load, h.Stretch = Ready, 0, 1
			hosts = append(hosts, h)
		}
		s := world(hosts)
		for i := range 100 {
			if rng.IntN(4) == 0 {
				s.RemoveSession(fmt.Sprint("ue-", rng.IntN(i+1)))
				continue
			}
			x := randomSession(rng, fmt.Sprint("ue-", i), hosts)
			s.SetSession(x)
			d := Decide(now, s, x.ID)
			if d.Verdict == Local {
				refused++
				s.RemoveSession(x.ID)
				continue
			}
			placed++
			x.Primary, x.Standby = d.Primary, d.Standby
			s.SetSession(x)
			keeps(t, s, d)
		}
	}
	if placed < 100 || refused < 100 {
		t.Errorf("%d placed, %d refused: too few to see anything", placed, refused)
	}
}

// keeps fails if the host that a decision chose holds too much.
func keeps(t *testing.T, s *Snapshot, d Decision) {
	t.Helper()
	h := s.hosts[d.Primary]
	turns := h.capacity()
	load, memory, inFlight := 0.0, int64(0), 0.0
	for _, x := range h.here {
		at := h.try(x, x.link(h.Name))
		p := at.predict(at.crowd(now))
		if x.Need.Latency > 0 && p.Latency > x.Need.Latency+time.Microsecond {
			t.Fatalf("%v: then %s takes %v of %v", d, x.ID, p.Latency, x.Need.Latency)
		}
		load += at.load()
		inFlight += x.Need.inFlight()
	}
	for _, x := range slices.Concat(h.here, h.standby) {
		memory += x.Need.memory()
	}
	if load > qos.MaxLoad*turns+1e-9 && inFlight > turns {
		t.Fatalf("%v: its sessions use %.2f turns of %.2f", d, load, turns)
	}
	if memory > h.Memory {
		t.Fatalf("%v: its instances need %d bytes of %d", d, memory, h.Memory)
	}
}

// A session that is placed as decided is let alone: the next decision is that it stays.
func TestDecisionsAreStable(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 4 * rounds {
		hosts, sessions := randomWorld(rng)
		s := world(hosts, sessions...)
		for _, x := range sessions {
			d := Decide(now, s, x.ID)
			if d.Verdict != Placed && d.Verdict != Moves {
				continue
			}
			x.Primary, x.Standby, x.Shown, x.Felt = d.Primary, d.Standby, time.Time{}, Felt{}
			if d.Verdict == Moves {
				x.Moved = now
			}
			s.SetSession(x)
			if again := Decide(now, s, x.ID); again.Verdict != Stays {
				t.Fatalf("%v; then %v", d, again)
			}
			break
		}
	}
}

// Whatever is said of hosts and sessions, a decision is made, and it predicts numbers.
func FuzzDecide(f *testing.F) {
	f.Add(4.0, 4.0, 1.0, 2.0, 1.5, 30.0, 1.0, int64(5e6), int64(50e6), int64(2e6), int64(1<<20), int64(1<<30), 2, 3)
	f.Add(math.NaN(), math.Inf(1), -1.0, math.Inf(-1), math.NaN(), math.NaN(), math.Inf(1), int64(math.MaxInt64), int64(math.MinInt64), int64(-1), int64(math.MaxInt64), int64(-5), math.MaxInt, 77)
	f.Add(1e-300, 0.0, 1e300, 0.0, 0.0, 1e300, 1e-300, int64(1), int64(1), int64(0), int64(math.MaxInt64), int64(math.MaxInt64), -1, -1)
	f.Fuzz(func(t *testing.T, turns, learned, load, stretch, tail, rate, factor float64, service, latency, rtt, memory, have int64, inFlight, state int) {
		h := edge("edge-1", func(h *Host) {
			h.State, h.Turns, h.Learned, h.Load, h.Stretch, h.Factor, h.Memory, h.Price = State(state), turns, learned, load, stretch, factor, have, tail
			h.Modules[0].Service, h.Modules[0].Probe, h.Modules[0].Tail = time.Duration(service), time.Duration(service), tail
		})
		x := headset("ue", nil, func(x *Session) {
			x.Need = Need{Latency: time.Duration(latency), Rate: rate, InFlight: inFlight, Memory: memory, Instances: inFlight, Up: memory, Down: have, Price: rate}
			x.Links = []Link{{Host: "edge-1", RTT: time.Duration(rtt), Rate: factor, Factor: factor}, {Host: "edge-2", RTT: time.Duration(rtt)}, {Host: "edge-1"}}
		})
		y := x
		y.ID, y.Primary, y.Standby = "other", "edge-1", "edge-2"
		s := world([]Host{h, edge("edge-2", func(h *Host) { h.State = Ready })}, x, y)
		for _, decide := range []Decider{Decide, Thresholds{Net: time.Duration(rtt), Inf: time.Duration(service)}.Decide} {
			for _, id := range []string{"ue", "other", "nobody"} {
				d := decide(now, s, id)
				if d.String() == "" || d.RetryAfter < 0 || d.By < 0 || d.Predicted.Inference < 0 || d.Predicted.Latency < 0 ||
					math.IsNaN(d.Predicted.Missed) || d.Predicted.Missed < 0 || math.IsNaN(d.Predicted.Load) || d.Predicted.Load < 0 {
					t.Fatalf("%v: %+v", d, d)
				}
			}
		}
		Candidates(now, s, "ue", map[string]time.Duration{"edge-2": time.Duration(rtt)})
	})
}

// A host where nobody is takes a first session of a module that nobody has called, whatever the session needs and however small the host.
func TestFirstSessionIsAdmitted(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 10 * rounds {
		h := edge("edge-1", func(h *Host) {
			h.Turns = 0.2 + 4*rng.Float64()
			h.Learned = h.Turns * (0.5 + rng.Float64())
			h.Stretch = 1 + rng.Float64()
			h.Modules = nil
		})
		x := headset("ue", []string{"edge-1 2ms"}, func(x *Session) {
			x.Need.Rate, x.Need.InFlight = 1+60*rng.Float64(), 1+rng.IntN(8)
			x.Need.Latency = time.Duration(rng.IntN(2)) * time.Duration(20+rng.IntN(500)) * time.Millisecond // in half of them none
		})
		if d := Decide(now, world([]Host{h}, x), "ue"); d.Verdict != Placed {
			t.Fatalf("a first session is refused: %v\nhost %+v\nneed %+v", d, h, x.Need)
		}
	}
}
