package bench

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A small experiment on real processes: whatever the machine makes of it, each UE ends served, or refused with a reason, all figures are there, and a
// second start repeats nothing.
func TestAdmission(t *testing.T) {
	dir := t.TempDir()
	frames := filepath.Join(dir, "frames")
	if err := os.MkdirAll(frames, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(frames, "one"), make([]byte, small), 0o644); err != nil {
		t.Fatal(err)
	}
	a := Admission{Setup: *quick(t), UE: func(u AdmissionUE) *exec.Cmd { return role{UE: &u}.process() }, Work: Work{Frames: frames}, Out: dir, Unlimited: true, Speed: 20}
	var table bytes.Buffer
	figures, err := a.Run(t.Context(), &table)
	if err != nil {
		t.Fatal(err)
	}
	r, err := openResults(filepath.Join(dir, a.pickName()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plans(true) {
		run := r.find(p)
		if run == nil {
			t.Fatalf("%s was not run", p)
		}
		checkRun(t, run)
	}
	metrics := map[string]int{}
	for _, f := range figures {
		metrics[f.Metric]++
		if f.Target != nil || !f.OK || f.Bench != "admission" {
			t.Errorf("%+v is judged, or is of no bench", f)
		}
	}
	for _, m := range measures {
		if metrics[m.metric] < len(plans(true)) {
			t.Errorf("%s is not among the figures of each arm", m.metric)
		}
	}
	t.Log("\n" + table.String())
	if _, err := os.Stat(filepath.Join(dir, "paper000.png")); err != nil {
		t.Error(err)
	}
	if left := a.todo(r); len(left) > 0 {
		t.Errorf("a second start would repeat %v", left)
	}
}

// checkRun checks that each UE ended served, or refused with a reason.
func checkRun(t *testing.T, run *ranRun) {
	t.Helper()
	for _, u := range run.UEs {
		switch {
		case u.Outcome == outcomeServed && len(u.Latency) > 0 && len(u.Latency) == len(u.Sent):
		case u.Outcome == outcomeRefused && len(u.Reasons) > 0 && u.Why != "":
		default:
			t.Errorf("%s: %+v; want it served, or refused with a reason", run.runPlan, u)
		}
	}
}

// Who admits all serves somebody, however busy the machine is, and what the UEs saw of it comes back.
func TestAdmissionServes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "frame"), make([]byte, small), 0o644); err != nil {
		t.Fatal(err)
	}
	a := Admission{Setup: *quick(t), UE: func(u AdmissionUE) *exec.Cmd { return role{UE: &u}.process() }, Work: Work{Frames: dir}, Out: t.TempDir(), Unlimited: true, Speed: 20}
	y, err := a.yard()
	if err != nil {
		t.Fatal(err)
	}
	defer y.end()
	if err := y.warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	run, err := y.run(t.Context(), madeSweep(), runPlan{"matched", modeOpen, armLeast, 1})
	if err != nil {
		t.Fatal(err)
	}
	checkRun(t, run)
	if len(run.served()) == 0 || run.peak() == 0 {
		t.Errorf("nobody is served: %s", summed(run))
	}
}

// A UE that cannot read its work says so, and no run is made of it.
func TestAdmissionWithoutFrames(t *testing.T) {
	a := Admission{Setup: *quick(t), UE: func(u AdmissionUE) *exec.Cmd { return role{UE: &u}.process() }, Work: Work{Frames: t.TempDir()}, Out: t.TempDir(), Unlimited: true, Speed: 20}
	if _, err := a.Run(t.Context(), &bytes.Buffer{}); err == nil {
		t.Error("there are no frames, and nothing is said")
	}
	a.Only = "no such case"
	if _, err := a.Run(t.Context(), &bytes.Buffer{}); err == nil {
		t.Error("no case has that name, and nothing is said")
	}
}

// Results of one network are not gone on with by another: the loads come from what the hosts could take with the first.
func TestAdmissionOfAnotherNetwork(t *testing.T) {
	a := Admission{Setup: *quick(t), UE: func(AdmissionUE) *exec.Cmd { t.Error("a UE is started"); return exec.Command("true") }, Work: Work{Network: "slow", Frames: t.TempDir()}, Out: t.TempDir(), Unlimited: true, Speed: 20}
	r, err := openResults(filepath.Join(a.Out, a.pickName()))
	if err != nil {
		t.Fatal(err)
	}
	s := madeSweep()
	s.Network = "fast"
	if err := r.add(line{Sweep: s}); err != nil {
		t.Fatal(err)
	}
	_, err = a.Run(t.Context(), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), `are of "fast", and this would go on with "slow"`) {
		t.Errorf("got %v", err)
	}
}
