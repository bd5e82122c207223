package notifier

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/shirou/gopsutil/v3/cpu"
)

func TestBusyShare(t *testing.T) {
	tests := []struct {
		name, why string
		a, b      cpu.TimesStat
		want      float64
		ok        bool
	}{
		{"a quarter", "busy over all", cpu.TimesStat{User: 1, Idle: 10}, cpu.TimesStat{User: 2, Idle: 13}, 0.25, true},
		{"waiting for a disk", "a core that waits is idle", cpu.TimesStat{}, cpu.TimesStat{System: 1, Iowait: 1}, 0.5, true},
		{"guest", "guest time is within user time", cpu.TimesStat{}, cpu.TimesStat{User: 1, Guest: 1, Idle: 1}, 0.5, true},
		{"no time passed", "nothing can be said", cpu.TimesStat{User: 1}, cpu.TimesStat{User: 1}, 0, false},
		{"idle ran back", "Linux' iowait may fall", cpu.TimesStat{Idle: 9}, cpu.TimesStat{User: 1, Idle: 8}, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := busyShare(tt.a, tt.b)
			if math.Abs(got-tt.want) > 1e-9 || ok != tt.ok {
				t.Errorf("busyShare(%+v, %+v) = %v, %v; want %v, %v: %s", tt.a, tt.b, got, ok, tt.want, tt.ok, tt.why)
			}
		})
	}
}

// write sets a counter of a made-up powercap folder.
func write(t *testing.T, powercap, zone, file, text string) {
	t.Helper()
	dir := filepath.Join(powercap, zone)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRAPLAddsPackages(t *testing.T) {
	dir := t.TempDir()
	for zone, name := range map[string]string{
		"intel-rapl:0": "package-0", "intel-rapl:1": "package-1",
		"intel-rapl:0:0": "core", "intel-rapl:2": "psys", "intel-rapl-mmio:0": "package-0",
	} {
		write(t, dir, zone, "name", name)
		write(t, dir, zone, "energy_uj", "9000000")
		write(t, dir, zone, "max_energy_range_uj", "10000000")
	}
	r := openRAPL(dir)
	if got, ok := r.read(); got != 0 || !ok {
		t.Errorf("at the begin: %v J, %v; want 0, true", got, ok)
	}
	for _, zone := range []string{"intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"} {
		write(t, dir, zone, "energy_uj", "9999999") // parts and copies of the packages
	}
	write(t, dir, "intel-rapl:0", "energy_uj", "9500000")
	write(t, dir, "intel-rapl:1", "energy_uj", "1000000") // wrapped
	if got, ok := r.read(); got != 2.5 || !ok {
		t.Errorf("package 0 went up by 0.5 J, package 1 by 2 J through its limit: got %v J, %v; want 2.5, true", got, ok)
	}
}

func TestRAPLUnknown(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "intel-rapl:0", "name", "package-0")
	write(t, dir, "intel-rapl:0", "energy_uj", "not a number")
	write(t, dir, "intel-rapl:0", "max_energy_range_uj", "1000")
	if got, ok := openRAPL(dir).read(); got != 0 || ok {
		t.Errorf("a counter that cannot be read: %v J, %v; want 0, false", got, ok)
	}
	if got, ok := openRAPL(filepath.Join(dir, "missing")).read(); got != 0 || ok {
		t.Errorf("no powercap folder: %v J, %v; want 0, false", got, ok)
	}
}

func TestForward(t *testing.T) {
	tests := []struct {
		why             string
		last, now, wrap uint64
		want            uint64
	}{
		{"plain", 5, 9, 100, 4},
		{"through the limit", 90, 10, 100, 20},
		{"a counter beyond its limit was another driver's", 200, 10, 100, 0},
	}
	for _, tt := range tests {
		if got := forward(tt.last, tt.now, tt.wrap); got != tt.want {
			t.Errorf("forward(%d, %d, %d) = %d; want %d: %s", tt.last, tt.now, tt.wrap, got, tt.want, tt.why)
		}
	}
}

func BenchmarkSlowSources(b *testing.B) {
	p := newProbe(b.Context(), "")
	b.ReportAllocs()
	for b.Loop() {
		p.read(b.Context())
	}
}
