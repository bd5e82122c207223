package notifier

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// A Metric is one thing that a device can tell. Its readings are numbers in [Metric.Unit].
type Metric uint8

// The metrics.
const (
	// ProcessTime is the processor time, user and system, that this process has used since it began, without its children.
	ProcessTime Metric = iota
	// ProcessCPU is how many cores this process used on average since the sample before.
	ProcessCPU
	// SystemCPU is the busy share of the device's cores since the sample before. Where a control group limits this
	// process, it is what the whole group used of its limit.
	SystemCPU
	// Cores is the device's size: its cores, or what a control group leaves of them. It need not be whole.
	Cores
	// Frequency is the mean clock rate of the cores, MaxFrequency the highest that one of them can have.
	Frequency
	MaxFrequency
	// Throttling is how often the hardware has slowed a core down since the sample before because it was hot.
	Throttling
	// Cooling is how far the system slows the processor down to cool it: 0 is not at all, 1 as far as it can.
	Cooling

	// MemoryTotal is the device's memory, or what a control group leaves of it; MemoryAvailable the part that can still
	// be had without swapping; Resident what this process has of it.
	MemoryTotal
	MemoryAvailable
	Resident

	// Temperature is that of the hottest believable sensor of the processor, SkinTemperature of the device's surface.
	Temperature
	SkinTemperature
	// TemperatureLimit is the temperature of the processor from which on the system, or the processor itself, slows it down.
	TemperatureLimit
	// ThermalStatus is Android's: 0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency, 6 shutdown
	// (android.os.PowerManager). The application hands it in, see [Hook].
	ThermalStatus

	// Battery is how full the battery is; BatteryRate how fast that changes, below 0 while it is discharged; BatteryPower
	// what is taken from it, below 0 while it is charged. Charging is 1 while an outer supply charges or holds it, else 0.
	Battery
	BatteryRate
	BatteryPower
	Charging

	// Power is what the processor packages take, on average since the sample before; Energy what they took since the
	// notifier began.
	Power
	Energy

	// LinkKind is the kind of the interface that the default route leads to, as a [Link].
	LinkKind
	// BytesUp and BytesDown were sent and received by all interfaces but loopback since the device started, by all
	// processes. They fall when an interface is taken away. LoopUp and LoopDown are the same for loopback: traffic with
	// an edge host on this machine counts there, since it needs no radio.
	BytesUp
	BytesDown
	LoopUp
	LoopDown

	// What the UE handler hands in of the way to its edge host, see [Notifier.Feel].
	RTT
	Jitter
	Loss
	RateUp
	RateDown

	numMetrics
)

// facts are what is true of a metric. A reading outside least and most is not believed.
type facts struct {
	name, unit  string
	least, most float64
}

// A process, a device or a link beyond these numbers is a mistake of whoever tells them.
const (
	manyCores = 4096
	manyBytes = 1 << 60
	manyHertz = 1e11
	manyWatts = 1e5
	longTime  = 1e10 // seconds, 300 years
)

var metrics = [numMetrics]facts{
	ProcessTime:      {"process time", "s", 0, longTime},
	ProcessCPU:       {"process cpu", "cores", 0, manyCores},
	SystemCPU:        {"system cpu", "share", 0, 1},
	Cores:            {"cores", "cores", 1e-3, manyCores},
	Frequency:        {"frequency", "Hz", 1, manyHertz},
	MaxFrequency:     {"max frequency", "Hz", 1, manyHertz},
	Throttling:       {"throttling", "1/s", 0, 1e6},
	Cooling:          {"cooling", "share", 0, 1},
	MemoryTotal:      {"memory total", "B", 1, manyBytes},
	MemoryAvailable:  {"memory available", "B", 0, manyBytes},
	Resident:         {"resident", "B", 1, manyBytes},
	Temperature:      {"temperature", "°C", coldest, hottestDie},
	SkinTemperature:  {"skin temperature", "°C", coldest, hottestSkin},
	TemperatureLimit: {"temperature limit", "°C", lowestLimit, hottestDie},
	ThermalStatus:    {"thermal status", "", 0, 6},
	Battery:          {"battery", "%", 0, 100},
	BatteryRate:      {"battery rate", "%/h", -1e4, 1e4},
	BatteryPower:     {"battery power", "W", -1e4, 1e4},
	Charging:         {"charging", "", 0, 1},
	Power:            {"power", "W", 0, manyWatts},
	Energy:           {"energy", "J", 0, manyWatts * longTime},
	LinkKind:         {"link", "", 0, float64(Cellular)},
	BytesUp:          {"bytes up", "B", 0, manyBytes},
	BytesDown:        {"bytes down", "B", 0, manyBytes},
	LoopUp:           {"loopback up", "B", 0, manyBytes},
	LoopDown:         {"loopback down", "B", 0, manyBytes},
	RTT:              {"rtt", "s", 0, 3600},
	Jitter:           {"jitter", "s", 0, 3600},
	Loss:             {"loss", "share", 0, 1},
	RateUp:           {"rate up", "bit/s", 0, 1e13},
	RateDown:         {"rate down", "bit/s", 0, 1e13},
}

// Metrics yields all metrics, in the order of their numbers.
func Metrics(yield func(Metric) bool) {
	for m := range numMetrics {
		if !yield(m) {
			return
		}
	}
}

// String returns the metric's name, by which recordings call it.
func (m Metric) String() string {
	if m >= numMetrics {
		return fmt.Sprintf("metric %d", uint8(m))
	}
	return metrics[m].name
}

// Unit returns the unit of the metric's readings: "s", "cores", "share" (0 to 1), "Hz", "1/s", "B", "°C", "%", "%/h", "W",
// "J" or "bit/s". It is empty for those that are kinds or states.
func (m Metric) Unit() string {
	if m >= numMetrics {
		return ""
	}
	return metrics[m].unit
}

// Format returns a reading of the metric with its unit, for people.
func (m Metric) Format(v float64) string {
	switch m {
	case LinkKind:
		return Link(v).String()
	case Charging:
		return map[bool]string{true: "yes", false: "no"}[v != 0]
	case RTT, Jitter:
		return time.Duration(v * float64(time.Second)).Round(10 * time.Microsecond).String()
	}
	switch unit := m.Unit(); unit {
	case "B", "Hz", "bit/s":
		return scaled(v) + unit
	case "share":
		return strconv.FormatFloat(v*100, 'f', 1, 64) + " %"
	case "°C":
		return strconv.FormatFloat(v, 'f', 1, 64) + " °C"
	case "":
		return strconv.FormatFloat(v, 'g', 4, 64)
	default:
		return strconv.FormatFloat(v, 'g', 4, 64) + " " + unit
	}
}

// scaled returns v with a prefix of the SI before its unit.
func scaled(v float64) string {
	prefix := 0
	for ; math.Abs(v) >= 1000 && prefix < 5; prefix++ {
		v /= 1000
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + []string{"", "k", "M", "G", "T", "P"}[prefix]
}

// metricOf returns the metric of a name.
func metricOf(name string) (Metric, bool) {
	for m := range Metrics {
		if metrics[m].name == name {
			return m, true
		}
	}
	return 0, false
}

// A Link is a kind of network interface.
type Link uint8

// The kinds of links.
const (
	UnknownLink Link = iota
	Loopback
	Ethernet
	WiFi
	Cellular
)

// String returns the kind in one word.
func (l Link) String() string {
	switch l {
	case Loopback:
		return "loopback"
	case Ethernet:
		return "ethernet"
	case WiFi:
		return "wifi"
	case Cellular:
		return "cellular"
	}
	return "unknown"
}
