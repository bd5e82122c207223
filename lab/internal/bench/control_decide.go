package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bungee-xr/bungee/offload/placement"
)

// decisions measures decisions on the snapshot that a manager has with many hosts and sessions: half of them where a new
// session runs, half whether one whose calls are late moves.
func (c Control) decisions(_ context.Context, name string) ([]Figure, error) {
	hosts, sessions, n := c.pick(1000, 100), c.pick(10_000, 1000), c.pick(20_000, 500)
	now := time.Now()
	t := newTown(now, hosts, sessions, n/2)
	placement.Decide(now, &t.snapshot, t.asking[0]) // what is compiled or cached on the way
	var took []time.Duration
	verdicts := map[placement.Verdict]int{}
	for i := range n {
		id := t.asking[i/2]
		if i%2 == 1 {
			id = t.late[i/2%len(t.late)]
		}
		begin := time.Now()
		d := placement.Decide(now, &t.snapshot, id)
		took = append(took, time.Since(begin))
		verdicts[d.Verdict]++
	}
	f := Figure{Case: name, Unit: "ms", N: n, Note: fmt.Sprintf("%s sessions; %v", thousands(sessions), verdicts)}
	figure := func(p, target float64) Figure {
		f := f
		f.Metric, f.Value = fmt.Sprintf("p%g", 100*p), ms(quantile(took, p))
		return f.against("<=", target)
	}
	return []Figure{figure(0.5, 1), figure(0.99, 5)}, nil
}

// A town is a snapshot of hosts and of sessions on them.
type town struct {
	snapshot placement.Snapshot
	asking   []string // sessions that are nowhere, and have measured as many hosts as they may
	late     []string // that are somewhere, and miss their deadlines
}

// newTown makes the same town each time.
func newTown(now time.Time, hosts, sessions, asking int) *town {
	dice := rand.New(rand.NewPCG(1, 2))
	t := &town{snapshot: placement.Snapshot{ThetaNet: 20 * time.Millisecond}}
	host := func(i int) string { return fmt.Sprintf("edge-%04d", i%hosts) }
	for i := range hosts {
		t.snapshot.SetHost(placement.Host{
			Name: host(i), State: placement.Ready, Turns: float64(4 + i%13), Memory: 64 << 30, Load: 0.5 + dice.Float64(), Stretch: 1, Price: float64(i % 7),
			Modules: []placement.Module{{Digest: crowdModule, Service: time.Duration(1+dice.IntN(4)) * time.Millisecond, Tail: 2, Present: true, Compiled: true}},
		})
	}
	session := func(id string) placement.Session {
		x := placement.Session{ID: id, Module: crowdModule, Need: placement.Need{
			Latency: crowdNeed.Latency, Rate: crowdNeed.Rate, InFlight: crowdNeed.InFlight, Up: int64(crowdNeed.Up), Down: int64(crowdNeed.Down), Memory: crowdNeed.Memory,
		}}
		for _, i := range dice.Perm(hosts)[:placement.MaxCandidates] {
			x.Links = append(x.Links, placement.Link{Host: host(i), RTT: time.Duration(1+dice.IntN(15)) * time.Millisecond})
		}
		return x
	}
	for i := range sessions {
		x := session(fmt.Sprintf("ue-%05d", i))
		x.Primary, x.Standby, x.Shown = x.Links[0].Host, x.Links[1].Host, now.Add(-time.Minute)
		if i%10 == 0 {
			x.Felt = placement.Felt{Calls: 100, Missed: 9}
			t.late = append(t.late, x.ID)
		}
		t.snapshot.SetSession(x)
	}
	for i := range asking {
		x := session(fmt.Sprintf("new-%05d", i))
		t.snapshot.SetSession(x)
		t.asking = append(t.asking, x.ID)
	}
	return t
}
