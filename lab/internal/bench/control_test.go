package bench

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/offload/placement"
)

func quickControl(t *testing.T) Control {
	return Control{Setup: *quick(t), Manager: func(m Manager) *exec.Cmd { return role{Manager: &m}.process() }}
}

// Each case measures something, nothing is refused, and no conversation ends too soon. How fast it is, is for the benchmark to say.
func TestControl(t *testing.T) {
	c := quickControl(t)
	c.Out = t.TempDir()
	figures, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	none := map[string]bool{"not_placed": true, "lost": true, "doubled": true, "wrong_state": true, "failed": true}
	for _, f := range figures {
		switch {
		case f.Metric == "completed":
			t.Errorf("%s: %s", f.Case, f.Note)
		case none[f.Metric] && f.Value != 0:
			t.Errorf("%s: %s is %g %s: %s", f.Case, f.Metric, f.Value, f.Unit, f.Note)
		case f.N == 0, f.Value <= 0 && !none[f.Metric] && f.Metric != "manager_cores" && f.Metric != "probe_runs":
			t.Errorf("%s: %s is not measured: %+v", f.Case, f.Metric, f)
		default:
			t.Logf("%s: %s is %.3g %s, with %v %s", f.Case, f.Metric, f.Value, f.Unit, f.Beside, f.Note)
		}
	}
}

// What begins, and is no "bungee up", is told apart from one that is slow.
func TestControlUp(t *testing.T) {
	c := quickControl(t)
	c.Only = "up/"
	c.Up = func(dir string) (*exec.Cmd, error) {
		return role{Manager: &Manager{Certs: dir, Store: dir + "/store"}}.process(), nil // it says its address, and nothing about it
	}
	figures, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(figures) != 1 || figures[0].Metric != "completed" || figures[0].OK || !strings.Contains(figures[0].Note, "not where its manager is") {
		t.Errorf("%+v; want one that says that the process is no bungee up", figures)
	}
}

// A neighbour calls without probes and beside them, and both show something. How much they cost it, is for the benchmark to say; and a
// busy host may have refused all of them, as calls wanted its cores.
func TestNeighbourBesideProbes(t *testing.T) {
	c := quickControl(t)
	c.Only = "neighbour"
	figures, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	measured := map[string]int{}
	for _, f := range figures {
		measured[f.Metric]++
		switch {
		case f.Metric == "completed":
			t.Errorf("%s: %s", f.Case, f.Note)
		case f.N == 0 || f.Value <= 0 && f.Metric != "probe_runs":
			t.Errorf("%s: %s is not measured: %+v", f.Case, f.Metric, f)
		case f.Metric == "probed_p99_over_without" && (f.Beside["with_p50_ms"] <= 0 || f.Beside["without_p50_ms"] <= 0):
			t.Errorf("%s: a phase saw no calls: %+v", f.Case, f)
		}
	}
	if measured["probed_p99_over_without"] != 2 || measured["probe_runs"] != 2 {
		t.Errorf("measured are %v, want both figures of both modules", measured)
	}
}

// A town is the same each time, and has work for a decision: some sessions are placed, and some of those that are late move.
func TestTown(t *testing.T) {
	now := time.Now()
	a, b := newTown(now, 50, 500, 10), newTown(now, 50, 500, 10)
	verdicts := map[placement.Verdict]int{}
	for _, id := range append(a.asking, a.late...) {
		x, y := placement.Decide(now, &a.snapshot, id), placement.Decide(now, &b.snapshot, id)
		if x.String() != y.String() {
			t.Errorf("%s: %q, and %q in the same town", id, x.String(), y.String())
		}
		verdicts[x.Verdict]++
	}
	if verdicts[placement.Placed] != 10 || verdicts[placement.Moves] == 0 || verdicts[placement.Local] > 0 {
		t.Errorf("verdicts are %v; want 10 sessions placed, some moved, none local", verdicts)
	}
}

// Peers who lose the manager are told of, and the first error stops what is done together.
func TestCrowdTellsWhatIsLost(t *testing.T) {
	r, err := quickControl(t).realm("lost")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.addHosts(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	r.process.kill()
	r.hosts[0].conn.Close("as if the manager had ended it")
	<-r.hosts[0].conn.Done()
	for r.losses() == 0 {
		wait(t.Context(), time.Millisecond)
	}
	if err := r.crowd.end(); err == nil || !strings.Contains(err.Error(), "edge-000") {
		t.Errorf("the crowd ends with %v; want the host that was lost", err)
	}
	r.crowd, r.process = nil, nil
	if err := r.end(); err != nil {
		t.Error(err)
	}
	err = together(t.Context(), 1000, func(context.Context, int) error { return context.DeadlineExceeded })
	if err != context.DeadlineExceeded {
		t.Errorf("together gives %v, want the first error", err)
	}
}

func (c *crowd) losses() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.errs)
}
