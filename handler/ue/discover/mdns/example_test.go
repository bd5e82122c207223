package mdns_test

import (
	"context"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/discover/mdns"
)

// A UE without a manager on its link runs its calls itself, and asks again later.
func Example() {
	var managers ue.Discoverer = mdns.Browser{Interfaces: []string{"no-such-interface"}, Wait: time.Second}
	_, err := managers.Managers(context.Background())
	fmt.Println(err)
	// Output:
	// of the interfaces ["no-such-interface"] none is up and has an address
}
