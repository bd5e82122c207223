package bench

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/offload/manager"
	"github.com/bungee-xr/bungee/offload/placement"
)

// podRequest is what the default Kubernetes scheduler takes a pod for that requests nothing, in cores (its DefaultMilliCPURequest).
const podRequest = 0.1

// leastAllocated admits everybody, and takes the host of which the least is requested: an emulation of the default Kubernetes scheduler, NodeResourcesLeastAllocated,
// by cores. It knows no latency, and a session stays where it is until its host is gone.
func leastAllocated(cores map[string]float64) placement.Decider {
	return func(_ time.Time, s *placement.Snapshot, id string) placement.Decision {
		x, ok := s.Session(id)
		d := placement.Decision{Session: id, From: x.Primary, Cause: placement.UnknownHere}
		if !ok {
			return d
		}
		if keeps(s, x.Primary) {
			d.Verdict, d.Cause, d.Primary = placement.Stays, placement.Fine, x.Primary
			return d
		}
		best := 0.
		for _, l := range x.Links {
			h, ok := s.Host(l.Host)
			if !ok || h.State != placement.Ready || cores[h.Name] <= 0 {
				continue
			}
			if used := podRequest * float64(len(s.On(h.Name))+1) / cores[h.Name]; d.Primary == "" || used < best {
				best, d.Primary = used, h.Name
			}
		}
		d.Verdict, d.Cause = placement.Placed, placement.Asked
		switch {
		case d.Primary == "":
			d.Verdict = placement.Local
		case x.Primary != "":
			d.Verdict, d.Cause = placement.Moves, placement.CannotStay
		}
		return d
	}
}

// placedOnce is d without the re-check: a session stays where it was placed, until its host is gone.
func placedOnce(d placement.Decider) placement.Decider {
	return func(now time.Time, s *placement.Snapshot, id string) placement.Decision {
		if x, ok := s.Session(id); ok && keeps(s, x.Primary) {
			return placement.Decision{Session: id, Verdict: placement.Stays, Cause: placement.Fine, From: x.Primary, Primary: x.Primary, Standby: x.Standby}
		}
		return d(now, s, id)
	}
}

// keeps says whether a host keeps its sessions.
func keeps(s *placement.Snapshot, name string) bool {
	h, ok := s.Host(name)
	return ok && name != "" && (h.State == placement.Ready || h.State == placement.Cordoned)
}

// configure has a manager decide as an arm does. All arms are offered the same candidates.
func configure(c *manager.Config, arm string, theta time.Duration, w *witness) {
	t := placement.Thresholds{Net: c.ThetaNet, Inf: theta, Limits: map[string]int{}}
	cores := map[string]float64{}
	for _, h := range shares {
		t.Limits[h.name], cores[h.name] = h.limit, h.cores
	}
	c.Candidates = t.Candidates
	c.ProbeAfresh = arm == armPaper
	decide := placement.Decider(placement.Decide)
	switch arm {
	case armLeast:
		decide = leastAllocated(cores)
	case armPaper, armParallel:
		decide = t.Decide
	case armOnce:
		decide = placedOnce(placement.Decide)
	}
	c.Decide = w.watch(decide)
}

// A witness takes note of what is decided.
type witness struct {
	mu    sync.Mutex
	first map[string]placement.Decision // by UE: the first one about it
	moves map[string]int                // by UE
}

func newWitness() *witness {
	return &witness{first: map[string]placement.Decision{}, moves: map[string]int{}}
}

// watch is d, with w as its witness.
func (w *witness) watch(d placement.Decider) placement.Decider {
	return func(now time.Time, s *placement.Snapshot, id string) placement.Decision {
		got := d(now, s, id)
		ue := ueOf(id)
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, known := w.first[ue]; !known {
			w.first[ue] = got
		}
		if got.Verdict == placement.Moves {
			w.moves[ue]++
		}
		return got
	}
}

// ueOf returns the name of a session's UE: a session is called "tenant/UE#number".
func ueOf(session string) string {
	name, _, _ := strings.Cut(session[strings.LastIndexByte(session, '/')+1:], "#")
	return name
}

// testify adds what w knows of a UE.
func (w *witness) testify(u *ranUE) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.first[u.Name]
	if !ok {
		return
	}
	u.PredictedMs, u.Moves = ms(d.Predicted.Latency), w.moves[u.Name]
	for _, r := range d.Rejected {
		if why := boundNames[r.Bound]; d.Primary == "" && !slices.Contains(u.Reasons, why) {
			u.Reasons = append(u.Reasons, why)
		}
	}
}

// boundNames are what a refusal is counted by.
var boundNames = map[placement.Bound]string{
	placement.HostState: "state", placement.Labels: "labels", placement.Price: "price", placement.Distance: "theta_net", placement.TooSlow: "too slow alone",
	placement.Memory: "memory", placement.Turns: "turns", placement.Latency: "latency", placement.OthersLatency: "others' latency",
	placement.Sessions: "static limit", placement.Inference: "theta_inf", placement.Unprobed: "no probe",
}
