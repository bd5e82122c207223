package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/bungee-xr/bungee/internal/cgroup"
)

const (
	faultFrames = 300
	faultRate   = "10" // frames a second that are offered
	faultUE     = "0.5"
	linkFrames  = 600
	linkRate    = "15"
	// weakUE is too weak to compute linkRate frames a second, and is in time with weakTime where it computes fewer.
	weakUE   = "0.25"
	weakTime = 150 * time.Millisecond
	// fifth has a host stand still for four fifths of each slowPeriod: it is five times slower.
	fifth = slowPeriod * 4 / 5
	// hedgeLeeway is how much later than its deadline a hedged call may be.
	hedgeLeeway = 5 * time.Millisecond
	// fewFrames are how many may be late, or ask a frozen host, before the policy has reacted.
	fewFrames = 3
)

// adaptiveArgs returns the flags of a run of the policy adaptive.
func adaptiveArgs(cpu, rate string, deadline time.Duration, more ...string) []string {
	return append([]string{"-ue-cpu", cpu, "-fps", rate, "-policy", "adaptive", "-requirements", fmt.Sprintf("latency=%v,rate=%s", deadline, rate)}, more...)
}

// The faults.
func slowsDown(s *demoStage) (func() error, error) {
	return slow(s.host.freeze, s.host.thaw, fifth), nil
}

func freezes(s *demoStage) (func() error, error) { return s.host.thaw, s.host.freeze() }

func narrows(s *demoStage) (func() error, error) {
	s.way.become(mbits(2, 3*time.Millisecond).weather)
	return func() error { return nil }, nil
}

// demoScenes are the faults that happen to the demo.
func (d *Demo) scenes() []scene {
	return []scene{{"demo/host frozen", d.frozen}, {"demo/host slow", d.slowed}, {"demo/link falls", d.linkFalls}}
}

// deadline returns three times the 99th percentile of what calls take on the UE, measured with all frames there.
func (d *Demo) deadline(ctx context.Context, name string) (time.Duration, error) {
	r, err := d.run(ctx, name+"/local", fault{frames: 100, args: []string{"-ue-cpu", faultUE, "-fps", faultRate, "-toggle", "0"}})
	if err != nil {
		return 0, err
	}
	return time.Duration(3 * quantile(calls(r.frames), 0.99) * float64(time.Millisecond)).Round(time.Millisecond), nil
}

// frozen stops the host for good.
func (d *Demo) frozen(ctx context.Context, name string) ([]Figure, error) {
	deadline, err := d.deadline(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := d.run(ctx, name, fault{frames: faultFrames, args: adaptiveArgs(faultUE, faultRate, deadline), happen: freezes})
	if err != nil {
		return nil, err
	}
	asked, _ := r.untilMoved()
	all, after := calls(r.frames), calls(r.after())
	most := ms(deadline + hedgeLeeway)
	f := r.figures(name, fmt.Sprintf("SIGSTOP at frame %d of %d; the deadline is three times the UE's p99; hedging on", len(all)-len(after), len(all)))
	return append(f.common(),
		f.figure("p99", "ms", quantile(all, 0.99)).against("<=", most),
		f.figure("worst", "ms", quantile(all, 1)).against("<=", most+ms(cgroup.Period)),
		f.figure("p99_after", "ms", quantile(after, 0.99)),
		f.figure("asked", "frames", float64(asked)).against("<=", fewFrames),
	), nil
}

// slowed makes the host five times slower for good.
func (d *Demo) slowed(ctx context.Context, name string) ([]Figure, error) {
	r, err := d.run(ctx, name, fault{frames: faultFrames, args: adaptiveArgs(faultUE, faultRate, weakTime), happen: slowsDown})
	if err != nil {
		return nil, err
	}
	asked, late := r.untilMoved()
	f := r.figures(name, fmt.Sprintf("SIGSTOP for %v of each %v from frame %d on; the deadline is one that the UE keeps", fifth, slowPeriod, len(r.frames)-len(r.after())))
	return append(f.common(),
		f.figure("late_until_moved", "frames", float64(late)).against("<=", fewFrames),
		f.figure("asked_until_moved", "frames", float64(asked)),
	), nil
}

// linkFalls narrows the link for good, with fidelities and without.
func (d *Demo) linkFalls(ctx context.Context, name string) ([]Figure, error) {
	run := func(name string, more ...string) (*demoRun, error) {
		args := adaptiveArgs(weakUE, linkRate, weakTime, append(more, "-hedge=false")...)
		return d.run(ctx, name, fault{frames: linkFrames, args: args, happen: narrows})
	}
	r, err := run(name)
	if err != nil {
		return nil, err
	}
	fixed, err := run(name+"/fixed", "-levels", "1")
	if err != nil {
		return nil, err
	}
	f := r.figures(name, fmt.Sprintf("from 50 to 2 Mbit/s at frame %d of %d, %s frames/s, hedging off; beside it the best quality alone", len(r.frames)-len(r.after()), linkFrames, linkRate))
	late := f.figure("late", "%", r.lateShare())
	late.Beside = map[string]float64{"fixed": fixed.lateShare()}
	all := append(f.common(), late.against("<=", 2))
	if r.Kept == nil {
		return all, fmt.Errorf("the demo does not tell what it kept")
	}
	return append(all, f.figure("kept", "of full quality", *r.Kept).against(">=", 0.8)), nil
}

func (r *demoRun) lateShare() float64 { return percent(float64(r.Late) / float64(len(r.frames))) }

// figures makes the figures of a run.
func (r *demoRun) figures(name, what string) runFigures {
	return runFigures{r, Figure{Case: name, N: len(r.frames), Note: fmt.Sprintf("%s; %d shared cores", what, runtime.NumCPU())}}
}

type runFigures struct {
	run  *demoRun
	bare Figure
}

func (f runFigures) figure(metric, unit string, value float64) Figure {
	x := f.bare
	x.Metric, x.Unit, x.Value = metric, unit, value
	return x
}

// common are figures of each run.
func (f runFigures) common() []Figure {
	return []Figure{
		f.figure("deadline", "ms", f.run.Deadline),
		f.figure("on_edge_before", "%", percent(f.run.onEdgeBefore())).against(">=", 50),
		f.figure("lost", "frames", float64(f.run.Lost)).against("<=", 0),
		f.figure("hedged", "frames", float64(f.run.Hedged)),
		f.figure("late_in_all", "frames", float64(f.run.Late)),
	}
}
