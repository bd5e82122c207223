package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/lab/internal/replay"
)

// Policy configures the benchmark of the UE's policies: what they make of traces, and what a decision costs.
type Policy struct {
	Setup
	// Faults has what the faults of the demonstration need. They are left out if Quick.
	Faults Demo
	// Traces is a folder of further traces, "*.ndjson". Empty: there are none.
	Traces string
	// Written is the folder to which the synthetic traces are written. Empty: none is written.
	Written string
}

// Run measures.
func (p Policy) Run(ctx context.Context) ([]Figure, error) {
	traces, err := p.traces()
	if err != nil {
		return nil, err
	}
	scenes := p.costs()
	var all []played
	for _, t := range traces {
		scenes = append(scenes, scene{"trace/" + t.Trace, func(_ context.Context, name string) ([]Figure, error) {
			one := playTrace(t)
			all = append(all, one)
			return one.figures(name), nil
		}})
	}
	if !p.Quick { // each takes a minute
		scenes = append(scenes, p.Faults.scenes()...)
	}
	figures, err := p.play(ctx, "policy", scenes)
	if err == nil && len(all) > 1 {
		sum := inSum(all)
		sum.Bench = "policy"
		figures = append(figures, sum)
	}
	return figures, err
}

// traces returns those that are replayed, and writes them if it is wanted.
func (p Policy) traces() ([]*replay.Trace, error) {
	all := replay.Synthetic()
	if p.Written != "" {
		if err := writeTraces(p.Written, all); err != nil {
			return nil, err
		}
	}
	recorded, err := replay.Recorded()
	if err != nil {
		return nil, err
	}
	all = append(all, recorded...)
	if p.Traces == "" {
		return all, nil
	}
	more, err := readTraces(p.Traces)
	return append(all, more...), err
}

// readTraces reads the traces of a folder, "*.ndjson".
func readTraces(dir string) (all []*replay.Trace, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		t, err := readTrace(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, t)
	}
	return all, nil
}

func readTrace(path string) (*replay.Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return replay.Read(f)
}

func writeTraces(dir string, all []*replay.Trace) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, t := range all {
		if err := writeTrace(filepath.Join(dir, fmt.Sprintf("%02d.ndjson", i)), t); err != nil {
			return err
		}
	}
	return nil
}

func writeTrace(path string, t *replay.Trace) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(t.Write(f), f.Close())
}

// A played trace has what each policy made of it.
type played struct {
	trace                             *replay.Trace
	best, ue, edge, threshold, result replay.Score
}

func playTrace(t *replay.Trace) played {
	return played{t, replay.Optimum(t), replay.Always(t, false), replay.Always(t, true), replay.Run(t, policy.Threshold{}), replay.Run(t, policy.Adaptive{})}
}

func percent(share float64) float64 { return 100 * share }

// bestOther returns the share of calls that are late with the best of the others that does not overheat the device.
func (p *played) bestOther() float64 {
	least := 1.0
	for _, s := range []replay.Score{p.ue, p.edge, p.threshold} {
		if s.Above <= p.best.Above+0.01 {
			least = min(least, s.MissRate())
		}
	}
	return least
}

