// Package notifier tells how the device is: its processor, memory, temperature, battery, power and network, for the UE
// offload handler, for applications and for people who watch.
//
// A [Notifier] asks its sources four times a second and makes a [Sample] of what they tell: for each [Metric] a number in
// the metric's unit, the sensor that it is from, and its age, or why it is not known.
//
//	n, err := notifier.New(nil)
//	...
//	defer n.Close()
//	if r := n.Sample().Get(notifier.Temperature); r.Known() {
//		fmt.Printf("%.1f °C by %s\n", r.Value, r.Source)
//	}
//
// [Notifier.Sample] costs a few nanoseconds, so that it can be asked at each call of a function. [Notifier.Watch] yields each
// sample, and [Notifier.Subscribe] tells when a metric has passed a threshold, without flapping.
//
// # What is believed
//
// Sensors lie. A reading that is no number or cannot be, and a temperature that jumps by more than a processor can, that stays the
// same while the load changes, or that is far from those of the other sensors, is unknown, with the reason in
// [Reading.Why]. A sensor that has always told a wrong temperature which could be right, and is the only one, is believed.
// Averages are over the time between two samples, by the monotonic clock; the first sample, and the first after the device
// slept or the process stood still, has none ([Sample.Gap]).
//
// # What a device does not tell
//
// Linux tells most, if it has the sensors: energy is mostly for root alone, and Android hides load, sensors, battery and routes from
// applications, which can hand in what Android tells them by a [Hook]. Other systems tell the processor time of this process,
// memory, and bytes on the network; Windows also the load. Memory of Darwin without cgo comes from the ps command.
//
// A control group's limits of cores and memory are the size of the device.
//
// # Sources
//
// A [System] asks the operating system. For tests, and machines without a sensor, a [Replay] repeats what was recorded by
// [Notifier.Record], and a [ThermalModel] computes a temperature from the load; the readings' sources say so.
//
// # Concurrency
//
// All methods of a Notifier may be called by many goroutines at once.
package notifier
