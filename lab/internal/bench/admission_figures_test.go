package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// madeSweep and madeRun are results that nobody measured: they test how figures are computed.
func madeSweep() *sweep {
	s := &sweep{}
	for _, h := range shares {
		s.Hosts = append(s.Hosts, sweptHost{
			Name: h.name, Cores: h.cores, IdleMs: 50, PerSecond: 10, Fits: map[string]int{"matched": h.limit, "light": 2 * h.limit, "heavy": h.limit / 2},
		})
	}
	return s
}

// madeServed is a UE whose frames, one a second from a second after it asked, took so long [ms].
func madeServed(i int, latency ...float64) ranUE {
	u := ranUE{Name: ueName(i), At: ms(askTimes[i]), UEReport: UEReport{Outcome: outcomeServed, Decided: 100, Ready: 1000, First: 1050, Hosts: []string{"edge-a"}}}
	for n, l := range latency {
		u.Sent, u.Latency = append(u.Sent, 1000+1000*float64(n)), append(u.Latency, l)
	}
	u.Ended = 1000 + 1000*float64(len(latency))
	return u
}

func madeRefused(i int) ranUE {
	return ranUE{Name: ueName(i), At: ms(askTimes[i]), Reasons: []string{"static limit"}, UEReport: UEReport{Outcome: outcomeRefused, Decided: 150, Ended: 150}}
}

func madeRun(arm string, repeat int, ues ...ranUE) *ranRun {
	return &ranRun{runPlan: runPlan{"matched", modeOpen, arm, repeat}, Rate: 1, UEs: ues}
}

func TestRunSays(t *testing.T) {
	r := madeRun(armOurs, 1, madeServed(0, 50, 60, -1, 70), madeServed(1, 50, 50, 50, 50), madeRefused(2), madeRefused(9))
	if n := len(r.served()); n != 2 || r.refused() != 2 || r.peak() != 2 {
		t.Errorf("%d served, %d refused, %d at once", n, r.refused(), r.peak())
	}
	if n := r.kept(); n != 1 {
		t.Errorf("%d kept, want the one that lost no frame", n)
	}
	if got := r.UEs[0].lost(); got != 47 {
		t.Errorf("one of four frames is lost: %g of 188, want 47", got)
	}
	if got := r.reasons()["static limit"]; got != 2 {
		t.Errorf("%d refusals by the limit, want 2", got)
	}
	s := madeSweep()
	if got := r.possible(s); got != 4 {
		t.Errorf("the best packing serves %d of four in four slots", got)
	}
	if got := r.needless(s); got != 2 {
		t.Errorf("%d are refused although there is room, want 2", got)
	}
	s.Hosts[1].Fits["matched"], s.Hosts[2].Fits["matched"] = 0, 0
	if got := r.needless(s); got != 1 {
		t.Errorf("%d are refused although there is room, want 1: the first one, with two of two at work, had none", got)
	}
}

// The first frame does not count, nor one while somebody else is on his way in, nor one that is lost.
func TestCalm(t *testing.T) {
	r := madeRun(armOurs, 1, madeServed(0, 900, 50, -1, 60, 61, 62), madeServed(3, 50, 50))
	if got := r.calm(r.UEs[0]); len(got) != 2 || got[0] != 50 || got[1] != 60 {
		t.Errorf("calm are %v, want 50 and 60: at 5 s another UE asks, which has its first frame at 6.05 s", got)
	}
}

func TestJudged(t *testing.T) {
	r := &results{sweep: madeSweep()}
	r.runs = []*ranRun{
		madeRun(armOurs, 1, madeServed(0, 50, 50), madeServed(1, 50, 50)),
		madeRun(armPaper, 1, madeServed(0, 50, -1), madeRefused(1)),
		madeRun(armOnce, 1, madeServed(0, 50, -1), madeServed(1, -1, -1)),
		madeRun(armPaper, 2, madeServed(0, 50, 50)), // of no pair
	}
	got := map[string]Figure{}
	for _, f := range judged(r) {
		if f.Target == nil {
			t.Errorf("%+v has no target", f)
		}
		got[f.Metric] = f
	}
	for metric, want := range map[string]float64{
		"lost_of_188_mean": 0, "lost_of_188_worst": 0, "at_once_over_algorithm_1": 2, "kept_over_clairvoyant": 1, "first_frame_after_ready": 1, "kept_by_the_recheck": 1, "moves_a_session": 0,
	} {
		if f, ok := got[metric]; !ok || f.Value != want || !f.OK {
			t.Errorf("%s is %+v, want %g", metric, f, want)
		}
	}
	if _, ok := got["p99_over_p50"]; ok {
		t.Error("a p99 is made of two frames")
	}
	r.runs[0].UEs[0] = madeServed(0, 50, -1)
	for _, f := range judged(r) {
		if bad := f.Metric == "lost_of_188_mean" || f.Metric == "lost_of_188_worst" || f.Metric == "kept_by_the_recheck" || f.Metric == "kept_over_clairvoyant"; bad == f.OK {
			t.Errorf("a frame is lost: %+v", f)
		}
	}
	for _, f := range unjudged(judged(r)) {
		if f.Target != nil || !f.OK {
			t.Errorf("it is judged: %+v", f)
		}
	}
}

// Under a heavy load only those repeats count in which the fixed capacities miss.
func TestMissesBoth(t *testing.T) {
	good, bad := madeServed(0, 50), madeServed(0, -1)
	f := missesBoth("heavy", []*ranRun{madeRun(armOurs, 1, bad), madeRun(armOurs, 2, bad), madeRun(armOurs, 3, good)},
		[]*ranRun{madeRun(armPaper, 1, good), madeRun(armPaper, 2, bad), madeRun(armPaper, 3, bad)})
	if f.Value != 1 || f.N != 3 || f.Beside["algorithm_1_misses"] != 2 {
		t.Errorf("%+v; want one of two", f)
	}
}

func TestAdmissionTableAndPictures(t *testing.T) {
	r := &results{sweep: madeSweep()}
	for n := range 3 {
		r.runs = append(r.runs, madeRun(armOurs, n+1, madeServed(0, 50, 50), madeServed(1, 50, 55)), madeRun(armPaper, n+1, madeServed(0, 50, -1), madeRefused(1)),
			madeRun(armLeast, n+1, madeServed(0, 400, -1), madeServed(1, 450, -1)))
	}
	var b bytes.Buffer
	if err := printAdmission(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"theta_inf 75 ms", "matched/open/ours ", "matched/open/algorithm-1 refuses, a run and by host: map[static limit:1]", "emulates the default Kubernetes scheduler"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
	dir := t.TempDir()
	if err := drawAdmission(dir, r); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "paper000.png")); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
		t.Errorf("the figure is no PNG: %v", err)
	}
}
