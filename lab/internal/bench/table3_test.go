package bench

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A small measurement on real processes: the row is complete, of what the host took and of what is on disk, and judges nothing.
func TestTable3(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process takes is read in /proc; on Linux: go test ./lab/internal/bench -run TestTable3")
	}
	frames := t.TempDir()
	if err := os.WriteFile(filepath.Join(frames, "one"), make([]byte, small), 0o644); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "modules")
	if err := os.Mkdir(cache, 0o700); err != nil { // nobody else's, as a host wants it
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, make([]byte, 3_000_000), 0o644); err != nil {
		t.Fatal(err)
	}
	b := Table3{
		Setup: *quick(t), UE: func(u AdmissionUE) *exec.Cmd { return role{UE: &u}.process() },
		Work: Work{Frames: frames}, Rate: 20, Length: time.Second, Program: program, Network: []string{program, program}, Cache: cache,
	}
	var table bytes.Buffer
	figures, err := b.Run(t.Context(), &table)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Figure{}
	for _, f := range figures {
		if got[f.Metric] = f; f.Bench != "table3" || f.Target != nil || !f.OK || f.N < 1 {
			t.Errorf("%+v; want a figure of table3 that judges nothing", f)
		}
	}
	for _, metric := range []string{"ram_idle", "ram_session", "ram_most", "cpu", "cpu_machine", "cpu_frame", "fps", "latency_p50"} {
		if f := got[metric]; f.N != 2 || f.Value <= 0 {
			t.Errorf("%s is %v of %d runs; want two that took something", metric, f.Value, f.N)
		}
	}
	for metric, want := range map[string]float64{"storage_program": 3, "storage_network": 6} {
		if got[metric].Value != want {
			t.Errorf("%s is %v MB; want %v", metric, got[metric].Value, want)
		}
	}
	if most, session := got["ram_most"].Value, got["ram_session"].Value; most < session {
		t.Errorf("the most is %v MB, less than the mean %v", most, session)
	}
	if text := table.String(); !strings.Contains(text, "242") || !strings.Contains(text, "Docker") {
		t.Errorf("the table has no row of the paper's:\n%s", text)
	}
	t.Log("\n" + table.String())
}

// What is in a folder is summed up, whatever is below it; a file that is not there is an error.
func TestSizeOf(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"one": 10, "a/two": 200, "a/b/three": 3000} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int64{"": 3210, "a": 3200, "one": 10} {
		if got, err := sizeOf(filepath.Join(dir, path)); got != want || err != nil {
			t.Errorf("%q has %d bytes, %v; want %d", path, got, err, want)
		}
	}
	if _, err := sizeOf(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there has a size")
	}
}
