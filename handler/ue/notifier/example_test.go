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

	before := n.Sample()
	// A video frame is computed here.
	after := n.Sample()

	fmt.Println("used a plausible number of cores:", after.CoresSince(before) < 1000)
	if !after.Has(notifier.Temperature) && after.TemperatureSource == "" {
		after.TemperatureSource = "unknown"
	}
	fmt.Println("names where the temperature is from:", after.TemperatureSource != "")
	// Output:
	// used a plausible number of cores: true
	// names where the temperature is from: true
}
