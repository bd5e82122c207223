package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/handler/ue"
)

// The numbers of runs, each with its own name, and the arms of a repeat beside one another.
func TestPlans(t *testing.T) {
	count, seen := map[string]int{}, map[string]bool{}
	all := plans(false)
	for _, p := range all {
		count[p.Load+"/"+p.Mode+"/"+p.Arm]++
		if seen[p.String()] {
			t.Errorf("%s comes twice", p)
		}
		seen[p.String()] = true
	}
	for name, want := range map[string]int{
		"matched/open/ours": 10, "light/open/algorithm-1": 5, "heavy/open/least-allocated": 5, "matched/closed/ours": 3, "matched/open, 45 s slots/ours": 3,
		"matched/open/ours, placed once": 3, "matched/open/algorithm-1, parallel probes": 3,
	} {
		if count[name] != want {
			t.Errorf("%s is run %d times, want %d", name, count[name], want)
		}
	}
	if a, b := all[0], all[2]; a.Repeat != b.Repeat || a.Arm == b.Arm {
		t.Errorf("%s and %s are not of one repeat", a, b)
	}
	if len(askTimes) != 10 {
		t.Errorf("%d UEs ask, want 10", len(askTimes))
	}
	cores := 0.
	for _, h := range shares {
		cores += h.cores
	}
	if cores > 1.2+1e-9 {
		t.Errorf("the hosts have %g cores, and the load's side the rest of two", cores)
	}
}

func TestClairvoyant(t *testing.T) {
	s := time.Second
	tests := []struct {
		name  string
		at    []time.Duration
		long  time.Duration
		slots int
		want  int
	}{
		{"all at once", []time.Duration{0, 0, 0}, s, 2, 2},
		{"a slot is free when its session ends", []time.Duration{0, s, 2 * s}, s, 1, 3},
		{"one comes just too early", []time.Duration{0, s - 1, s}, s, 1, 2},
		{"no slot", []time.Duration{0}, s, 0, 0},
		{"the paper's UEs, each for ever", askTimes, time.Hour, 4, 4},
		{"the paper's UEs, sessions of 34 s, 4 slots: the last one finds what the first three left", askTimes, 34 * s, 4, 5},
	}
	for _, tt := range tests {
		if got := clairvoyant(tt.at, tt.long, tt.slots); got != tt.want {
			t.Errorf("%s: %d served, want %d", tt.name, got, tt.want)
		}
	}
}

func TestSessionsIn(t *testing.T) {
	for _, tt := range []struct {
		perSecond, rate float64
		want            int
	}{{10, 4, 2}, {13.7, 0.2 * 13.7, 5}, {7.5, 8, 0}, {0, 1, 0}, {10, 0, 0}} {
		if got := sessionsIn(tt.perSecond, tt.rate); got != tt.want {
			t.Errorf("%g frames a second are %d sessions of %g, want %d", tt.perSecond, got, tt.rate, tt.want)
		}
	}
}

func TestSweepSays(t *testing.T) {
	s := sweep{Hosts: []sweptHost{
		{Name: "edge-a", IdleMs: 54, PerSecond: 14, Fits: map[string]int{"matched": 2}}, {Name: "edge-b", IdleMs: 78, PerSecond: 10, Fits: map[string]int{"matched": 1}},
	}}
	if got := s.theta(); got != 81*time.Millisecond {
		t.Errorf("theta_inf is %v, want 1.5 times 54 ms", got)
	}
	if got := s.rate(loads[0]); got < 5.59 || got > 5.61 {
		t.Errorf("a matched session has %g frames a second, want 0.4 of 14", got)
	}
	if s.slots("matched") != 3 || s.slots("heavy") != 0 || s.idle("edge-b") != 78 || s.idle("edge-z") != 0 {
		t.Errorf("slots %d and %d, idle %g and %g", s.slots("matched"), s.slots("heavy"), s.idle("edge-b"), s.idle("edge-z"))
	}
}

// The interval of five values is that of a textbook; one value has none.
func TestSpread(t *testing.T) {
	s := spreadOf([]float64{2, 4, 4, 4, 6})
	if s.mean != 4 || s.least != 2 || s.most != 6 || s.sd < 1.414 || s.sd > 1.415 {
		t.Errorf("%+v", s)
	}
	if h := s.half(); h < 1.755 || h > 1.757 { // 2.776 * 1.4142 / sqrt(5)
		t.Errorf("half of the interval is %g, want 1.756", h)
	}
	if one := spreadOf([]float64{3}); one.half() != 0 || one.sd != 0 || one.mean != 3 {
		t.Errorf("of one value: %+v, half %g", one, one.half())
	}
	if none := spreadOf(nil); none.n != 0 || none.half() != 0 {
		t.Errorf("of none: %+v", none)
	}
	many := make([]float64, 100)
	many[0] = 1
	if h := spreadOf(many).half(); h <= 0 {
		t.Errorf("more values than the table has: %g", h)
	}
}

// A case's name finds its runs, and nothing else.
func TestTodo(t *testing.T) {
	a := Admission{Repeats: 2}
	a.Only = "light/open/ours"
	r := &results{}
	if got := a.todo(r); len(got) != 2 || !strings.HasPrefix(got[0].String(), a.Only) {
		t.Errorf("to do are %v, want two repeats of %s", got, a.Only)
	}
	r.runs = append(r.runs, &ranRun{runPlan: runPlan{"light", modeOpen, armOurs, 1}})
	if got := a.todo(r); len(got) != 1 || got[0].Repeat != 2 {
		t.Errorf("to do are %v, want the second repeat: the first one is there", got)
	}
}

// A UE whose next frame follows the answer asks for no rate, one at a time, and its lease refuses no frame of a fast host. The others ask for what
// their load is.
func TestNeeds(t *testing.T) {
	y := &yard{Admission: &Admission{Speed: 1}}
	for mode, want := range map[string]ue.Need{
		modeClosed: {InFlight: 1, Latency: admissionWithin},
		modeOpen:   {Rate: 0.4 * madeSweep().fastest().PerSecond, InFlight: 2, Latency: admissionWithin},
		modeSlots:  {Rate: 0.4 * madeSweep().fastest().PerSecond, InFlight: 2, Latency: admissionWithin},
	} {
		u, _ := y.planned(madeSweep(), runPlan{Load: "matched", Mode: mode})
		if diff := cmp.Diff(want, u.need()); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
		if mode == modeClosed && (u.Loops != 1 || u.Sends != closedMost) {
			t.Errorf("closed: %+v", u)
		}
	}
}
