package notifier

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A rapl adds up the energy counters of the processor packages, as Linux'
// powercap driver shows them: microjoules, from 0 to a limit and over again.
type rapl struct {
	zones []zone
	total uint64 // microjoules since openRAPL
}

type zone struct {
	dir  string
	last uint64
	wrap uint64 // the counter's largest value
}

// openRAPL finds the packages in the powercap folder. Those that cannot be
// read, for want of rights mostly, are left out.
func openRAPL(powercap string) *rapl {
	r := &rapl{}
	dirs, _ := filepath.Glob(filepath.Join(powercap, "intel-rapl:*"))
	for _, dir := range dirs {
		if z, ok := openZone(dir); ok {
			r.zones = append(r.zones, z)
		}
	}
	return r
}

// openZone reads a zone of the package level. The zones below it are parts of
// it, and psys contains it, so they would count twice.
func openZone(dir string) (zone, bool) {
	name, err := os.ReadFile(filepath.Join(dir, "name"))
	if err != nil || !strings.HasPrefix(string(name), "package-") {
		return zone{}, false
	}
	now, ok := readCounter(dir, "energy_uj")
	if !ok {
		return zone{}, false
	}
	wrap, ok := readCounter(dir, "max_energy_range_uj")
	return zone{dir: dir, last: now, wrap: wrap}, ok
}

// read returns the energy used since openRAPL, false when no package tells it.
// It must be called before a counter wraps twice: on known processors that takes
// at least 65 kJ, which is ten minutes at 100 W.
func (r *rapl) read() (Joules, bool) {
	known := false
	for i := range r.zones {
		z := &r.zones[i]
		now, ok := readCounter(z.dir, "energy_uj")
		if !ok {
			continue
		}
		known = true
		r.total += forward(z.last, now, z.wrap)
		z.last = now
	}
	return Joules(float64(r.total) / 1e6), known
}

// forward returns how far a counter went from last to now if it went through
// wrap at most once.
func forward(last, now, wrap uint64) uint64 {
	if now >= last {
		return now - last
	}
	if last > wrap {
		return 0 // the driver was loaded again
	}
	return wrap - last + now
}

func readCounter(dir, name string) (uint64, bool) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}
