package cluster_test

import (
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/offload/cluster"
)

func Example() {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	r := cluster.New(cluster.Static("edge-1", "edge-2"), time.Second)
	if err := r.Register(now, "edge-1"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(r.Tick(now))
	fmt.Println(r.Tick(now.Add(4 * time.Second)))
	fmt.Println(r.Register(now, "edge-3"))
	// Output:
	// [{edge-1 silent ready}]
	// [{edge-1 ready silent}]
	// host "edge-3": it is no member of the cluster: the operator's list does not have it
}
