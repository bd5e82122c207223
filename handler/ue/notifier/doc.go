// Package notifier samples the device: processor, memory, temperature, network and
// energy, for the UE offload handler and for people who watch.
//
// A [Notifier] reads two groups of sources. Each call of [Notifier.Sample] reads the fast
// group: the processor time of this process, and the clock. That takes well under a
// microsecond on Linux and allocates nothing, so an application can do it for each video
// frame. A goroutine of the notifier reads the slow group, which comes from files and
// drivers, each [Config.SlowInterval]. A sample holds the last reading, and its time.
//
//	n, err := notifier.New(nil)
//	...
//	defer n.Close()
//	s := n.Sample()
//	if s.Has(notifier.Temperature) {
//		fmt.Println(s.Temperature, "at", s.TemperatureSource)
//	}
//
// # What a device does not tell
//
// [Sample.Known] names the metrics that a sample holds; the fields of the others are zero
// and mean nothing. What is known depends on the
// system: Android hides the processor's load from applications, Darwin without
// cgo has neither load nor sensors, and only Linux reports energy, on
// machines with RAPL, and mostly to root alone.
//
// # Concurrency
//
// All methods may be called by many goroutines at once. [Notifier.Sample]
// measures ProcessCPU since the last Sample of any goroutine; for an interval of your own
// use [Notifier.Watch] or [Sample.CoresSince].
//
// # Limits
//
// The processor time is that of this process, without its children. On Darwin
// without cgo, memory comes from the ps command.
package notifier
