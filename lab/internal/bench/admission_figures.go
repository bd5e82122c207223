package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// served returns the UEs that had a host.
func (r *ranRun) served() (all []ranUE) {
	for _, u := range r.UEs {
		if u.Outcome == outcomeServed {
			all = append(all, u)
		}
	}
	return all
}

// kept counts the UEs that had a host and lost no frame: the sweep's and the best packing's sessions lose none either.
func (r *ranRun) kept() (n int) {
	for _, u := range r.served() {
		if u.missed() == 0 {
			n++
		}
	}
	return n
}

// refused counts the UEs that had none.
func (r *ranRun) refused() int { return len(r.UEs) - len(r.served()) }

// reasons counts refusals by their reasons; a UE has one of each host.
func (r *ranRun) reasons() map[string]int {
	n := map[string]int{}
	for _, u := range r.UEs {
		for _, why := range u.Reasons {
			n[why]++
		}
		if u.Outcome == outcomeFailed || u.Outcome == outcomeRefused && len(u.Reasons) == 0 {
			n[u.Outcome+", not said why"]++
		}
	}
	return n
}

// lost returns how many frames a UE lost of 188.
func (u ranUE) lost() float64 {
	return over(float64(u.missed())*AdmissionFrames, float64(len(u.Latency)))
}

// fps returns how many frames a second a UE had answered.
func (u ranUE) fps() float64 { return u.perSecond() }

// from and to are when a session had its host, in ms since the run began.
func (u ranUE) from() float64 { return u.At + u.Decided }
func (u ranUE) to() float64   { return u.At + u.Ended }

// at returns how many sessions had a host at a time.
func (r *ranRun) at(t float64) (n int) {
	for _, u := range r.served() {
		if u.from() <= t && t < u.to() {
			n++
		}
	}
	return n
}

// peak returns the most sessions at once.
func (r *ranRun) peak() (n int) {
	for _, u := range r.served() {
		n = max(n, r.at(u.from()))
	}
	return n
}

// possible returns how many of a run's UEs the best packing serves by what the sweep says.
func (r *ranRun) possible(s *sweep) int {
	at := make([]float64, 0, len(r.UEs))
	frames := 0
	for _, u := range r.UEs {
		at = append(at, u.At)
		frames = max(frames, len(u.Latency))
	}
	return clairvoyant(durations(at), durations([]float64{over(float64(frames)*1e3, r.Rate)})[0], s.slots(r.Load))
}

// needless counts the refusals at a time when fewer sessions had a host than the best packing has room for.
func (r *ranRun) needless(s *sweep) (n int) {
	for _, u := range r.UEs {
		if u.Outcome == outcomeRefused && r.at(u.At+u.Decided) < s.slots(r.Load) {
			n++
		}
	}
	return n
}

// calm returns the latencies of a session after its first frame, but for the time when another UE was on its way in.
func (r *ranRun) calm(u ranUE) (all []float64) {
	for i, l := range u.Latency {
		t := u.At + u.Sent[i]
		if l < 0 || i == 0 || t <= u.At+u.First || r.admits(t, u.Name) {
			continue
		}
		all = append(all, l)
	}
	return all
}

// admits says whether another UE than one was asking, or waited for its first frame, at a time.
func (r *ranRun) admits(t float64, but string) bool {
	for _, u := range r.UEs {
		if u.Name != but && u.At <= t && t <= u.At+max(u.First, u.Decided) {
			return true
		}
	}
	return false
}

// values returns of which the figures of an arm are: those of each run, or of each session.
func eachRun(runs []*ranRun, f func(*ranRun) float64) (v []float64) {
	for _, r := range runs {
		v = append(v, f(r))
	}
	return v
}

func eachServed(runs []*ranRun, f func(*ranRun, ranUE) float64) (v []float64) {
	for _, r := range runs {
		for _, u := range r.served() {
			v = append(v, f(r, u))
		}
	}
	return v
}

