//go:build cgo && opencv

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/internal/identity"
)

// programs is the folder of the programs under test.
var programs string

// TestMain builds the real programs, with the race detector, for the tests to
// start. As a crowd this program is the demo.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == crowdCommand { // a demo in this process starts itself as its crowd
		main()
		return
	}
	os.Exit(func() int {
		if os.Getenv("BUNGEE_MODELS") == "" || os.Getenv("BUNGEE_VIDEO") == "" {
			return m.Run() // the tests that need them skip
		}
		dir, err := os.MkdirTemp("", "yolo-demo-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		programs = dir
		build := exec.Command("go", "build", "-race", "-tags", "opencv", "-o", dir+"/", "../bungee", ".")
		build.Stderr = os.Stderr
		if err := errors.Join(build.Run(), os.Chmod(dir, 0o755)); err != nil {
			fmt.Fprintln(os.Stderr, "build the programs under test:", err)
			return 1
		}
		os.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		return m.Run()
	}())
}

// open makes a demo in this process, with the edge host in another.
func open(t *testing.T, args ...string) *demo {
	t.Helper()
	need(t)
	o, err := parse(append([]string{"-http", "", "-wait", "60s"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDemo(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func need(t *testing.T) {
	t.Helper()
	if programs == "" {
		t.Skip("needs a model and a video: BUNGEE_MODELS=dir BUNGEE_VIDEO=file go test -tags opencv ./cmd/yolo-demo")
	}
}

func readSummary(t *testing.T, dir string) (s report.Summary) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRunAndReport(t *testing.T) {
	out := t.TempDir()
	d := open(t, "-frames", "120", "-toggle", "20", "-out", out)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := readSummary(t, out)
	if s.Frames != 120 || s.Local.Frames != 60 || s.Edge.Frames != 60 || s.Moves != 5 {
		t.Errorf("%d frames, %d here, %d on the host, %d moves; want 120, 60, 60, 5", s.Frames, s.Local.Frames, s.Edge.Frames, s.Moves)
	}
	if s.Lost != 0 || s.Duplicated != 0 || s.Fallbacks != 0 || s.Agreement != 1 {
		t.Errorf("lost %d, duplicated %d, fallbacks %d, agreement %v; want 0, 0, 0, 1", s.Lost, s.Duplicated, s.Fallbacks, s.Agreement)
	}
	for _, f := range []string{"metrics.csv", "figure3.svg", "figure3.png", "annotated.mp4"} {
		if st, err := os.Stat(filepath.Join(out, f)); err != nil || st.Size() < 1000 {
			t.Errorf("%s: %v, %v", f, st, err)
		}
	}
	again, err := openCamera(t.Context(), filepath.Join(out, "annotated.mp4"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	n := 0
	for again.next(t.Context()) == nil {
		n++
	}
	if n != 120 {
		t.Errorf("annotated.mp4 has %d frames, want 120", n)
	}
}

// kill -9 of the edge host while frames are in flight: each frame has its
// boxes, the other host goes on, and the dead one is started again.
func TestHostIsKilledAndComesBack(t *testing.T) {
	d := open(t, "-frames", "100000", "-toggle", "10")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := d.newLoop()
	first, pid, after := "", 0, 0
	err := l.frames(ctx, func(f *report.Frame) {
		switch {
		case f.Where != report.Edge:
		case first == "":
			first, pid = f.Host, d.stage.PID(f.Host)
			if pid == 0 {
				t.Errorf("%s computes and does not run", first)
				cancel()
				return
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		case f.Host != first:
			after++
		}
		if again := d.stage.PID(first); after >= 15 && again != 0 && again != pid {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the run ended with %v", err)
	}
	l.count(l.device.Sample())
	if l.run.Lost != 0 || l.run.Duplicated != 0 {
		t.Errorf("lost %d, duplicated %d; want none", l.run.Lost, l.run.Duplicated)
	}
	for _, f := range l.run.Frames {
		if f.Where == report.UE && f.Number/10%2 == 1 && f.Fallback == "" {
			t.Errorf("frame %d fell back without a reason", f.Number)
		}
	}
}

// The native host is an edge host, too: the third arm of paper 001.
func TestNativeHost(t *testing.T) {
	exe := os.Args[0]
	if programs != "" {
		exe = filepath.Join(programs, "yolo-demo")
	}
	need(t)
	out := t.TempDir()
	cmd := exec.Command(exe, "-host", "native", "-frames", "40", "-toggle", "10", "-http", "", "-out", out)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, b)
	}
	if s := readSummary(t, out); s.Edge.Frames == 0 || s.Edge.Frames > 20 || s.Agreement != 1 || !(s.Edge.Split.Compute > 0) {
		t.Errorf("%+v; want 20 frames on the host but for late ones, agreement 1, a measured network", s.Edge)
	}
}

// certs makes a folder of certificates that no host has.
func certs(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if err := identity.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// An edge host that does not answer: the demo says so and goes on.
func TestEdgeThatDoesNotAnswer(t *testing.T) {
	need(t)
	d := open(t, "-edge", "127.0.0.1:9", "-certs", certs(t), "-wait", "1ms", "-frames", "20", "-toggle", "5")
	l := d.newLoop()
	if err := l.frames(t.Context(), func(*report.Frame) {}); err != nil {
		t.Fatal(err)
	}
	l.count(l.device.Sample())
	if l.run.Fallbacks != 10 || l.run.Lost != 0 {
		t.Errorf("%d fallbacks, %d lost; want 10 and 0", l.run.Fallbacks, l.run.Lost)
	}
	if a := l.agreement(t.Context()); !math.IsNaN(a) {
		t.Errorf("agreement %v with nobody to agree with, want unknown", a)
	}
}

// A frame that does not decode gives the same error on both sides, and costs
// only itself.
func TestCorruptFrame(t *testing.T) {
	d := open(t, "-frames", "1")
	if err := d.cam.next(t.Context()); err != nil {
		t.Fatal(err)
	}
	good, err := d.cam.jpeg(75)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []policy.Place{policy.OnUE, policy.OnEdge} {
		d.handler.SetPolicy(policy.Always(place))
		for name, image := range map[string][]byte{"noise": []byte("no picture"), "empty": {}, "cut": good[:100]} {
			in := d.question(0, image)
			if _, err := DetectObjects(t.Context(), in); !errors.Is(err, nn.ErrBadImage) {
				t.Errorf("%s on the %v: %v, want ErrBadImage", name, place, err)
			}
		}
		in := d.question(7, good)
		if found, err := DetectObjects(t.Context(), in); err != nil || found.Frame != 7 {
			t.Errorf("the frame after, on the %v: %d, %v", place, found.Frame, err)
		}
	}
	if n := d.handler.Stats().Fallbacks; n != 0 {
		t.Errorf("%d fallbacks: an error of the function is its result", n)
	}
}

// A video that is damaged in the middle is played as far as it can be.
func TestCorruptVideo(t *testing.T) {
	need(t)
	b, err := os.ReadFile(os.Getenv("BUNGEE_VIDEO"))
	if err != nil {
		t.Fatal(err)
	}
	middle := b[len(b)/2 : len(b)/2+20_000]
	for i := range middle {
		middle[i] ^= byte(i*37 + 11)
	}
	path := filepath.Join(t.TempDir(), "damaged.mp4")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	d := open(t, "-video", path, "-frames", "700", "-toggle", "0")
	l := d.newLoop()
	frames := 0
	err = l.frames(t.Context(), func(f *report.Frame) { frames++ })
	l.count(l.device.Sample())
	if err != nil || frames != 700 || l.run.Lost != 0 {
		t.Errorf("%d frames, %d lost, %v; want 700, 0", frames, l.run.Lost, err)
	}
}

func TestBadInput(t *testing.T) {
	need(t)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("file", []byte("x"))
	yolox, err := os.ReadFile(filepath.Join(os.Getenv("BUNGEE_MODELS"), "yolox_nano.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no such video", []string{"-video", dir + "/none.mp4"}, "no such file"},
		{"not a video", []string{"-video", file}, "is not one that OpenCV can read"},
		{"no such model", []string{"-model", "yolo-9000"}, "no model is called"},
		{"missing model file", []string{"-model", dir + "/none.onnx"}, "no such file"},
		{"not a model", []string{"-model", write("noise.onnx", bytes.Repeat([]byte("noise"), 100))}, "noise.onnx"},
		{"truncated model", []string{"-model", write("cut.onnx", yolox[:len(yolox)/2])}, "cut.onnx"},
		{"unknown head", []string{"-head", "yolo-9000"}, "no head is called"},
		{"-out is a file", []string{"-out", file}, "-out"},
		{"no certificates", []string{"-edge", "127.0.0.1:9", "-certs", dir}, "bungee ca"},
		{"window without a desktop", []string{"-display"}, "DISPLAY"},
	}
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := parse(append([]string{"-http", "", "-frames", "5", "-wait", "1ms"}, tt.args...))
			if err != nil {
				t.Fatal(err)
			}
			d, err := newDemo(t.Context(), o)
			if err == nil {
				d.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v gave %v, want one that says %q", tt.args, err, tt.want)
			}
		})
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-frames", "0"}, {"-toggle", "-1"}, {"-fps", "-1"}, {"-ue-cpu", "-0.5"}, {"-quality", "0"},
		{"-policy", "best"}, {"-levels", "0"}, {"-levels", "99"}, {"-max-temperature", "NaN"}, {"-requirements", "latency=fast"},
		{"-host", "docker"}, {"-over", "sctp"}, {"-host", "native", "-edge", "x:1"},
		{"-host", "native", "-manager", "x:1"}, {"-edge", "x:1", "-manager", "y:1"}, {"-socket", "s"},
		{"-manager", "nowhere"}, {"-manager", "a:1,"}, {"-manager", ":4434"}, {"extra"}, {"-nonsense"},
	} {
		if _, err := parse(args); !errors.Is(err, errUsage) {
			t.Errorf("%v gave %v, want a usage error", args, err)
		}
	}
}

// Without the right to make a cgroup the demo says so and runs unlimited.
func TestNoRightsForCgroup(t *testing.T) {
	need(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user; run as root: go test -tags opencv -run NoRights ./cmd/yolo-demo")
	}
	home := nobodysHome(t)
	models, video := filepath.Join(home, "models"), filepath.Join(home, "video")
	if err := errors.Join(os.CopyFS(models, os.DirFS(os.Getenv("BUNGEE_MODELS"))), copyFile(video, os.Getenv("BUNGEE_VIDEO"))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(programs, "yolo-demo"), "-ue-cpu", "0.25", "-frames", "20", "-toggle", "5", "-http", "", "-out", home)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "BUNGEE_MODELS="+models, "BUNGEE_VIDEO="+video)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	b, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(b, []byte("not limited")) {
		t.Fatalf("%v:\n%s", err, b)
	}
	if s := readSummary(t, home); s.UECPU != 0 || s.Lost != 0 || s.Frames != 20 || s.Edge.Frames+s.Fallbacks != 10 {
		t.Errorf("the report says a limit of %g, %d lost, %d frames, %d on the host and %d fallbacks; want none, 0, 20, and 10 meant for the host", s.UECPU, s.Lost, s.Frames, s.Edge.Frames, s.Fallbacks)
	}
}

// nobody is a user without rights, on every Linux.
const nobody = 65534

// nobodysHome returns a folder that nobody owns and can reach: the ones above
// it, which the test made, are for root alone.
func nobodysHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for dir := home; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return home
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

// A full disk under -out: the run is not lost on the terminal, and the error
// says what is full.
func TestFullDisk(t *testing.T) {
	need(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs the right to mount a small disk (%v); run as root: go test -tags opencv -run FullDisk ./cmd/yolo-demo", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	cmd := exec.Command(filepath.Join(programs, "yolo-demo"), "-frames", "40", "-toggle", "10", "-http", "", "-out", dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("%v, stderr:\n%s\nwant exit 1 and what is full", err, stderr.String())
	}
	if !strings.Contains(stdout.String(), "40 frames") {
		t.Errorf("the table is lost:\n%s", stdout.String())
	}
}

// The page is served while the demo runs.
func TestPageIsServed(t *testing.T) {
	d := open(t, "-http", "127.0.0.1:0", "-frames", "1")
	r, err := http.Get(d.page.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK || !bytes.Contains(b, []byte("<canvas")) {
		t.Errorf("%s, %v:\n%.300s", r.Status, err, b)
	}
}

// A call of the elastic function costs this much over detectObjects itself,
// which BenchmarkNative of handler/ue shows without the network's noise.
func BenchmarkDetectObjects(b *testing.B) {
	if programs == "" {
		b.Skip("needs a model and a video: BUNGEE_MODELS=dir BUNGEE_VIDEO=file go test -tags opencv -bench . ./cmd/yolo-demo")
	}
	o, err := parse([]string{"-http", ""})
	if err != nil {
		b.Fatal(err)
	}
	d, err := newDemo(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if err := d.cam.next(b.Context()); err != nil {
		b.Fatal(err)
	}
	image, err := d.cam.jpeg(75)
	if err != nil {
		b.Fatal(err)
	}
	in := d.question(0, image)
	for _, place := range []policy.Place{policy.OnUE, policy.OnEdge} {
		b.Run(place.String(), func(b *testing.B) {
			d.handler.SetPolicy(policy.Always(place))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DetectObjects(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
