package notifier_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/handler/ue/notifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB, cfg *notifier.Config) *notifier.Notifier {
	t.Helper()
	n, err := notifier.New(cfg)
	if err != nil {
		t.Fatalf("New(%+v): %v", cfg, err)
	}
	t.Cleanup(n.Close)
	return n
}

// burn uses processor time until the process has used that much more of it.
func burn(n *notifier.Notifier, d time.Duration) {
	for begin := n.Sample().ProcessCPUTime; n.Sample().ProcessCPUTime-begin < d; {
		for i := range 1 << 16 {
			_ = i * i
		}
	}
}

func TestSampleOfThisMachine(t *testing.T) {
	n := start(t, nil)
	s := n.Sample()
	if !s.Has(notifier.ProcessCPU) {
		t.Fatalf("known is %v; want process cpu on %s", s.Known, runtime.GOOS)
	}
	if s.ProcessCPUTime <= 0 || s.ProcessCPU != 0 {
		t.Errorf("first sample has %v of processor time and %v cores; want more than 0, and 0",
			s.ProcessCPUTime, s.ProcessCPU)
	}
	if runtime.GOOS != "linux" {
		t.Skip("what follows is told by Linux only; GOOS=linux go test ./handler/ue/notifier")
	}
	if !s.Has(notifier.Memory | notifier.Resident) {
		t.Errorf("known is %v; want memory and resident", s.Known)
	}
	if s.RSS == 0 || s.RSS > s.MemTotal || s.MemAvailable > s.MemTotal {
		t.Errorf("resident %d, available %d, total %d; want 0 < resident <= total, available <= total",
			s.RSS, s.MemAvailable, s.MemTotal)
	}
	if s.Has(notifier.Temperature) != (s.TemperatureSource != "") {
		t.Errorf("known %v with source %q; want both or neither", s.Known, s.TemperatureSource)
	}
	if s.LoopUp != s.LoopDown {
		t.Errorf("loopback sent %d and received %d; want the same", s.LoopUp, s.LoopDown)
	}
}

func TestProcessCPUGrowsWithWork(t *testing.T) {
	n := start(t, nil)
	before := n.Sample()
	burn(n, 20*time.Millisecond)
	after := n.Sample()
	if got := after.ProcessCPUTime - before.ProcessCPUTime; got < 20*time.Millisecond {
		t.Errorf("processor time grew by %v; want at least 20ms", got)
	}
	cores := after.CoresSince(before)
	if limit := float64(runtime.NumCPU()) * 1.5; cores <= 0 || cores > limit {
		t.Errorf("%v cores since the sample before; want over 0 and up to %v", cores, limit)
	}
	if got := before.CoresSince(after); got != 0 {
		t.Errorf("cores since a later sample are %v; want 0", got)
	}
}

// The slow sources are read anew, by their interval and not by Sample.
func TestSlowSourcesHaveTheirOwnPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, &notifier.Config{SlowInterval: time.Minute})
		first := n.Sample()
		<-time.After(59 * time.Second)
		if s := n.Sample(); s.SlowAt != first.SlowAt {
			t.Errorf("slow sources were read after 59 s; want once a minute")
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if s := n.Sample(); s.SlowAt.Sub(first.SlowAt) != time.Minute {
			t.Errorf("slow sources were read %v after the first time; want 1m0s", s.SlowAt.Sub(first.SlowAt))
		}
		n.Close()
	})
}

func TestWatchKeepsItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, nil)
		defer n.Close()
		begin := time.Now()
		var at []time.Duration
		for s := range n.Watch(t.Context(), 250*time.Millisecond) {
			at = append(at, s.At.Sub(begin))
			if len(at) == 3 {
				break
			}
		}
		for i, got := range at {
			if want := time.Duration(i) * 250 * time.Millisecond; got != want {
				t.Errorf("sample %d came after %v; want %v", i, got, want)
			}
		}
	})
}

func TestWatchEnds(t *testing.T) {
	tests := []struct {
		name, why string
		end       func(n *notifier.Notifier, cancel func())
	}{
		{"context", "the caller's context bounds the loop", func(_ *notifier.Notifier, cancel func()) { cancel() }},
		{"close", "a loop must not outlive its notifier", func(n *notifier.Notifier, _ func()) { n.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			count := 0
			for range n.Watch(ctx, time.Hour) {
				count++
				tt.end(n, cancel)
			}
			if count != 1 {
				t.Errorf("%d samples; want 1 (%s)", count, tt.why)
			}
		})
	}
}