// fewCalm is of how many calm frames a p99 is made at least.
const fewCalm = 30

// calmRatios returns p99/p50 of the calm latencies of each session that has enough.
func calmRatios(runs []*ranRun) (v []float64) {
	for _, r := range runs {
		for _, u := range r.served() {
			if c := r.calm(u); len(c) >= fewCalm {
				v = append(v, over(quantile(c, 0.99), quantile(c, 0.5)))
			}
		}
	}
	return v
}

// A measure is a figure of an arm.
type measure struct {
	metric, unit string
	values       func(s *sweep, runs []*ranRun) []float64
}

// measures are the figures of each arm: their mean, and what is around it.
var measures = []measure{
	{"served", "UEs", func(_ *sweep, rs []*ranRun) []float64 {
		return eachRun(rs, func(r *ranRun) float64 { return float64(len(r.served())) })
	}},
	{"kept", "UEs", func(_ *sweep, rs []*ranRun) []float64 {
		return eachRun(rs, func(r *ranRun) float64 { return float64(r.kept()) })
	}},
	{"refused_needlessly", "UEs", func(s *sweep, rs []*ranRun) []float64 {
		return eachRun(rs, func(r *ranRun) float64 { return float64(r.needless(s)) })
	}},
	{"kept_over_clairvoyant", "x", func(s *sweep, rs []*ranRun) []float64 {
		return eachRun(rs, func(r *ranRun) float64 { return over(float64(r.kept()), float64(r.possible(s))) })
	}},
	{"sessions_at_once", "sessions", func(_ *sweep, rs []*ranRun) []float64 {
		return eachRun(rs, func(r *ranRun) float64 { return float64(r.peak()) })
	}},
	{"lost_of_188", "frames", func(_ *sweep, rs []*ranRun) []float64 {
		return eachServed(rs, func(_ *ranRun, u ranUE) float64 { return u.lost() })
	}},
	{"fps", "1/s", func(_ *sweep, rs []*ranRun) []float64 {
		return eachServed(rs, func(_ *ranRun, u ranUE) float64 { return u.fps() })
	}},
	{"latency_p50", "ms", func(_ *sweep, rs []*ranRun) []float64 {
		return eachServed(rs, func(_ *ranRun, u ranUE) float64 { return quantile(inTime(u.Latency), 0.5) })
	}},
	{"latency_p99", "ms", func(_ *sweep, rs []*ranRun) []float64 {
		return eachServed(rs, func(_ *ranRun, u ranUE) float64 { return quantile(inTime(u.Latency), 0.99) })
	}},
	{"decision", "ms", func(_ *sweep, rs []*ranRun) []float64 {
		return eachServed(rs, func(_ *ranRun, u ranUE) float64 { return u.Decided })
	}},
	{"request_to_ready", "ms", func(_ *sweep, rs []*ranRun) []float64 {
		return eachServed(rs, func(_ *ranRun, u ranUE) float64 { return u.Ready })
	}},
	{"request_to_first_frame", "ms", func(_ *sweep, rs []*ranRun) []float64 {
		return eachServed(rs, func(_ *ranRun, u ranUE) float64 { return u.First })
	}},
	{"probes", "probes", func(_ *sweep, rs []*ranRun) []float64 {
		return eachRun(rs, func(r *ranRun) float64 { return float64(r.Probes) })
	}},
	{"load_late", "ms", func(_ *sweep, rs []*ranRun) []float64 {
		return eachServed(rs, func(_ *ranRun, u ranUE) float64 { return u.LateSent })
	}},
}

// inTime returns the latencies of the frames that were answered in time.
func inTime(v []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(v), func(l float64) bool { return l < 0 })
}

// A caseOf is what the runs of one load, mode and arm have come to.
type caseOf struct {
	load, mode, arm string
	runs            []*ranRun
}

func (c caseOf) String() string { return c.load + "/" + c.mode + "/" + c.arm }

