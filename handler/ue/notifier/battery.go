package notifier

import (
	"math"
	"path/filepath"
	"strings"
	"time"
)

// batteries are those of the device, as Linux' power_supply class tells (Documentation/ABI/testing/sysfs-class-power).
type batteries struct {
	at    time.Time // when they were looked at
	now   cell      // all of them
	slope slope
}

// A cell is what a battery tells. What is NaN is not known.
type cell struct {
	name     string
	status   string
	level    float64 // %
	capacity float64 // Wh, when full
	power    float64 // W, taken from it
}

// look reads the batteries of the device. fresh says that there was a gap.
func (b *batteries) look(sys string, now time.Time, fresh bool) {
	var all []cell
	for _, dir := range glob(sys, "class/power_supply/*") {
		// Those of scope Device are in mice and headphones.
		if readText(filepath.Join(dir, "type")) == "Battery" && readText(filepath.Join(dir, "scope")) != "Device" &&
			readText(filepath.Join(dir, "present")) != "0" {
			all = append(all, readCell(dir))
		}
	}
	if fresh {
		b.slope = slope{}
	}
	b.at, b.now = now, joined(all)
	b.slope.add(now, b.now.level, b.now.status)
}

func readCell(dir string) cell {
	plain := func(name string) float64 {
		if n, ok := readNumber(filepath.Join(dir, name)); ok {
			return float64(n)
		}
		return math.NaN()
	}
	micro := func(name string) float64 { return plain(name) / 1e6 }
	or := func(a, b float64) float64 {
		if math.IsNaN(a) {
			return b
		}
		return a
	}
	volts := micro("voltage_now")
	c := cell{name: filepath.Base(dir), status: readText(filepath.Join(dir, "status"))}
	c.capacity = or(micro("energy_full"), micro("charge_full")*volts)
	c.level = or(plain("capacity"), 100*or(micro("energy_now")/micro("energy_full"), micro("charge_now")/micro("charge_full")))
	c.power = signed(or(micro("power_now"), micro("current_now")*volts), c.status)
	return c
}

// signed returns the power that is taken from a battery. Drivers differ in the sign of the current, so that of the status
// is taken.
func signed(power float64, status string) float64 {
	switch status {
	case "Discharging":
		return math.Abs(power)
	case "Charging":
		return -math.Abs(power)
	case "Full", "Not charging":
		return power * 0 // NaN stays
	}
	return math.NaN()
}

// joined returns batteries as if they were one.
func joined(all []cell) cell {
	if len(all) == 0 {
		nan := math.NaN()
		return cell{level: nan, capacity: nan, power: nan}
	}
	sum := all[0]
	for _, c := range all[1:] {
		a, b := sum.capacity, c.capacity
		if math.IsNaN(a + b) {
			a, b = 1, 1
		}
		sum.level = (sum.level*a + c.level*b) / (a + b)
		sum.capacity += c.capacity
		sum.power += c.power
		sum.name += "+" + c.name
		if c.status == "Discharging" || c.status == "Charging" { // others wait for it
			sum.status = c.status
		}
	}
	return sum
}

// tell tells what was read last.
func (b *batteries) tell(r *Round) {
	c, age := &b.now, r.Now.Sub(b.at)
	if c.name == "" {
		for _, m := range []Metric{Battery, BatteryRate, BatteryPower, Charging} {
			r.Unknown(m, "no battery")
		}
		return
	}
	tell := func(m Metric, v float64, from string) {
		if math.IsNaN(v) {
			r.Unknown(m, c.name+" does not tell it")
			return
		}
		r.TellAged(m, v, from, age)
	}
	tell(Battery, c.level, c.name)
	tell(BatteryPower, c.power, c.name)
	tell(Charging, charging(c.status), c.name)
	if rate := -100 * c.power / c.capacity; !math.IsNaN(rate) && !math.IsInf(rate, 0) {
		tell(BatteryRate, rate, c.name+", by its power")
	} else {
		tell(BatteryRate, b.slope.rate(), c.name+", by its level")
	}
}

func charging(status string) float64 {
	switch strings.ToLower(status) {
	case "charging", "full", "not charging":
		return 1
	case "discharging":
		return 0
	}
	return math.NaN()
}

// A slope is how fast a level changes that is told in steps: from one change of it to a later one, over half an hour
// at most.
type slope struct {
	any     bool // a level was added
	status  string
	last    float64   // the level
	from    float64   // the level at begin
	begin   time.Time // of the span: when the level changed; zero: it has not yet
	perHour float64
	known   bool // perHour is
}

const slopeSpan = 30 * time.Minute

// add takes a level. Another status, or a level that is not known, begins anew.
func (s *slope) add(now time.Time, level float64, status string) {
	if !s.any || status != s.status || math.IsNaN(level) {
		*s = slope{status: status, last: level, any: true}
		return
	}
	if level == s.last {
		return
	}
	s.last = level
	if s.begin.IsZero() {
		s.from, s.begin = level, now
		return
	}
	span := now.Sub(s.begin)
	s.perHour, s.known = (level-s.from)/span.Hours(), true
	if span >= slopeSpan {
		s.from, s.begin = level, now
	}
}

// rate returns the change in an hour; NaN if it is not known.
func (s *slope) rate() float64 {
	if !s.known {
		return math.NaN()
	}
	return s.perHour
}
