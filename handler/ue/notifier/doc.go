// Package notifier tells how the device fares: processor, memory, temperature,
// network and energy, as the UE offload handler and a person watching want them.
//
// A [Notifier] reads two groups of sources. The fast group, the processor time
// of this process and the clock, is read by each call of [Notifier.Sample],
// which takes well under a microsecond on Linux and allocates nothing, so that
// it can be asked at each video frame. The slow group, all that has to be read
// from files or asked of a driver, is read by a goroutine of the notifier each
// [Config.SlowInterval]; a sample carries what was read last, and when.
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
// Unknown is a value: [Sample.Known] names what a sample holds, and the fields
// of the rest are zero and mean nothing. Which sources there are depends on the
// system: Android hides the processor's load from applications, Darwin without
// cgo has neither load nor sensors, and energy is told by Linux alone, on
// machines with RAPL, mostly to root alone.
//
// # Concurrency
//
// All methods may be called by many goroutines at once. [Notifier.Sample]
// measures ProcessCPU since the last Sample of any of them; one who wants an
// interval of its own uses [Notifier.Watch] or [Sample.CoresSince].
//
// # Limits
//
// The processor time is this process' own; children are not counted. On Darwin
// without cgo, memory is asked of the ps command.
package notifier
