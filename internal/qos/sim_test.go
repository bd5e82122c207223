package qos

import (
	"math"
	"math/rand/v2"
	"slices"
)

// A world is a host of so many turns, first come first served, whose calls share so many cores equally, and its sessions.
// With as many turns as cores a call that has a turn has a core; with a turn for each call the cores are shared by all.
type world struct {
	cores, turns int
	sessions     []load
	service      func(*rand.Rand) float64 // s
}

// A load is what a session does.
type load struct {
	kind     string
	rate     float64 // calls a second; of a closed one: 1/rate is its think time
	inFlight int     // calls at most: further ones are not begun
}

// A call of a session: when it came, when it got its turn, what is left of its service.
type call struct {
	session            int
	came, began, needs float64
}

// A done call took r in the host, s of it in a turn.
type done struct {
	session  int
	at, r, s float64
}

// run simulates for so many seconds, and calls ended for each call that ends, and beat each second with the turns in
// use at that moment.
func (w world) run(rng *rand.Rand, seconds float64, ended func(done), beat func(now float64, inUse int)) {
	next := make([]float64, len(w.sessions)) // when each session calls next
	flight := make([]int, len(w.sessions))
	for i, l := range w.sessions {
		next[i] = rng.Float64() / l.rate
	}
	var queue, active []call
	now, second := 0.0, 1.0
	for now < seconds {
		speed := 1.0
		if len(active) > w.cores {
			speed = float64(w.cores) / float64(len(active))
		}
		first, at := -1, math.Inf(1)
		for i, c := range active {
			if t := now + c.needs/speed; t < at {
				first, at = i, t
			}
		}
		caller := -1
		for i, t := range next {
			if t < at {
				first, caller, at = -1, i, t
			}
		}
		at = min(at, second)
		for i := range active {
			active[i].needs -= (at - now) * speed
		}
		now = at
		switch {
		case now == second:
			beat(now, len(active))
			second++
			continue
		case caller >= 0:
			l := w.sessions[caller]
			begins := flight[caller] < l.inFlight
			switch l.kind {
			case "poisson":
				next[caller] = now + rng.ExpFloat64()/l.rate
			case "periodic":
				next[caller] = now + 1/l.rate
			case "closed":
				next[caller] = now + rng.ExpFloat64()*1e-3 // fills its places
				if !begins {
					next[caller] = math.Inf(1)
				}
			}
			if begins {
				flight[caller]++
				queue = append(queue, call{session: caller, came: now, needs: w.service(rng)})
			}
		case first >= 0:
			c := active[first]
			active = slices.Delete(active, first, first+1)
			flight[c.session]--
			if l := w.sessions[c.session]; l.kind == "closed" {
				next[c.session] = min(next[c.session], now+rng.ExpFloat64()/l.rate)
			}
			ended(done{c.session, now, now - c.came, now - c.began})
		}
		for len(queue) > 0 && len(active) < w.turns {
			c := queue[0]
			queue = queue[1:]
			c.began = now
			active = append(active, c)
		}
	}
}

// quantile returns the q-quantile of all, which it sorts.
func quantile(all []float64, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))]
}
