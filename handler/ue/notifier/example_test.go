package notifier_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/handler/ue/notifier"
)

func Example() {
	n, err := notifier.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()

	s := n.Sample()
	cores, known := s.Value(notifier.Cores)
	fmt.Println("has cores:", known && cores > 0)
	r := s.Get(notifier.Temperature)
	fmt.Println("has a temperature, or says why not:", r.Known() || r.Why != "")
	// Output:
	// has cores: true
	// has a temperature, or says why not: true
}

func ExampleNotifier_Subscribe() {
	// On Android applications ask the BatteryManager, as files are hidden from them.
	battery := notifier.Hook(notifier.Battery, "BatteryManager", func() (percent float64, ok bool) { return 14, true })
	n, err := notifier.New(&notifier.Config{Sources: []notifier.Source{battery}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()

	events := make(chan notifier.Event, 1) // the first one is waited for
	low := notifier.Rule{Metric: notifier.Battery, Side: notifier.Below, Threshold: 15, Hysteresis: 5}
	stop, err := n.Subscribe(low, func(e notifier.Event) { events <- e })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	e := <-events
	fmt.Println(e.Rule.Metric, "below", e.Rule.Threshold, e.Rule.Metric.Unit(), "is", e.State.String()+", by", e.Reading.Source)
	// Output:
	// battery below 15 % is met, by BatteryManager
}
