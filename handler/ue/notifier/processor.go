package notifier

import (
	"context"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"

	"github.com/bungee-xr/bungee/internal/cgroup"
)

// Used returns the processor time, user and system, that this process has used since it began, without its children; false
// where the system does not tell. It takes well under a microsecond on Linux: for those who measure spans of their own.
func Used() (time.Duration, bool) { return processTime() }

// A processor reads what is known of the cores.
type processor struct {
	limits cgroup.Limits
	clocks []clock
	most   float64  // Hz
	slowed []string // counters of how often a core was slowed down
	cool   []cooler

	// As of the reading before; at is zero before the first.
	at     time.Time
	own    time.Duration
	all    cpu.TimesStat
	group  time.Duration
	of     string // the group
	counts map[string]int64
}

// A clock is the frequency of some cores, in kHz.
type clock struct {
	file  string
	cores float64
}

// A cooler is a way to slow the processor down.
type cooler struct {
	name, file string
	most       float64
}

// maxCores is for how many cores each file is read.
const maxCores = 16

func (p *processor) seek(sys string) {
	p.clocks, p.most = nil, 0
	for _, policy := range glob(sys, "devices/system/cpu/cpufreq/policy*") {
		cores := max(1, len(strings.Fields(readText(filepath.Join(policy, "affected_cpus")))))
		if most, ok := readNumber(filepath.Join(policy, "cpuinfo_max_freq")); ok {
			p.most = max(p.most, float64(most)*1e3)
		}
		if len(p.clocks) < maxCores {
			p.clocks = append(p.clocks, clock{filepath.Join(policy, "scaling_cur_freq"), float64(cores)})
		}
	}
	cpus := filepath.Join(sys, "devices/system/cpu")
	p.slowed = glob(cpus, "cpu[0-9]*/thermal_throttle/core_throttle_count")
	p.slowed = p.slowed[:min(len(p.slowed), maxCores)]
	p.slowed = append(p.slowed, glob(cpus, "cpu0/thermal_throttle/package_throttle_count")...)
	p.cool = findCoolers(sys)
}

// coolers are types of cooling devices that slow the processor down: drivers/acpi/processor_thermal.c; cpufreq_cooling.c, with
// and before Linux 5.12; cpuidle_cooling.c; intel_powerclamp.c. Fans are others, and cost nothing.
var coolers = []string{"processor", "cpufreq-*", "thermal-cpufreq-*", "idle-*", "thermal-idle-*", "intel_powerclamp"}

func findCoolers(sys string) (all []cooler) {
	for _, dir := range glob(sys, "class/thermal/cooling_device*") {
		kind := readText(filepath.Join(dir, "type"))
		most, ok := readNumber(filepath.Join(dir, "max_state"))
		for _, pattern := range coolers {
			if ok && most > 0 && len(all) < maxCores && matches(pattern, strings.ToLower(kind)) {
				all = append(all, cooler{kind, filepath.Join(dir, "cur_state"), float64(most)})
			}
		}
	}
	return all
}

func (p *processor) read(ctx context.Context, r *Round, fs *files) {
	now := time.Now()
	dt := now.Sub(p.at)
	if r.Since == 0 || p.at.IsZero() || dt <= 0 {
		dt = 0 // no averages
	}
	p.at = now
	p.readOwn(r, dt)
	p.readCores(r)
	if p.limits.Cores > 0 {
		p.readGroup(r, dt)
	} else {
		p.readAll(ctx, r, dt)
	}
	p.readClocks(r, fs)
	p.readSlowed(r, fs, dt)
	p.readCoolers(r, fs)
}

// noAverage is why an average is unknown in the first sample.
const noAverage = "no average over the time before the first sample, or over a sleep"

func (p *processor) readOwn(r *Round, dt time.Duration) {
	used, ok := processTime()
	if !ok {
		r.Unknown(ProcessTime, "this system does not tell it")
		r.Unknown(ProcessCPU, "this system does not tell it")
		return
	}
	r.Tell(ProcessTime, used.Seconds(), processTimeFrom)
	if dt > 0 {
		r.Tell(ProcessCPU, max(0, float64(used-p.own)/float64(dt)), processTimeFrom)
	} else {
		r.Unknown(ProcessCPU, noAverage)
	}
	p.own = used
}

