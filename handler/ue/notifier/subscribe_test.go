package notifier

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A script is a source that tells one value after another of a metric; NaN is none.
type script struct {
	metric Metric
	values []float64
}

func (s *script) Read(r *Round) {
	if len(s.values) > 0 {
		if v := s.values[0]; !math.IsNaN(v) {
			r.Tell(s.metric, v, "script")
		}
		s.values = s.values[1:]
	}
}

func TestRule(t *testing.T) {
	nan := math.NaN()
	hot := Rule{Metric: Cooling, Threshold: 0.7, Hysteresis: 0.2, Dwell: 2 * usual}
	low := Rule{Metric: Cooling, Side: Below, Threshold: 0.2, Hysteresis: 0.1}
	tests := []struct {
		why    string
		rule   Rule
		values []float64
		want   []State // by sample; Unclear again and again is no event
	}{
		{"met after the dwell, clear after another", hot, []float64{0.8, 0.8, 0.8, 0.4, 0.4, 0.4}, []State{0, 0, Met, Met, Met, Clear}},
		{"within the hysteresis nothing changes", hot, []float64{0.8, 0.8, 0.8, 0.6, 0.51, 0.6, 0.69}, []State{0, 0, Met, Met, Met, Met, Met}},
		{"a peak is not told", hot, []float64{0.1, 0.1, 0.1, 0.9, 0.9, 0.1, 0.9, 0.1}, []State{0, 0, Clear, Clear, Clear, Clear, Clear, Clear}},
		{"on the threshold is not beyond it", hot, []float64{0.7, 0.7, 0.7, 0.7}, []State{0, 0, Clear, Clear}},
		{"one reading that fails is not told", hot, []float64{0.8, 0.8, 0.8, nan, 0.8, nan, nan, nan}, []State{0, 0, Met, Met, Met, Met, Met, Unclear}},
		{"below, at once", low, []float64{0.5, 0.1, 0.25, 0.31, 0.19}, []State{Clear, Met, Met, Clear, Met}},
		{"unknown from the start", low, []float64{nan, nan, 0.1}, []State{0, 0, Met}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			g := newRig(&script{tt.rule.Metric, tt.values})
			var w watch
			for i, want := range tt.want {
				s := g.after(usual)
				before := w.state
				if changed := w.next(s.At, s.Gap, s.Get(tt.rule.Metric), &tt.rule); changed != (w.state != before) || w.state != want {
					t.Fatalf("after value %d of %v: %v, changed %v; want %v", i, tt.values, w.state, changed, want)
				}
			}
		})
	}
}

// After a gap nobody knows how long a value was beyond.
func TestGapBeginsDwellAnew(t *testing.T) {
	r := Rule{Metric: Cooling, Threshold: 0.5, Dwell: time.Minute}
	known := Reading{Value: 1, Source: "s"}
	var w watch
	now := time.Now()
	w.next(now, true, known, &r)
	if w.next(now.Add(8*time.Hour), true, known, &r) {
		t.Error("met after a sleep; want it to be seen for a minute")
	}
	if !w.next(now.Add(8*time.Hour+time.Minute), false, known, &r) {
		t.Error("not met a minute later")
	}
}

