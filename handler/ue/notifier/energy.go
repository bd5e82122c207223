package notifier

import (
	"path/filepath"
	"strings"
	"time"
)

// A rapl adds up the energy counters of the processor packages, as Linux' powercap driver shows them
// (Documentation/power/powercap): microjoules, from 0 to a limit and over again.
type rapl struct {
	zones  []*zone
	denied bool   // some cannot be read
	total  uint64 // microjoules since the first seek
	at     time.Time
}

type zone struct {
	name, file string
	last, wrap uint64 // the counter, and its largest value
}

// seek finds the packages. Those that cannot be read, for want of rights mostly, are left out.
func (e *rapl) seek(sys string) {
	before := e.zones
	e.zones, e.denied = nil, false
	for _, dir := range glob(sys, "class/powercap/intel-rapl:*") {
		name, file := readText(filepath.Join(dir, "name")), filepath.Join(dir, "energy_uj")
		// Zones below a package are parts of it, and psys contains it: they would count twice.
		if !strings.HasPrefix(name, "package-") {
			continue
		}
		now, ok := readNumber(file)
		wrap, okWrap := readNumber(filepath.Join(dir, "max_energy_range_uj"))
		if !ok || !okWrap || now < 0 || wrap < 0 {
			e.denied = true
			continue
		}
		z := &zone{name: name, file: file, last: uint64(now), wrap: uint64(wrap)}
		for _, b := range before {
			if b.file == file {
				z.last = b.last
			}
		}
		e.zones = append(e.zones, z)
	}
}

// read tells energy and power. Counters wrap in ten minutes at 100 W, the least that is known, so none wraps twice
// between two samples.
func (e *rapl) read(r *Round, fs *files) {
	known, used, now := "", uint64(0), time.Now()
	for _, z := range e.zones {
		n, err := fs.number(z.file)
		if err != nil || n < 0 {
			continue
		}
		known = "RAPL " + e.zones[0].name
		used += forward(z.last, uint64(n), z.wrap)
		z.last = uint64(n)
	}
	if known == "" {
		why := "no RAPL"
		if e.denied {
			why = "RAPL cannot be read: only root may, mostly"
		}
		r.Unknown(Energy, why)
		r.Unknown(Power, why)
		e.at = time.Time{}
		return
	}
	e.total += used
	r.Tell(Energy, float64(e.total)/1e6, known)
	if dt := now.Sub(e.at); r.Since > 0 && !e.at.IsZero() && dt > 0 {
		r.Tell(Power, float64(used)/1e6/dt.Seconds(), known)
	} else {
		r.Unknown(Power, noAverage)
	}
	e.at = now
}

// forward returns how far a counter went from last to now if it went through wrap at most once.
func forward(last, now, wrap uint64) uint64 {
	if now >= last {
		return now - last
	}
	if last > wrap {
		return 0 // the driver was loaded again
	}
	return wrap - last + now
}