func (p *processor) readCores(r *Round) {
	cores := float64(runtime.NumCPU())
	if p.limits.Cores > 0 && p.limits.Cores < cores {
		r.Tell(Cores, p.limits.Cores, p.limits.CPUFrom)
		return
	}
	r.Tell(Cores, cores, "processors that this process may run on")
}

// readGroup tells what the processes of a limited group use of it.
func (p *processor) readGroup(r *Round, dt time.Duration) {
	used, ok := p.limits.CPUTime()
	earlier, same := p.group, p.of == p.limits.CPUFrom
	p.group, p.of = used, p.limits.CPUFrom
	switch {
	case !ok:
		p.of = ""
		r.Unknown(SystemCPU, p.limits.CPUFrom+" does not tell what it used")
	case dt == 0 || !same || used < earlier:
		r.Unknown(SystemCPU, noAverage)
	default:
		// A group may use more than its quota for a while.
		r.Tell(SystemCPU, min(1, float64(used-earlier)/float64(dt)/p.limits.Cores), p.limits.CPUFrom)
	}
}

func (p *processor) readAll(ctx context.Context, r *Round, dt time.Duration) {
	p.of = ""
	all, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(all) != 1 {
		p.all = cpu.TimesStat{}
		r.Unknown(SystemCPU, "this system does not tell it")
		return
	}
	earlier := p.all
	p.all = all[0]
	if share, ok := busyShare(earlier, p.all); ok && dt > 0 && earlier.CPU != "" {
		r.Tell(SystemCPU, share, systemTimeFrom)
	} else {
		r.Unknown(SystemCPU, noAverage)
	}
}

// busyShare returns how much of the time between two readings the cores were busy, 0 to 1. Guest time is part of user
// time already.
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

func (p *processor) readClocks(r *Round, fs *files) {
	var sum, cores float64
	for _, c := range p.clocks {
		if khz, err := fs.number(c.file); err == nil && khz > 0 { // 0: the cores are off
			sum += float64(khz) * 1e3 * c.cores
			cores += c.cores
		}
	}
	if cores > 0 {
		r.Tell(Frequency, sum/cores, "scaling_cur_freq of cpufreq")
	} else {
		r.Unknown(Frequency, "no cpufreq")
	}
	if p.most > 0 {
		r.Tell(MaxFrequency, p.most, "cpuinfo_max_freq of cpufreq")
	} else {
		r.Unknown(MaxFrequency, "no cpufreq")
	}
}

// readSlowed tells how often Intel's processors slowed a core, or the package, down.
func (p *processor) readSlowed(r *Round, fs *files, dt time.Duration) {
	if p.counts == nil {
		p.counts = map[string]int64{}
	}
	known, events := false, int64(0)
	for _, file := range p.slowed {
		n, err := fs.number(file)
		if err != nil {
			delete(p.counts, file)
			continue
		}
		if earlier, ok := p.counts[file]; ok && n >= earlier {
			known, events = true, events+n-earlier
		}
		p.counts[file] = n
	}
	switch {
	case len(p.slowed) == 0:
		r.Unknown(Throttling, "no thermal_throttle")
	case dt > 0 && known:
		r.Tell(Throttling, float64(events)/dt.Seconds(), "thermal_throttle of "+strconv.Itoa(len(p.slowed))+" counters")
	default:
		r.Unknown(Throttling, noAverage)
	}
}

func (p *processor) readCoolers(r *Round, fs *files) {
	worst, name := -1.0, ""
	for _, c := range p.cool {
		// intel_powerclamp reads -1 while it does nothing.
		if n, err := fs.number(c.file); err == nil && max(0, float64(n))/c.most > worst {
			worst, name = max(0, float64(n))/c.most, c.name
		}
	}
	if worst >= 0 {
		r.Tell(Cooling, min(1, worst), "cooling device "+name)
	} else {
		r.Unknown(Cooling, "no cooling device of the processor")
	}
}