// On random walks with random rules, states follow from what was seen, and events are never closer than the dwell.
func TestRulesOnRandomWalks(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 15))
		r := Rule{Metric: Cooling, Threshold: 0.5, Side: Side(seed % 2), Hysteresis: rng.Float64() / 4, Dwell: time.Duration(rng.IntN(8)) * usual}
		now, v := time.Now(), rng.Float64()
		var w watch
		var last time.Time // of an event
		var seen []Reading // since the last gap
		for i := range 2000 {
			dt := time.Duration(1+rng.IntN(3)) * usual / 2
			now = now.Add(dt)
			v = min(1, max(0, v+rng.NormFloat64()/10))
			reading := Reading{Value: v, Source: "walk"}
			if rng.IntN(20) == 0 {
				reading = Reading{Why: "it failed"}
			}
			gap := rng.IntN(100) == 0
			if gap {
				seen = nil
			}
			seen = append(seen, reading)
			before := w.state
			if !w.next(now, gap, reading, &r) {
				continue
			}
			if !last.IsZero() && now.Sub(last) < r.Dwell {
				t.Fatalf("seed %d, step %d: %v after %v; want %v apart", seed, i, w.state, now.Sub(last), r.Dwell)
			}
			last = now
			// All that was seen for the dwell is of the new state, so at least as many as fit.
			least := int(r.Dwell/(3*usual/2)) + 1
			if len(seen) < least {
				t.Fatalf("seed %d, step %d: %v after %d readings; want %d", seed, i, w.state, len(seen), least)
			}
			for _, x := range seen[len(seen)-least:] {
				if got := r.of(x, before); got != w.state {
					t.Fatalf("seed %d, step %d: %v -> %v, but %+v is %v", seed, i, before, w.state, x, got)
				}
			}
		}
	}
}

// A value that wavers within the hysteresis makes one event, however long.
func TestNoFlapping(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := Rule{Metric: Cooling, Threshold: 0.5, Hysteresis: 0.1}
	var w watch
	events, now := 0, time.Now()
	for range 10000 {
		now = now.Add(usual)
		if w.next(now, false, Reading{Value: 0.41 + 0.18*rng.Float64(), Source: "s"}, &r) && w.state == Met {
			events++
		}
	}
	if events != 1 {
		t.Errorf("met %d times; want once", events)
	}
}

func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values := &script{Cooling, []float64{0.1, 0.9, 0.9, 0.2, 0.9, 0.1}}
		n, err := New(&Config{Sources: []Source{values}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		begin := time.Now()
		var got []Event
		stops := make(chan func(), 1) // one value
		stop, err := n.Subscribe(Rule{Metric: Cooling, Threshold: 0.5}, func(e Event) {
			if got = append(got, e); len(got) == 4 {
				(<-stops)()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		stops <- stop
		<-time.After(10 * time.Second)
		synctest.Wait()
		want := []State{Clear, Met, Clear, Met}
		at := []time.Duration{0, usual, 3 * usual, 4 * usual}
		if len(got) != len(want) {
			t.Fatalf("%d events; want %d, and none after stop", len(got), len(want))
		}
		for i, e := range got {
			if e.State != want[i] || e.At.Sub(begin) != at[i] || i > 0 && e.Before != want[i-1] {
				t.Errorf("event %d: %v -> %v after %v; want %v after %v", i, e.Before, e.State, e.At.Sub(begin), want[i], at[i])
			}
		}
		n.Close()
		if _, err := n.Subscribe(Rule{Metric: Cooling}, func(Event) { t.Error("an event after Close") }); err != nil {
			t.Error(err)
		}
	})
}

// Who is slow holds up neither the samples nor others.
func TestSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(&Config{Sources: []Source{&script{Cooling, []float64{0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		var slow, fast atomic.Int64
		for count, wait := range map[*atomic.Int64]time.Duration{&slow: time.Hour, &fast: 0} {
			if _, err := n.Subscribe(Rule{Metric: Cooling, Threshold: 0.5}, func(Event) {
				count.Add(1)
				<-time.After(wait)
			}); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(7*usual + usual/2)
		synctest.Wait()
		if slow.Load() != 1 || fast.Load() != 8 {
			t.Errorf("%d and %d events; want 1 of who is slow, 8 of who is not", slow.Load(), fast.Load())
		}
	})
}

func TestRulesAreChecked(t *testing.T) {
	n, err := New(&Config{Sources: []Source{}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, r := range []Rule{
		{Metric: numMetrics}, {Side: 2}, {Threshold: math.NaN()}, {Hysteresis: -1}, {Hysteresis: math.Inf(1)}, {Dwell: -1},
	} {
		if _, err := n.Subscribe(r, func(Event) {}); err == nil {
			t.Errorf("Subscribe(%+v) takes it", r)
		}
		for range n.Events(t.Context(), r) {
			t.Errorf("Events of %+v", r)
		}
	}
}