// figures returns what the trace showed. On adversarial traces, where the optimum moves at each call, what counts is that a policy does no
// worse than one that does not move, and does not flap.
func (p *played) figures(name string) []Figure {
	f := Figure{Case: name, N: p.result.Calls, Note: p.trace.Origin}
	figure := func(metric, unit string, value float64, beside map[string]float64) Figure {
		f := f
		f.Metric, f.Unit, f.Value, f.Beside = metric, unit, value, beside
		return f
	}
	misses := percent(p.result.MissRate())
	beside := map[string]float64{"optimum": percent(p.best.MissRate()), "ue": percent(p.ue.MissRate()), "edge": percent(p.edge.MissRate()), "threshold": percent(p.threshold.MissRate())}
	over := figure("misses_over_optimum", "points", misses-percent(p.best.MissRate()), beside)
	energy := figure("energy", "J", p.result.Joules, map[string]float64{"optimum": p.best.Joules, "ue": p.ue.Joules, "edge": p.edge.Joules, "threshold": p.threshold.Joules})
	energy.Ratio = p.result.Joules / max(1e-9, p.best.Joules)
	saving := figure("energy_over_optimum", "", energy.Ratio, nil)
	if !p.trace.Adversarial() {
		over, saving = over.against("<=", 1), saving.against("<=", 1.15)
	}
	all := []Figure{
		over,
		figure("misses_over_best_other", "points", misses-percent(p.bestOther()), beside).against("<=", 0.2),
		figure("above_limit", "%", percent(p.result.Above), map[string]float64{"optimum": percent(p.best.Above), "ue": percent(p.ue.Above), "edge": percent(p.edge.Above), "threshold": percent(p.threshold.Above)}).against("<=", 1),
		energy, saving,
		figure("moves", "a minute", float64(p.result.Crowded), map[string]float64{"threshold": float64(p.threshold.Crowded)}).against("<=", 6),
		figure("hedged", "%", percent(float64(p.result.Hedged)/float64(p.result.Calls)), nil).against("<=", 5),
		figure("explored", "%", percent(float64(p.result.Explored)/float64(p.result.Calls)), nil),
	}
	if p.best.Quality > 0 {
		all = append(all, figure("quality", "of the codec", p.result.Quality, map[string]float64{"optimum": p.best.Quality}))
	}
	for where, errs := range p.result.Errors {
		if len(errs) == 0 {
			continue
		}
		off := figure("prediction_error_"+policy.Place(where).String(), "%", percent(quantile(errs, 0.5)), nil)
		off.N = len(errs)
		if !p.trace.Adversarial() {
			off = off.against("<=", 15)
		}
		all = append(all, off)
	}
	return all
}

// inSum returns how many calls were late in all traces together, over the least of the others.
func inSum(all []played) Figure {
	var sum, ue, edge, threshold, n int
	for _, p := range all {
		sum, ue, edge, threshold, n = sum+p.result.Misses, ue+p.ue.Misses, edge+p.edge.Misses, threshold+p.threshold.Misses, n+p.result.Calls
	}
	least := min(ue, edge, threshold)
	f := Figure{Case: "all traces", Metric: "misses_over_least_other", Unit: "calls", Value: float64(sum - least), N: n,
		Beside: map[string]float64{"adaptive": float64(sum), "ue": float64(ue), "edge": float64(edge), "threshold": float64(threshold)}}
	return f.against("<=", -1)
}

// view returns one of three functions, with what a planner has settled for them.
func (Policy) view() *policy.View {
	f := policy.Function{
		Name: "detect", Idempotent: true, Rate: policy.Known(15.0), Require: policy.Requirements{Latency: 100 * time.Millisecond},
		UE:   policy.Estimate{Calls: 100, Recent: 32, Latency: policy.Known(40 * time.Millisecond), Tail: policy.Known(50 * time.Millisecond)},
		Edge: policy.Estimate{Calls: 100, Recent: 32, Age: time.Minute, Latency: policy.Known(20 * time.Millisecond), Run: policy.Known(10 * time.Millisecond), Up: policy.Known(50e3)},
	}
	v := &policy.View{At: time.Minute, Hosts: []policy.Host{{Ready: true}}, Functions: []policy.Function{f, f, f}}
	v.Device = policy.Device{Temperature: policy.Known(30.0), Limit: policy.Known(45.0), Cores: policy.Known(4.0), Load: policy.Known(1.0)}
	v.Standings = policy.Adaptive{}.Plan(v)
	return v
}

// decide measures a decision, contained as the UE handler has it.
func (p Policy) decide(_ context.Context, name string) ([]Figure, error) {
	v, a := p.view(), policy.Contain(policy.Adaptive{}, nil)
	var n uint64
	return timed(name, 60, true, func() {
		a.Decide(policy.Call{Function: int(n % 3), Number: n, Ready: true}, v)
		n++
	}), nil
}

// plan measures what a planner does for each view.
func (p Policy) plan(_ context.Context, name string) ([]Figure, error) {
	v, a := p.view(), policy.Contain(policy.Adaptive{}, nil)
	return timed(name, 20_000, false, func() { a.Plan(v) }), nil
}

// timed returns the least time of a call of f in five rounds, and what it allocates.
func timed(name string, most float64, free bool, f func()) []Figure {
	took := Figure{Case: name, Metric: "time", Unit: "ns", Value: leastTime(f), N: leastOf, Note: "the least of five rounds"}.against("<=", most)
	allocs := Figure{Case: name, Metric: "allocs", Unit: "objects", Value: testing.AllocsPerRun(1000, f), N: 1000}
	if free {
		allocs = allocs.against("<=", 0)
	}
	return []Figure{took, allocs}
}
