package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// asChild is the environment variable by which this test's program is a process of the
// benchmark. It holds a child.
const asChild = "BUNGEE_BENCH_CHILD"

type child struct {
	Fresh *FreshHost
	Crowd *Crowd
}

func runChild(conf string) error {
	var c child
	if err := json.Unmarshal([]byte(conf), &c); err != nil {
		return err
	}
	if c.Crowd != nil {
		e, err := newWazero(c.Crowd.Cache, 0)
		if err != nil {
			return err
		}
		return c.Crowd.Run(context.Background(), e, os.Stdin, os.Stdout)
	}
	e, err := newWazero(c.Fresh.Cache, 0)
	if err != nil {
		return err
	}
	return c.Fresh.Run(context.Background(), e, os.Stdout)
}

func newWazero(dir string, _ int) (executor.Engine, error) {
	return wazero.New(wazero.Config{CacheDir: dir})
}

// briefly is a benchmark that measures next to nothing, of wazero.
func briefly(t *testing.T) Executor {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	as := func(c child) *exec.Cmd {
		conf, err := json.Marshal(c)
		if err != nil {
			t.Error(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), asChild+"="+string(conf))
		return cmd
	}
	return Executor{
		Setup:    Setup{Quick: true},
		Engines:  []Engine{{Name: "wazero", Aims: true, New: newWazero}},
		GoModule: "../../../examples/hello/bungee_offload.wasm.gz",
		Crowd:    func(c Crowd) *exec.Cmd { return as(child{Crowd: &c}) },
		Fresh: []FreshProgram{
			{Name: "test", Path: self, Command: func(_ string, h FreshHost) *exec.Cmd { return as(child{Fresh: &h}) }},
			{Name: "absent", Note: "not built"},
		},
		NoDetectors: "none here",
		brief:       true,
	}
}

func TestExecutor(t *testing.T) {
	x := briefly(t)
	x.Out = t.TempDir()
	figures, err := x.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Figure{}
	for _, f := range figures {
		found[f.Case+" "+f.Metric] = f
		absent := strings.Contains(f.Note, "not built") || f.Note == x.NoDetectors
		if f.Metric == "completed" || !absent && (f.N == 0 || f.Value < 0 || math.IsNaN(f.Value) || math.IsInf(f.Value, 0)) {
			t.Errorf("%+v; want something measured", f)
		}
	}
	// Times have no bound but that of the whole test, which tells one unit from another and fails on no machine.
	const gib, ms, us = 1 << 30, 600e3, 600e6
	for _, want := range []struct {
		name     string
		min, max float64
		why      string
	}{
		{"wazero/cold start/small load_instantiate_init_p50", 1e-3, ms, "ms, of something that is done"},
		{"wazero/cold start/go load_instantiate_init_p50", 1e-3, ms, "likewise"},
		{"wazero/fresh process/c to_guest_p50_test", 0.1, ms, "a process starts"},
		{"wazero/empty call time_p50", 1e-3, us, "us, of a call"},
		{"wazero/empty call allocs", 0, 1000, "each call makes the same few"},
		{"wazero/1 MB in_and_out_p50", 1, us, "us, of two copies at least"},
		{"wazero/density/small instances_per_gib", 1, gib / 100, "an instance has more than 100 bytes"},
		{"wazero/crowd active_p99", 1e-3, us, "us, of a call"},
		{"wazero/crowd made_and_closed_per_s", 1e-3, 1e8, "they are made one by one"},
		{"wazero/edges 640x480 c_over_native_go", 0.01, 1e4, "both compute the same"},
		{"wazero/metering on_over_off_geomean", 0.1, 100, "counting takes no multiple of computing"},
		{"wazero/fuel as time r_squared", 0, 1, "a share of the variance"},
		{"wazero/fuel as time worst_ratio", 1, 1e6, "no kernel is on the line alone"},
	} {
		if f, ok := found[want.name]; !ok || f.Value < want.min || f.Value > want.max {
			t.Errorf("%s: got %+v, want %g to %g: %s", want.name, f, want.min, want.max, want.why)
		}
	}
	if _, ok := found["wazero/fresh process/c to_guest_p50_absent"]; !ok {
		t.Error("nothing is said of the program that is not built")
	}
	if b, err := os.ReadFile(filepath.Join(x.Out, "executor.png")); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
		t.Errorf("the figure is no PNG: %v", err)
	}
}

