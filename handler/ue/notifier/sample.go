package notifier

import (
	"iter"
	"time"
)

// A Reading is what a device tells of one metric. The zero Reading is unknown.
type Reading struct {
	// Value is in the metric's unit. It means nothing while the metric is unknown.
	Value float64
	// Source is the sensor, file or call that the value is from: it begins with "modelled" or "replayed" where no device
	// was measured. It is empty while the metric is unknown.
	Source string
	// Why says why the metric is unknown, as far as that is known.
	Why string
	// Age is how old the value was when its sample was made.
	Age time.Duration
}

// Known says whether there is a value.
func (r Reading) Known() bool { return r.Source != "" }

// A Sample is the state of the device at one moment. It never changes, and may be read by many goroutines at once.
type Sample struct {
	// At is when it was made. Differences of it are monotonic: a wall clock that is set changes none.
	At time.Time
	// Gap says that it is the first sample, or the first after the device slept or the process stood still. Such a
	// sample has no averages.
	Gap bool

	readings [numMetrics]Reading
}

// Get returns the reading of a metric.
func (s *Sample) Get(m Metric) Reading {
	if m >= numMetrics {
		return Reading{}
	}
	return s.readings[m]
}

// Value returns the value of a metric, and whether it is known.
func (s *Sample) Value(m Metric) (float64, bool) {
	r := s.Get(m)
	return r.Value, r.Known()
}

// Link returns the kind of the link that the default route leads to.
func (s *Sample) Link() Link {
	v, _ := s.Value(LinkKind)
	return Link(v)
}

// All yields the readings of all metrics, unknown ones too.
func (s *Sample) All() iter.Seq2[Metric, Reading] {
	return func(yield func(Metric, Reading) bool) {
		for m := range Metrics {
			if !yield(m, s.readings[m]) {
				return
			}
		}
	}
}
