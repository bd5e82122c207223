//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/stage"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

func TestPolicyFlags(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		policy policy.Policy
		levels int
		want   policy.Requirements
	}{
		{nil, policy.Toggle{Every: 50}, 1, policy.Requirements{Latency: 500 * time.Millisecond}}, // paper 001's, and the mark's deadline
		{[]string{"-policy", "toggle", "-toggle", "7"}, policy.Toggle{Every: 7}, 1, policy.Requirements{Latency: 500 * time.Millisecond}},
		{[]string{"-policy", "threshold"}, policy.Threshold{}, 1, policy.Requirements{Latency: 500 * time.Millisecond}},
		{[]string{"-policy", "adaptive", "-requirements", "latency=80ms,rate=15,energy=frugal"}, policy.Adaptive{}, len(steps),
			policy.Requirements{Latency: 80 * time.Millisecond, Rate: 15, Energy: policy.Frugal}},
		{[]string{"-policy", "adaptive", "-levels", "1", "-hedge=false", "-requirements", "none"}, unhedged{}, 1, policy.Requirements{}},
	} {
		o, err := parse(tt.args)
		if err != nil {
			t.Errorf("%v: %v", tt.args, err)
			continue
		}
		if got := policies[o.policy](&o); got != tt.policy || o.levels != tt.levels || o.require != tt.want {
			t.Errorf("%v: %#v, %d fidelities, %v; want %#v, %d, %v", tt.args, got, o.levels, o.require, tt.policy, tt.levels, tt.want)
		}
	}
}

// What is encoded smaller is found where it is in the frame, and costs fewer bytes the lower the fidelity.
func TestFidelities(t *testing.T) {
	d := open(t, "-frames", "1", "-toggle", "0", "-edge", "127.0.0.1:9", "-certs", certs(t), "-wait", "1ms")
	if err := d.cam.next(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := math.MaxInt
	for _, f := range fidelities(75, len(steps)) {
		e, err := d.cam.encode(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.jpeg) >= last {
			t.Errorf("%s has %d bytes, and the one before %d", f, len(e.jpeg), last)
		}
		last = len(e.jpeg)
		w, h := float32(d.cam.mat.Cols()), float32(d.cam.mat.Rows())
		whole := e.enlarge([]head.Box{{W: float32(shrunk(int(w), f.size)), H: float32(shrunk(int(h), f.size))}})[0]
		if max(w-whole.W, whole.W-w, h-whole.H, whole.H-h) > 0.01 {
			t.Errorf("%s: the whole picture is %g x %g of %g x %g", f, whole.W, whole.H, w, h)
		}
	}
}

// A run of the policy adaptive tells why each frame ran where it did, what each fidelity costs, and leaves a log. Nothing is late by
// ten seconds, so that each frame is at the best fidelity and has all that full quality has.
func TestAdaptiveRun(t *testing.T) {
	out := t.TempDir()
	log := filepath.Join(out, "decisions.ndjson")
	d := open(t, "-frames", "90", "-policy", "adaptive", "-requirements", "latency=10s", "-out", out, "-explain", log)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := readSummary(t, out)
	if s.Policy != "adaptive" || s.Requirements != "latency=10s" || s.Lost != 0 || s.Late != 0 || s.Frames != 90 {
		t.Errorf("%d frames of policy %s with %q: %d lost, %d late", s.Frames, s.Policy, s.Requirements, s.Lost, s.Late)
	}
	if s.Local.Frames == 0 || s.Edge.Frames == 0 {
		t.Errorf("%d frames here, %d on the host; want both to be looked at", s.Local.Frames, s.Edge.Frames)
	}
	if len(s.Levels) != len(steps) || s.Levels[0].Frames != 90 || s.Levels[0].Kept != 1 || s.Levels[0].MAP != 1 || s.Kept != 1 {
		t.Errorf("kept %v; levels %+v", s.Kept, s.Levels)
	}
	if worst := s.Levels[len(steps)-1]; !(worst.Kept < 1 && worst.Bytes < s.Levels[0].Bytes/4) {
		t.Errorf("the lowest fidelity: %+v; want one that costs detections and saves bytes", worst)
	}
	b, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(b), `"call"`) {
		t.Errorf("the log of decisions has %d bytes, %v", len(b), err)
	}
	csv, err := os.ReadFile(filepath.Join(out, "metrics.csv"))
	if err != nil || !strings.Contains(string(csv), "within 10s") {
		t.Errorf("no reason in metrics.csv, %v", err)
	}
}

// Edge hosts that stand still: each frame has an answer all the same, and they are asked no more. How late the first ones are the
// bench judges ("bungee bench policy --case demo"), as that is a matter of the machine.
func TestHostStandsStill(t *testing.T) {
	d := open(t, "-frames", "100000", "-policy", "adaptive", "-requirements", "latency=400ms")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := d.newLoop()
	signal := func(s syscall.Signal) {
		for _, name := range stage.HostNames() {
			pid := d.stage.PID(name)
			if pid == 0 { // to the kernel that is whoever asks
				t.Errorf("%s does not run", name)
				continue
			}
			if err := syscall.Kill(pid, s); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(func() { signal(syscall.SIGCONT) })
	stopped, there, here := false, 0, 0
	err := l.frames(ctx, func(f *report.Frame) {
		switch {
		case !stopped && f.Where == report.Edge:
			if there++; there == 20 {
				stopped = true
				signal(syscall.SIGSTOP)
			}
		case stopped && f.Where == report.UE && !f.Hedged:
			if here++; here == 30 {
				cancel()
			}
		case stopped && f.Hedged:
			here = 0
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the run ended with %v", err)
	}
	l.count(l.device.Sample())
	if l.run.Lost != 0 || l.run.Duplicated != 0 {
		t.Errorf("lost %d, duplicated %d; want none", l.run.Lost, l.run.Duplicated)
	}
}
