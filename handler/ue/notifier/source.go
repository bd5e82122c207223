package notifier

import (
	"math"
	"strings"
	"time"
	"unicode"
)

// A Source tells readings of a device: [System], [Hook], [Replay] and [ThermalModel] are some.
//
// A [Notifier] calls Read for each sample, from one goroutine, for its sources in their order. Read may take a while,
// and the sample waits for it. If the source is an io.Closer, the notifier closes it after its last Read.
type Source interface {
	Read(r *Round)
}

// A Round is one reading of all sources, which makes one sample. It is a source's for the time of its Read.
type Round struct {
	// Now is when the round began.
	Now time.Time
	// Since is how long ago the round before began. It is 0 in the first one and in one after a gap ([Sample.Gap]): there
	// are no averages in these.
	Since time.Duration

	out     *Sample
	sensors *sensors
}

// Tell says what a sensor reads now, in the metric's unit. For each metric the first that tells it is believed, and a
// source that comes later in the order only counts where those before it told nothing; but of the temperature's
// sensors of one source the hottest believable one is taken. A value that is no number or
// beyond what the metric can be is not believed.
func (r *Round) Tell(m Metric, v float64, sensor string) { r.TellAged(m, v, sensor, 0) }

// TellAged is Tell for a value that was read a while ago.
func (r *Round) TellAged(m Metric, v float64, sensor string, age time.Duration) {
	if m >= numMetrics || r.out.readings[m].Known() {
		return
	}
	sensor, age = printable(sensor), max(0, age)
	why := m.refuse(v)
	if rules[m].watched() {
		r.sensors.tell(r, m, told{v, sensor, why, age})
		return
	}
	if why != "" {
		r.Unknown(m, sensor+" "+why)
		return
	}
	r.out.readings[m] = Reading{Value: v, Source: sensor, Age: age}
}

// Unknown says why a metric cannot be told. The first reason counts, and only while nobody tells the metric.
func (r *Round) Unknown(m Metric, why string) {
	if m < numMetrics && !r.out.readings[m].Known() && r.out.readings[m].Why == "" {
		r.out.readings[m].Why = printable(why)
	}
}

// Value returns what the sources before this one told of a metric, and whether it is known; of what this source told,
// only metrics that have one sensor.
func (r *Round) Value(m Metric) (float64, bool) { return r.out.Value(m) }

// told says whether the source under way has told a metric that has several sensors.
func (r *Round) told(m Metric) bool { return len(r.sensors.told[m]) > 0 }

// refuse says why v cannot be a value of m, in words that come after a sensor's name. It is empty if v can.
func (m Metric) refuse(v float64) string {
	f := &metrics[m]
	switch {
	case math.IsNaN(v):
		return "reads no number"
	case math.IsInf(v, 0):
		return "reads infinity"
	case v < f.least || v > f.most:
		return "reads " + m.Format(v) + ", which cannot be"
	}
	return ""
}

// maxName is how long the name of a sensor, or a reason, may be.
const maxName = 160

// printable makes text of the device, which anyone may have written, fit for a line.
func printable(s string) string {
	ok := func(c rune) bool { return unicode.IsPrint(c) && c != unicode.ReplacementChar }
	if len(s) <= maxName && strings.IndexFunc(s, func(c rune) bool { return !ok(c) }) < 0 {
		return s
	}
	s = strings.Map(func(c rune) rune {
		if ok(c) {
			return c
		}
		return -1
	}, s[:min(len(s), maxName)])
	return strings.TrimSpace(s)
}

// Hook returns a source of one metric that only the application can ask for: Android's thermal status, or the battery
// where the system hides it. ask is called for each sample and must return soon; false means that the metric is unknown now.
func Hook(m Metric, sensor string, ask func() (v float64, ok bool)) Source {
	return &hook{m, sensor, ask}
}

type hook struct {
	metric Metric
	sensor string
	ask    func() (float64, bool)
}

func (h *hook) Read(r *Round) {
	if v, ok := h.ask(); ok {
		r.Tell(h.metric, v, h.sensor)
	} else {
		r.Unknown(h.metric, h.sensor+" does not tell it")
	}
}
