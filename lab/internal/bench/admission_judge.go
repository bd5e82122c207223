package bench

import "time"

// durations returns ms as durations.
func durations(ms []float64) (all []time.Duration) {
	for _, v := range ms {
		all = append(all, time.Duration(v*float64(time.Millisecond)))
	}
	return all
}

// judged returns the figures that have a target: what was promised, of the open mode.
func judged(r *results) (all []Figure) {
	add := func(f Figure, op string, target float64) {
		if f.N > 0 {
			all = append(all, f.against(op, target))
		}
	}
	for _, l := range loads {
		name := l.name + "/" + modeOpen
		ours := r.of(l.name, modeOpen, armOurs)
		paper := r.of(l.name, modeOpen, armPaper)
		if l.name == "heavy" {
			add(missesBoth(name, ours, paper), "<=", 0)
		} else {
			lost := spreadOf(eachServed(ours, func(_ *ranRun, u ranUE) float64 { return u.lost() }))
			add(Figure{Case: name, Metric: "lost_of_188_mean", Unit: "frames", Value: lost.mean, N: lost.n, Beside: lost.beside(), Note: "paper 000: 0.08, default scheduler 80.8"}, "<=", 0)
			add(Figure{Case: name, Metric: "lost_of_188_worst", Unit: "frames", Value: lost.most, N: lost.n}, "<=", 1)
			more := spreadOf(pairs(ours, paper, func(a, b *ranRun) float64 { return over(float64(a.peak()), float64(b.peak())) }))
			f := Figure{Case: name, Metric: "at_once_over_algorithm_1", Unit: "x", Value: more.mean, N: more.n, Beside: more.beside()}
			add(f, ">=", map[string]float64{"light": 1.5, "matched": 0.95}[l.name])
		}
		possible := spreadOf(eachRun(ours, func(x *ranRun) float64 { return over(float64(x.kept()), float64(x.possible(r.sweep))) }))
		add(Figure{Case: name, Metric: "kept_over_clairvoyant", Unit: "x", Value: possible.mean, N: possible.n, Beside: possible.beside()}, ">=", 0.85)
		first := spreadOf(firstFrames(r.sweep, ours))
		add(Figure{Case: name, Metric: "first_frame_after_ready", Unit: "L_inf", Value: first.mean, N: first.n, Beside: first.beside(), Note: "paper 000: request to first frame 5.4 s median, to 120 s"}, "<=", 1.5)
		calm := calmRatios(ours)
		s := spreadOf(calm)
		add(Figure{Case: name, Metric: "p99_over_p50", Unit: "x", Value: quantile(calm, 0.5), N: s.n, Beside: s.beside(), Note: "the median session, after its first frame, while nobody is admitted"}, "<=", 2)
	}
	kept, moves := rechecked(r.of("matched", modeOpen, armOurs), r.of("matched", modeOpen, armOnce))
	add(kept, ">=", 0.9)
	add(moves, "<=", 1)
	return all
}

// pairs returns f of the runs of two arms that are of one repeat.
func pairs(a, b []*ranRun, f func(a, b *ranRun) float64) (v []float64) {
	for _, x := range a {
		for _, y := range b {
			if x.Repeat == y.Repeat {
				v = append(v, f(x, y))
			}
		}
	}
	return v
}

// missesBoth counts the repeats in which fixed capacities miss and ours do, too.
func missesBoth(name string, ours, paper []*ranRun) Figure {
	lost := func(r *ranRun) (n int) {
		for _, u := range r.served() {
			n += u.missed()
		}
		return n
	}
	f := Figure{Case: name, Metric: "misses_where_algorithm_1_does", Unit: "runs"}
	fixed := 0.
	f.N = len(pairs(ours, paper, func(a, b *ranRun) float64 {
		if lost(b) > 0 {
			fixed++
			if lost(a) > 0 {
				f.Value++
			}
		}
		return 0
	}))
	f.Beside = map[string]float64{"algorithm_1_misses": fixed}
	return f
}

// firstFrames returns for each session how long after its host was ready its first frame was answered, in L_inf of that host.
func firstFrames(s *sweep, runs []*ranRun) (v []float64) {
	return eachServed(runs, func(_ *ranRun, u ranUE) float64 {
		if len(u.Hosts) == 0 {
			return over(u.Ended-u.Ready, s.fastest().IdleMs) // it never had one
		}
		return over(u.First-u.Ready, s.idle(u.Hosts[0]))
	})
}

// rechecked says what the re-check is good for: of the sessions that missed in the run of the same repeat without it, how many are kept without a
// miss, and how often a session moves.
func rechecked(ours, once []*ranRun) (kept, moves Figure) {
	kept = Figure{Case: "matched/" + modeOpen, Metric: "kept_by_the_recheck", Unit: "share"}
	moves = Figure{Case: "matched/" + modeOpen, Metric: "moves_a_session", Unit: "moves"}
	good := 0.
	pairs(ours, once, func(a, b *ranRun) float64 {
		for i := range min(len(a.UEs), len(b.UEs)) {
			if u := b.UEs[i]; u.Outcome == outcomeServed && u.missed() > 0 {
				kept.N++
				if a.UEs[i].Outcome == outcomeServed && a.UEs[i].missed() == 0 {
					good++
				}
			}
		}
		return 0
	})
	kept.Value = over(good, float64(kept.N))
	s := spreadOf(eachServed(ours, func(_ *ranRun, u ranUE) float64 { return float64(u.Moves) }))
	moves.Value, moves.N, moves.Beside = s.mean, s.n, s.beside()
	return kept, moves
}
