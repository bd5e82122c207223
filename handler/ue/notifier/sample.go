package notifier

import (
	"strconv"
	"strings"
	"time"
)

// Bytes is an amount of memory or traffic.
type Bytes uint64

// Celsius is a temperature in degrees.
type Celsius float64

// String returns the temperature with one digit after the point.
func (c Celsius) String() string { return strconv.FormatFloat(float64(c), 'f', 1, 64) + " °C" }

// Joules is an amount of energy.
type Joules float64

// A Metric is a set of things that a sample can tell. The zero Metric is the
// empty set.
type Metric uint8

// The metrics, each with the fields of Sample that it stands for.
const (
	ProcessCPU  Metric = 1 << iota // ProcessCPU, ProcessCPUTime
	SystemCPU                      // SystemCPU
	Memory                         // MemTotal, MemAvailable
	Resident                       // RSS
	Temperature                    // Temperature, TemperatureSource
	Network                        // NetUp, NetDown, LoopUp, LoopDown
	Energy                         // Energy
)

var metricNames = []string{
	"process cpu", "system cpu", "memory", "resident", "temperature", "network", "energy",
}

// String returns the names of the metrics in m, or "nothing".
func (m Metric) String() string {
	var names []string
	for i, name := range metricNames {
		if m&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// A Sample is the state of the device at one moment. A field is meaningful
// only when Known has its metric.
type Sample struct {
	// At is when ProcessCPUTime was read, SlowAt when all the others were.
	At, SlowAt time.Time
	// Known is what the sample tells.
	Known Metric

	// ProcessCPU is how many cores this process used on average since the
	// sample before: 0 when it slept, 1.5 when it kept one and a half cores
	// busy. It is 0 in the first sample.
	ProcessCPU float64
	// ProcessCPUTime is the processor time, user and system, that this process
	// has used since it began.
	ProcessCPUTime time.Duration
	// SystemCPU is the busy share of all cores, 0 to 1, over the last slow
	// interval. It is unknown until the second slow reading.
	SystemCPU float64

	// RSS is the resident memory of this process.
	RSS Bytes
	// MemTotal is the device's memory, MemAvailable the part that a new program could
	// use without swapping.
	MemTotal, MemAvailable Bytes

	// Temperature is that of the hottest sensor on the processor,
	// TemperatureSource the sensor's name.
	Temperature       Celsius
	TemperatureSource string

	// NetUp and NetDown are the bytes sent and received by all interfaces but
	// loopback since the device started, all processes together. They fall
	// when an interface is taken away.
	NetUp, NetDown Bytes
	// LoopUp and LoopDown are the same for loopback. Traffic with an edge host on this
	// machine counts there, since it needs no radio.
	LoopUp, LoopDown Bytes

	// Energy is the energy that the processor packages used since the notifier began.
	Energy Joules
}

// Has says whether the sample tells all of m.
func (s *Sample) Has(m Metric) bool { return s.Known&m == m }

// CoresSince returns how many cores this process used on average between the
// earlier sample and s, and 0 when no time passed between them.
func (s *Sample) CoresSince(earlier Sample) float64 {
	wall := s.At.Sub(earlier.At)
	if wall <= 0 || earlier.At.IsZero() {
		return 0
	}
	return max(0, float64(s.ProcessCPUTime-earlier.ProcessCPUTime)/float64(wall))
}
