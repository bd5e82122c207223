package notifier

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// What a sensor may tell.
const (
	// coldest: drivers read 0 or less for a sensor that is asleep or not wired, and a processor that runs is warmer.
	coldest = 0.1
	// hottestDie: processors switch themselves off at 90 to 125 °C. Jetson's CPU does at 102.5 °C, its PLL at 127
	// (tegra_soctherm); Intel's at about Tjmax + 30, 130 at most, but slows down from Tjmax, 115 at most, on.
	hottestDie = 125
	// lowestLimit: Exynos has trip points at 20 °C, from which on its governor looks.
	lowestLimit = 50
	// hottestSkin: a surface that is touched may have 48 °C for less than 10 minutes, 60 at most (IEC 62368-1, TS1).
	hottestSkin = 85
)

// A rule says when sensors of a metric are not believed. The zero rule believes all.
type rule struct {
	// jump is the change from one reading to the next that no true sensor shows.
	jump float64
	// settled is after how long a value that has jumped is believed again; 0 means never, except if it jumps back.
	settled time.Duration
	// still is how long a reading may stay the same while the processor's load changes much.
	still time.Duration
	// spread is how far sensors may differ, if there are some for the metric.
	spread float64
}

// The rules. A die at 40 °C may be at 95 a quarter of a second later under a full load; a skin takes
// minutes. Of a battery a jump is its exchange, or a gauge that learns.
var rules = [numMetrics]rule{
	Temperature:     {jump: 57, still: time.Minute, spread: 55},
	SkinTemperature: {jump: 15, still: 10 * time.Minute, spread: 30},
	Battery:         {jump: 10, settled: time.Minute},
}

// watched says whether the metric's sensors are followed over time.
func (r *rule) watched() bool { return r.jump > 0 }

const (
	// stillForever is how long a reading may stay the same whatever the load does.
	stillForever = time.Hour
	// loadChange is by how much the load has to change to change a temperature.
	loadChange = 0.5
	// forgetful is after which silence a sensor is as good as a new one.
	forgetful = 30 * time.Second
)

// A history is what a sensor has told.
//
//	           changes by more than jump
//	believed ----------------------------> doubted
//	         <----------------------------
//	          the jumps add up to less than jump again, or it was settled for long enough
//
//	           the same for too long
//	believed -------------------------> still
//	         <-------------------------
//	               it changes
//
// A reading that cannot be counts as none: it changes nothing here.
type history struct {
	last     float64   // what it read last
	at       time.Time // when that was
	drift    float64   // sum of the jumps
	jumped   time.Time // when the last jump was
	since    time.Time // when it began to read the same
	low, top float64   // the load's since then
}

// next takes a reading and says why it is not believed, or "". load is the smoothed share of busy cores; NaN: not known.
func (h *history) next(now time.Time, v, load float64, r *rule) (why string) {
	if h.at.IsZero() || now.Sub(h.at) > forgetful {
		*h = history{last: v, at: now, since: now, low: load, top: load}
		return ""
	}
	if d := v - h.last; math.Abs(d) > r.jump {
		h.drift += d
		h.jumped = now
	}
	if v != h.last {
		h.since, h.low, h.top = now, load, load
	}
	h.last, h.at = v, now
	if math.Abs(h.drift) <= r.jump || r.settled > 0 && now.Sub(h.jumped) >= r.settled {
		h.drift = 0
	}
	if !math.IsNaN(load) {
		h.low, h.top = fmin(h.low, load), fmax(h.top, load)
	}
	same := now.Sub(h.since)
	switch {
	case h.drift != 0:
		return "has jumped by " + strconv.FormatFloat(h.drift, 'f', 0, 64)
	case r.still > 0 && (same >= stillForever || same >= r.still && h.top-h.low >= loadChange):
		return "repeats itself"
	}
	return ""
}

func fmin(a, b float64) float64 {
	if math.IsNaN(a) || b < a {
		return b
	}
	return a
}

func fmax(a, b float64) float64 {
	if math.IsNaN(a) || b > a {
		return b
	}
	return a
}

// sensors follows the sensors of metrics that have rules. It belongs to the notifier's goroutine.
type sensors struct {
	known map[sensor]*history
	told  [numMetrics][]told // in the round under way, by the source under way
	load  smoothed
}

type sensor struct {
	metric Metric
	name   string
}

// told is what a sensor reads; why is empty if it is believed.
type told struct {
	value float64
	name  string
	why   string
	age   time.Duration
}

// maxSensors is how many are followed; phones have up to a hundred zones, of which a third are of the processor.
const maxSensors = 128

func newSensors() *sensors {
	return &sensors{known: map[sensor]*history{}, load: smoothed{value: math.NaN()}}
}

// forget makes all sensors new ones.
func (s *sensors) forget() {
	clear(s.known)
	s.load.value = math.NaN()
}

// tell takes what a sensor reads.
func (s *sensors) tell(r *Round, m Metric, t told) {
	key := sensor{m, t.name}
	h := s.known[key]
	if h == nil {
		if len(s.known) >= maxSensors {
			return
		}
		h = &history{}
		s.known[key] = h
	}
	if t.why == "" {
		t.why = h.next(r.Now, t.value, s.load.value, &rules[m])
	}
	s.told[m] = append(s.told[m], t)
}

// settle decides what the sensors of the source that was just read tell.
func (s *sensors) settle(r *Round) {
	for m := range Metrics {
		all := s.told[m]
		if len(all) == 0 {
			continue
		}
		s.told[m] = all[:0]
		if t := choose(m, all, rules[m].spread); t.why == "" {
			r.out.readings[m] = Reading{Value: t.value, Source: t.name, Age: t.age}
		} else {
			r.Unknown(m, t.name+" "+t.why)
		}
	}
}

// choose returns the hottest sensor that is believed, else one that is not. Those that are further than spread from the
// median are not believed; of two that differ so much, neither is, as either may lie. It sorts all.
func choose(m Metric, all []told, spread float64) told {
	slices.SortStableFunc(all, believedAndHottest)
	n := 0 // are believed by themselves
	for n < len(all) && all[n].why == "" {
		n++
	}
	if n == 0 || spread == 0 {
		return all[0]
	}
	good := all[:n]
	if n == 2 && good[0].value-good[1].value > spread {
		return told{name: good[0].name, why: fmt.Sprintf("reads %s and %s %s: one of them lies",
			m.Format(good[0].value), good[1].name, m.Format(good[1].value))}
	}
	median := good[n/2].value
	for _, t := range good {
		if t.value-median <= spread {
			return t
		}
	}
	return good[0] // not reached: the median is near itself
}

// believedAndHottest orders sensors: those that are believed come first, the hottest of them before others.
func believedAndHottest(a, b told) int {
	if believed := a.why == ""; believed != (b.why == "") {
		if believed {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.value, a.value)
}

// A smoothed value follows what is added with a delay of smoothTime.
type smoothed struct{ value float64 }

const smoothTime = 10 * time.Second

func (s *smoothed) add(v float64, dt time.Duration) {
	if math.IsNaN(s.value) {
		s.value = v
		return
	}
	s.value = v + (s.value-v)*math.Exp(-dt.Seconds()/smoothTime.Seconds())
}
