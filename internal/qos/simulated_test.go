package qos

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A scenario is a host with sessions that are all alike, to which one more comes.
type scenario struct {
	service      string
	kind         string
	cores, turns int
	busy         float64 // share of the cores
}

const mean = 0.010 // s, of a call

var services = map[string]func(*rand.Rand) float64{
	"constant":    func(*rand.Rand) float64 { return mean },
	"lognormal":   func(r *rand.Rand) float64 { return mean * math.Exp(0.3*r.NormFloat64()-0.045) },
	"exponential": func(r *rand.Rand) float64 { return mean * r.ExpFloat64() },
}

// world returns the host with n sessions.
func (s scenario) world() world {
	w := world{cores: s.cores, turns: s.turns, service: services[s.service]}
	l := load{kind: s.kind, rate: 10, inFlight: 4}
	switch s.kind {
	case "poisson":
		l.inFlight = 1000
	case "closed": // thinks for 85 ms, so it calls about 10 times a second, too
		l.inFlight, l.rate = 1, 1/0.085
	}
	for range int(s.busy * float64(s.cores) / (10 * mean)) {
		w.sessions = append(w.sessions, l)
	}
	return w
}

// A guess is a prediction, or what came true.
type guess struct{ turns, mean, p99 float64 }

// record makes the beats of a simulated host.
type record struct {
	beat   ModuleBeat
	recent []done
}

func (r *record) ended(d done) {
	r.beat.Calls++
	r.beat.R += duration(d.r)
	r.beat.S += duration(d.s)
	r.recent = append(r.recent, d)
}

// at returns the beat at a time.
func (r *record) at(now float64, w world) Beat {
	for len(r.recent) > 0 && r.recent[0].at < now-30 {
		r.recent = r.recent[1:]
	}
	r.beat.R99 = duration(r.quantile(0.99))
	b := Beat{Turns: float64(w.turns), Modules: []ModuleBeat{r.beat}}
	for _, l := range w.sessions {
		b.InFlight += AtOnce(l.rate, mean, float64(l.inFlight))
	}
	return b
}

func (r *record) quantile(q float64) float64 {
	var all []float64
	for _, d := range r.recent {
		all = append(all, d.r)
	}
	return quantile(all, q)
}

// simulate feeds a minute's beats to a Host, and returns what is predicted for one more session, by Host and by the formulas of
// before, and what comes true in three minutes.
func (s scenario) simulate(seed uint64) (got, before, truth guess) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := s.world()
	var h Host
	var r record
	var all []done
	w.run(rng, 90, func(d done) { r.ended(d); all = append(all, d) }, func(now float64, inUse int) {
		h.Beat(begin.Add(duration(now)), r.at(now, w))
	})
	now := begin.Add(89 * time.Second)
	l := w.sessions[0]
	n := float64(len(w.sessions))
	rate := h.Service(now, Digest{}).Rate / n
	got = predictHost(&h, now, rate, AtOnce(l.rate, mean, float64(l.inFlight))*(n+1))
	before = predictBefore(all, float64(s.turns), rate, n*float64(l.inFlight), float64(l.inFlight))

	w.sessions = append(w.sessions, l)
	var newcomer []float64
	w.run(rng, 180, func(d done) {
		if d.session == len(w.sessions)-1 {
			newcomer = append(newcomer, d.r)
			truth.mean += d.r
		}
	}, func(float64, int) {})
	truth.mean /= float64(len(newcomer))
	truth.p99 = quantile(newcomer, 0.99)
	truth.turns = float64(s.cores)
	return got, before, truth
}

func predictHost(h *Host, now time.Time, rate, inFlight float64) guess {
	c, s := h.Capacity(), h.Service(now, Digest{})
	g := guess{turns: c.Learned}
	stretch := Stretch(c.Learned, c.Load+rate*s.Time.Seconds(), inFlight)
	g.mean = s.Time.Seconds() * stretch
	g.p99 = P99(s.Time.Seconds(), s.Tail, c.Stretch, stretch)
	return g
}

// predictBefore is the estimate that was designed first: S is the 10th percentile of the time in a turn, stretch is n/u, and
// capacity (1+n(1-1/k))/stretch where that is over 1.2.
func predictBefore(all []done, turns, rate, k, f float64) guess {
	var in, service []float64
	var sum float64
	for _, d := range all {
		in, service, sum = append(in, d.r), append(service, d.s), sum+d.r
	}
	lambda, s := float64(len(all))/90, quantile(service, 0.1)
	u, n := lambda*s, lambda*sum/float64(len(all))
	g, c := n/u, max(turns, lambda*s)
	if g > 1.2 {
		c = (1 + n*(1-1/k)) / g
	}
	u += rate * s
	bracket := c - u*(1-1/(k+f))
	if bracket <= 0 || u > MaxLoad*c {
		return guess{c, math.Inf(1), math.Inf(1)}
	}
	l := s * max(1, 1/bracket)
	return guess{c, l, l * quantile(in, 0.99) / quantile(in, 0.5)}
}

// Predictions come true, within bounds that the formulas of before do not keep: they are printed beside. Seeds are fixed, so the errors are the
// same each time. What waits least foreseeably is a session of strictly regular calls: it waits each time, or never, as its phase has it.
func TestSimulated(t *testing.T) {
	t.Log("service      load      cores turns busy | truth: mean, p99 in ms | predicted: mean, p99, turns that there seem to be | the same, formulas of before")
	for _, service := range []string{"constant", "exponential"} {
		for _, kind := range []string{"poisson", "periodic", "closed"} {
			for _, machine := range [][2]int{{1, 1}, {4, 4}, {2, 4}} {
				for _, busy := range []float64{0.5, 0.75} {
					s := scenario{service, kind, machine[0], machine[1], busy}
					got, before, truth := s.simulate(1)
					t.Logf("%-12s %-9s %5d %5d %4.2f | %5.1f %5.1f | %v | %v", service, kind, s.cores, s.turns, busy, truth.mean*1e3, truth.p99*1e3, got.beside(truth), before.beside(truth))
					least, most := 0.65, 1.35
					if kind == "periodic" {
						least, most = 0.5, 3
					}
					if x := got.mean / truth.mean; x < least || x > most {
						t.Errorf("%+v: the mean call takes %.1f ms, and %.1f were predicted", s, truth.mean*1e3, got.mean*1e3)
					}
					if x := got.p99 / truth.p99; x < least || x > most*1.1 {
						t.Errorf("%+v: one call in 100 takes over %.1f ms, and %.1f were predicted", s, truth.p99*1e3, got.p99*1e3)
					}
					if x := got.turns / truth.turns; s.cores == s.turns && (x < 0.8 || kind != "periodic" && x > 1.35) {
						t.Errorf("%+v: it seems to have %.2f turns", s, got.turns)
					}
				}
			}
		}
	}
}

// beside prints g with its errors.
func (g guess) beside(truth guess) string {
	off := func(got, want float64) float64 { return 100 * (got/want - 1) }
	return fmt.Sprintf("%5.1f (%+3.0f %%) %5.1f (%+4.0f %%) %4.1f (%+4.0f %%)",
		g.mean*1e3, off(g.mean, truth.mean), g.p99*1e3, off(g.p99, truth.p99), g.turns, off(g.turns, truth.turns))
}
