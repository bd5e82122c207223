package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What was written is read again, and a line that was not written to its end is as if it had not begun.
func TestResultsGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out", "results.ndjson")
	r, err := openResults(path)
	if err != nil {
		t.Fatal(err)
	}
	plan := runPlan{"matched", modeOpen, armOurs, 1}
	run := &ranRun{runPlan: plan, Rate: 5, UEs: []ranUE{{Name: "headset-0", UEReport: UEReport{Outcome: outcomeServed, Latency: []float64{50, -1}}}}}
	for _, l := range []line{{Sweep: &sweep{Hosts: []sweptHost{{Name: "edge-a", PerSecond: 14}}}}, {Run: run}} {
		if err := r.add(l); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"run":{"Load":"matched","Repeat":2,`)
	f.Close()

	again, err := openResults(path)
	if err != nil {
		t.Fatal(err)
	}
	got := again.find(plan)
	if again.sweep == nil || again.sweep.fastest().PerSecond != 14 || got == nil || len(again.runs) != 1 || got.UEs[0].lost() != 94 {
		t.Fatalf("read are %+v and %+v", again.sweep, again.runs)
	}
	next := plan
	next.Repeat = 2
	if err := again.add(line{Run: &ranRun{runPlan: next}}); err != nil {
		t.Fatal(err)
	}
	if last, err := openResults(path); err != nil || last.find(next) == nil || len(last.of("matched", modeOpen, armOurs)) != 2 {
		t.Errorf("after the half line nothing can be read: %v, %+v", err, last)
	}
}

// A file that is something else is not written to, and the error says what to do.
func TestResultsOfSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.ndjson")
	if err := os.WriteFile(path, []byte("{}\nnot JSON\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openResults(path); err == nil || !strings.Contains(err.Error(), "results.ndjson:2") || !strings.Contains(err.Error(), "take the file away") {
		t.Errorf("the error is %v", err)
	}
}
