package notifier

import (
	"context"
	stdnet "net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"
	"github.com/shirou/gopsutil/v3/process"
)

// A probe reads the slow sources. It is used by one goroutine at a time.
type probe struct {
	sysfs string
	self  *process.Process // nil where the system does not tell
	rapl  *rapl
	busy  cpu.TimesStat // as of the reading before
}

// newProbe returns a probe; sysfs may be empty.
func newProbe(ctx context.Context, sysfs string) *probe {
	root := sysfs
	if root == "" {
		root = "/sys"
	}
	p := &probe{sysfs: sysfs, rapl: openRAPL(filepath.Join(root, "class", "powercap"))}
	if self, err := process.NewProcessWithContext(ctx, int32(os.Getpid())); err == nil {
		p.self = self
	}
	return p
}

// read returns a sample with all slow fields that the device tells.
func (p *probe) read(ctx context.Context) *Sample {
	if p.sysfs != "" {
		ctx = context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostSysEnvKey: p.sysfs})
	}
	s := &Sample{SlowAt: time.Now()}
	p.readCPU(ctx, s)
	p.readMemory(ctx, s)
	readTemperature(ctx, s)
	readNetwork(ctx, s)
	if used, ok := p.rapl.read(); ok {
		s.Energy, s.Known = used, s.Known|Energy
	}
	return s
}

func (p *probe) readCPU(ctx context.Context, s *Sample) {
	all, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(all) != 1 {
		return
	}
	earlier := p.busy
	p.busy = all[0]
	if earlier.CPU == "" {
		return
	}
	if share, ok := busyShare(earlier, p.busy); ok {
		s.SystemCPU, s.Known = share, s.Known|SystemCPU
	}
}

// busyShare returns how much of the time between two readings the cores were
// busy, 0 to 1. Guest time is part of user time already.
func busyShare(a, b cpu.TimesStat) (float64, bool) {
	busy := func(t cpu.TimesStat) float64 {
		return t.User + t.Nice + t.System + t.Irq + t.Softirq + t.Steal
	}
	idle := func(t cpu.TimesStat) float64 { return t.Idle + t.Iowait }
	used := max(0, busy(b)-busy(a))
	total := used + max(0, idle(b)-idle(a))
	if total <= 0 {
		return 0, false
	}
	return used / total, true
}

func (p *probe) readMemory(ctx context.Context, s *Sample) {
	if m, err := mem.VirtualMemoryWithContext(ctx); err == nil && m.Total > 0 {
		s.MemTotal, s.MemAvailable = Bytes(m.Total), Bytes(m.Available)
		s.Known |= Memory
	}
	if p.self == nil {
		return
	}
	if m, err := p.self.MemoryInfoWithContext(ctx); err == nil && m.RSS > 0 {
		s.RSS, s.Known = Bytes(m.RSS), s.Known|Resident
	}
}

// readTemperature takes what it can get: gopsutil returns sensors and an error
// when it could read only some.
func readTemperature(ctx context.Context, s *Sample) {
	sensors, _ := host.SensorsTemperaturesWithContext(ctx)
	for _, t := range sensors {
		c := Celsius(t.Temperature)
		if !onProcessor(t.SensorKey) || !plausible(c) {
			continue
		}
		if !s.Has(Temperature) || c > s.Temperature {
			s.Temperature, s.TemperatureSource = c, t.SensorKey
			s.Known |= Temperature
		}
	}
}

// processorSensors are parts of the names that drivers give to sensors on a
// processor: coretemp, k10temp and zenpower on PCs, x86_pkg_temp, cpu-thermal,
// soc and the like on boards, tsens and mtkts on phones.
var processorSensors = []string{
	"cpu", "core", "pkg", "package", "k10temp", "zenpower", "soc", "tsens", "bcm2835",
}

// onProcessor says whether a sensor of that name sits on the processor.
func onProcessor(sensor string) bool {
	sensor = strings.ToLower(sensor)
	for _, part := range processorSensors {
		if strings.Contains(sensor, part) {
			return true
		}
	}
	return false
}

// plausible says whether c is a temperature, and not what drivers report for a sensor that
// is asleep or missing: 0, -127, 255 and the like.
func plausible(c Celsius) bool { return c > 0 && c < 150 }

func readNetwork(ctx context.Context, s *Sample) {
	counters, err := net.IOCountersWithContext(ctx, true)
	if err != nil || len(counters) == 0 {
		return
	}
	loop := loopbacks()
	for _, c := range counters {
		up, down := &s.NetUp, &s.NetDown
		if loop[c.Name] {
			up, down = &s.LoopUp, &s.LoopDown
		}
		*up += Bytes(c.BytesSent)
		*down += Bytes(c.BytesRecv)
	}
	s.Known |= Network
}

// loopbacks returns the names of the loopback interfaces.
func loopbacks() map[string]bool {
	names := map[string]bool{}
	all, err := stdnet.Interfaces()
	if err != nil {
		return map[string]bool{"lo": true, "lo0": true} // as Linux and Darwin call it
	}
	for _, i := range all {
		if i.Flags&stdnet.FlagLoopback != 0 {
			names[i.Name] = true
		}
	}
	return names
}