func TestNewRefusesAWrongUnit(t *testing.T) {
	for _, every := range []time.Duration{1, -time.Second} {
		if n, err := notifier.New(&notifier.Config{SlowInterval: every}); err == nil {
			n.Close()
			t.Errorf("SlowInterval %v is accepted; want an error", every)
		} else if !strings.Contains(err.Error(), "SlowInterval") {
			t.Errorf("SlowInterval %v: %q does not name the field", every, err)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	n := start(t, nil)
	n.Close()
	n.Close()
	if s := n.Sample(); !s.Has(notifier.ProcessCPU) {
		t.Errorf("known after Close is %v; want process cpu", s.Known)
	}
}

// sysfs writes files under a made-up /sys.
func sysfs(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTemperatureOfAMadeUpSys(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sensors are files on Linux only; GOOS=linux go test ./handler/ue/notifier")
	}
	tests := []struct {
		name, why string
		files     map[string]string
		want      notifier.Celsius
		source    string
	}{
		{"none", "no sensor is unknown, not 0 °C", nil, 0, ""},
		{"hottest core", "the hottest core decides what the device must do", map[string]string{
			"class/hwmon/hwmon0/name":        "coretemp\n",
			"class/hwmon/hwmon0/temp1_input": "51000\n", "class/hwmon/hwmon0/temp1_label": "Core 0\n",
			"class/hwmon/hwmon0/temp2_input": "57500\n", "class/hwmon/hwmon0/temp2_label": "Core 1\n",
		}, 57.5, "coretemp_core_1"},
		{"disk is hotter", "a disk is not the processor", map[string]string{
			"class/hwmon/hwmon0/name": "nvme\n", "class/hwmon/hwmon0/temp1_input": "70000\n",
			"class/hwmon/hwmon1/name": "k10temp\n", "class/hwmon/hwmon1/temp1_input": "44000\n",
		}, 44, "k10temp"},
		{"disk alone", "a sensor elsewhere says nothing of the processor", map[string]string{
			"class/hwmon/hwmon0/name": "nvme\n", "class/hwmon/hwmon0/temp1_input": "70000\n",
		}, 0, ""},
		{"board", "boards and phones have thermal zones instead", map[string]string{
			"class/thermal/thermal_zone0/type": "cpu-thermal\n", "class/thermal/thermal_zone0/temp": "48312\n",
		}, 48.312, "cpu-thermal"},
		{"asleep", "drivers report nonsense for a core that sleeps", map[string]string{
			"class/hwmon/hwmon0/name": "coretemp\n", "class/hwmon/hwmon0/temp1_input": "-127000\n",
			"class/hwmon/hwmon0/temp2_input": "255000\n",
		}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, &notifier.Config{SysFS: sysfs(t, tt.files)}).Sample()
			if s.Temperature != tt.want || s.TemperatureSource != tt.source {
				t.Errorf("got %v of %q, want %v of %q: %s",
					s.Temperature, s.TemperatureSource, tt.want, tt.source, tt.why)
			}
			if got := s.Has(notifier.Temperature); got != (tt.source != "") {
				t.Errorf("known: %v; want %v: %s", got, tt.source != "", tt.why)
			}
		})
	}
}

func TestSampleAllocatesNothing(t *testing.T) {
	n := start(t, &notifier.Config{SlowInterval: time.Hour})
	if got := testing.AllocsPerRun(1000, func() { n.Sample() }); got != 0 {
		t.Errorf("a sample makes %v allocations; want 0, it is taken at each frame", got)
	}
}

func TestMetricString(t *testing.T) {
	for m, want := range map[notifier.Metric]string{
		0:                                      "nothing",
		notifier.Energy:                        "energy",
		notifier.ProcessCPU | notifier.Network: "process cpu, network",
	} {
		if got := m.String(); got != want {
			t.Errorf("Metric(%d) is %q; want %q", m, got, want)
		}
	}
}

func BenchmarkSample(b *testing.B) {
	n := start(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		n.Sample()
	}
}
