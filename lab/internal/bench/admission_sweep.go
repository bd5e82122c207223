package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// sweep measures what each host can take, all hosts at once, as they are in the runs: how long a call takes with nobody else, how many a second
// there are flat out, and how many sessions of each load it serves without a miss.
func (y *yard) sweep(ctx context.Context) (s *sweep, err error) {
	edges, err := y.edges("")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, endEdges(edges)) }()
	idle, err := y.onEach(ctx, edges, nil, AdmissionUE{Loops: 1, Frames: y.pick(60, 12)})
	if err != nil {
		return nil, err
	}
	flat, err := y.onEach(ctx, edges, nil, AdmissionUE{Loops: 3, Frames: y.pick(150, 24)})
	if err != nil {
		return nil, err
	}
	s = &sweep{Network: y.Work.Network, Quick: y.Quick || y.Unlimited}
	for i, e := range edges {
		h := sweptHost{Name: e.name, Cores: e.cores, IdleMs: quantile(idle[i][0].Run, 0.5), PerSecond: flat[i][0].perSecond(), Fits: map[string]int{}}
		if h.IdleMs <= 0 || h.PerSecond <= 0 {
			return nil, fmt.Errorf("%s, which has %g of a core, has answered no frame within %v; a faster network (--model) or machine is needed, unless this is why: %s", e.name, e.cores, admissionWithin, cmp.Or(idle[i][0].Why, idle[i][0].Lost, flat[i][0].Why, flat[i][0].Lost, "each frame took too long"))
		}
		s.Hosts = append(s.Hosts, h)
	}
	for _, l := range loads {
		if err := y.fits(ctx, edges, s, l); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// perSecond returns how many frames a second a UE had answered, from its first answer on.
func (r UEReport) perSecond() float64 {
	return over(float64(r.answered()-1), (r.Ended-r.First)/1e3)
}

// answered counts the frames that were answered in time.
func (r UEReport) answered() (n int) {
	for _, l := range r.Latency {
		if l >= 0 {
			n++
		}
	}
	return n
}

// missed counts those that were not.
func (r UEReport) missed() int { return len(r.Latency) - r.answered() }

// fits finds how many sessions of l each host serves without a miss: as many as it computes frames for, or fewer if these miss.
func (y *yard) fits(ctx context.Context, edges []*edgeQuota, s *sweep, l load) error {
	rate := s.rate(l)
	open := make([]bool, len(edges)) // to be tried
	for i := range s.Hosts {
		h := &s.Hosts[i]
		h.Fits[l.name] = sessionsIn(h.PerSecond, rate)
		open[i] = h.Fits[l.name] > 0 && !s.Quick
	}
	const long = 15 * time.Second
	for anyOf(open) {
		n := make([]int, len(edges))
		for i, h := range s.Hosts {
			if open[i] {
				n[i] = h.Fits[l.name]
			}
		}
		got, err := y.onEach(ctx, edges, n, AdmissionUE{Rate: rate, Frames: int(rate * long.Seconds())})
		if err != nil {
			return err
		}
		for i := range s.Hosts {
			missed := 0
			for _, r := range got[i] {
				missed += r.missed()
			}
			if open[i] = open[i] && missed > 0; open[i] {
				s.Hosts[i].Fits[l.name]--
				open[i] = s.Hosts[i].Fits[l.name] > 0
			}
		}
	}
	return nil
}

func anyOf(all []bool) bool {
	for _, b := range all {
		if b {
			return true
		}
	}
	return false
}

// onEach runs as many UEs on each host at once as n says, nil for one each, and returns what they saw, by host.
func (y *yard) onEach(ctx context.Context, edges []*edgeQuota, n []int, u AdmissionUE) (got [][]UEReport, err error) {
	var processes []*process
	var at []int // the host of each
	for i, e := range edges {
		got = append(got, nil)
		many := 1
		if n != nil {
			many = n[i]
		}
		for range many {
			u.Edge, u.Certs = e.addr, y.certs(len(processes))
			p, err := y.start(u)
			if err != nil {
				killAll(processes)
				return nil, err
			}
			processes, at = append(processes, p), append(at, i)
		}
	}
	reports, err := finishAll(ctx, processes, make([]time.Duration, len(processes)))
	for j, r := range reports {
		got[at[j]] = append(got[at[j]], r.UEReport)
	}
	return got, err
}

func killAll(processes []*process) {
	for _, p := range processes {
		p.kill()
	}
}

// A begun is what a UE saw, and how late it was told to begin [ms].
type begun struct {
	UEReport
	late float64
}

// finishAll has UEs begin at their times, and returns when all have ended.
func finishAll(ctx context.Context, processes []*process, at []time.Duration) ([]begun, error) {
	all, errs := make([]begun, len(processes)), make([]error, len(processes))
	zero := time.Now()
	var wg sync.WaitGroup
	for i, p := range processes {
		wg.Go(func() {
			wait(ctx, time.Until(zero.Add(at[i])))
			all[i].late = ms(time.Since(zero) - at[i])
			all[i].UEReport, errs[i] = finish(ctx, p)
		})
	}
	wg.Wait()
	return all, firstErrors(slices.DeleteFunc(errs, func(err error) bool { return err == nil }))
}