// cases returns those that have a run, in the order of the plans.
func (r *results) cases() (all []caseOf) {
	seen := map[string]bool{}
	for _, p := range plans(false) {
		c := caseOf{p.Load, p.Mode, p.Arm, r.of(p.Load, p.Mode, p.Arm)}
		if len(c.runs) > 0 && !seen[c.String()] {
			seen[c.String()] = true
			all = append(all, c)
		}
	}
	return all
}

// admissionFigures returns all figures, with the targets.
func admissionFigures(r *results) (all []Figure) {
	for _, c := range r.cases() {
		for _, m := range measures {
			s := spreadOf(m.values(r.sweep, c.runs))
			all = append(all, Figure{Case: c.String(), Metric: m.metric, Unit: m.unit, Value: s.mean, N: s.n, Beside: s.beside()})
		}
		for _, why := range slices.Sorted(maps.Keys(reasonsOf(c.runs))) {
			all = append(all, Figure{Case: c.String(), Metric: "refused: " + why, Unit: "rejections", Value: reasonsOf(c.runs)[why], N: len(c.runs), Note: "a run, by host"})
		}
	}
	all = append(all, judged(r)...)
	for i := range all {
		all[i].Bench = "admission"
		all[i].OK = all[i].OK || all[i].Target == nil
	}
	return all
}

// reasonsOf counts the reasons of refusals, a run.
func reasonsOf(runs []*ranRun) map[string]float64 {
	n := map[string]float64{}
	for _, r := range runs {
		for why, k := range r.reasons() {
			n[why] += float64(k) / float64(len(runs))
		}
	}
	return n
}

// unjudged takes the targets away.
func unjudged(figures []Figure) []Figure {
	for i := range figures {
		figures[i].Target, figures[i].Op, figures[i].OK = nil, "", true
	}
	return figures
}

// printAdmission prints a row for each case.
func printAdmission(w io.Writer, r *results) error {
	if r.sweep == nil {
		return nil
	}
	for _, h := range r.sweep.Hosts {
		var fits []string
		for _, l := range loads {
			fits = append(fits, fmt.Sprintf("%d %s", h.Fits[l.name], l.name))
		}
		fmt.Fprintf(w, "%s: %g of a core, L_inf idle %.0f ms, %.1f frames a second, sessions without a miss: %s\n", h.Name, h.Cores, h.IdleMs, h.PerSecond, strings.Join(fits, ", "))
	}
	fmt.Fprintf(w, "theta_inf %.0f ms; least-allocated emulates the default Kubernetes scheduler; mean ± half of the 95 %% confidence interval (worst)\n\n", ms(r.sweep.theta()))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\truns\tserved\tkept\tclairvoyant\tat once\tlost of 188\tFPS\tp50 ms\tp99 ms\tdecision ms\tfirst frame ms\tprobes\tlate ms\t")
	for _, c := range r.cases() {
		fmt.Fprintf(t, "%s\t%d\t", c, len(c.runs))
		for _, m := range measures {
			s := spreadOf(m.values(r.sweep, c.runs))
			switch m.metric {
			case "refused_needlessly", "request_to_ready":
			case "kept_over_clairvoyant":
				fmt.Fprintf(t, "%.2f\t", s.mean)
			case "lost_of_188", "load_late":
				fmt.Fprintf(t, "%.3g ± %.2g (%.3g)\t", s.mean, s.half(), s.most)
			default:
				fmt.Fprintf(t, "%.3g ± %.2g\t", s.mean, s.half())
			}
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range r.cases() {
		if n := reasonsOf(c.runs); len(n) > 0 {
			fmt.Fprintf(w, "%s refuses, a run and by host: %v\n", c, n)
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// summed says in a line what a run has come to.
func summed(r *ranRun) string {
	lost := 0
	for _, u := range r.served() {
		lost += u.missed()
	}
	return fmt.Sprintf("%d served, %d of them without a loss, %d refused, %d at once, %d frames lost, %d probes", len(r.served()), r.kept(), r.refused(), r.peak(), lost, r.Probes)
}