// Neighbours who call so seldom that whole phases see no call are measured until some have been seen, or
// until the context ends.
func TestSeldomNeighbours(t *testing.T) {
	x := briefly(t)
	b := &bout{stage: &stage{Executor: x, dir: t.TempDir()}, engine: x.Engines[0]}
	cores := float64(runtime.GOMAXPROCS(0))
	seldom := demand{light.work, 1 / (25 * cores)} // a call in one phase of three
	figures, err := b.neighbours(seldom)(t.Context(), "seldom")
	if err != nil || len(figures) != 1 || figures[0].N == 0 || figures[0].Value <= 0 {
		t.Errorf("got %+v, %v; want the calls of both kinds of phases", figures, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	never := demand{light.work, 1e-9 / cores}
	if figures, err := b.neighbours(never)(ctx, "never"); err == nil {
		t.Errorf("got %+v; want that its context has ended", figures)
	}
}

// A detector's figure is the first one's time over the second one's.
func TestDetectors(t *testing.T) {
	open := func(context.Context) (nn.Backend, func() error, error) {
		return &nntest.MeanBackend{}, func() error { return nil }, nil
	}
	s := &stage{Executor: briefly(t)}
	s.Detectors = []Detector{{"slow", nntest.Name, open}, {"fast", nntest.Name, open}}
	figures, err := s.detectors(t.Context(), "detector")
	if err != nil || len(figures) != 1 || figures[0].Value <= 0 || figures[0].Beside["slow_ms"] <= 0 {
		t.Errorf("got %+v, %v; want a ratio of two times", figures, err)
	}
	gone := errors.New("no library")
	s.Detectors[1].Open = func(context.Context) (nn.Backend, func() error, error) { return nil, nil, gone }
	if _, err := s.detectors(t.Context(), "detector"); !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
}

func TestFit(t *testing.T) {
	x, y := []float64{1, 2, 3, 4}, []float64{2, 4, 6, 8}
	if slope, r2 := fit(x, y); math.Abs(slope-2) > 1e-9 || math.Abs(r2-1) > 1e-9 {
		t.Errorf("a line: got slope %g, R² %g; want 2 and 1", slope, r2)
	}
	if _, r2 := fit([]float64{1, 2, 3, 4}, []float64{5, 1, 1, 5}); r2 > 1e-9 {
		t.Errorf("no line: got R² %g, want 0", r2)
	}
}

func TestSlope(t *testing.T) {
	grow := func(n int) (int, int64, error) { return n, 5000 + 100*int64(n), nil }
	if n, each, err := slope(10, grow); n != 50 || each != 100 || err != nil {
		t.Errorf("got %d instances of %g bytes, %v; want 50 of 100", n, each, err)
	}
	if _, _, err := slope(10, func(int) (int, int64, error) { return 10, 5000, nil }); err == nil {
		t.Error("a crowd that does not grow has no slope")
	}
}

func TestGuestIsCurrent(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("no clang-19; apt-get install clang-19 lld-19 and run go test -run TestGuestIsCurrent ./lab/internal/bench")
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("clang-19", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all",
		"-Wl,-z,stack-size=8192", "-o", out, "testdata/guest.c")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, msg)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, guestWasm) {
		t.Errorf("testdata/guest.wasm is not what guest.c makes (%v); run: %s, with -o testdata/guest.wasm", err, cmd)
	}
}
