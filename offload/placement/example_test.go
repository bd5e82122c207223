package placement_test

import (
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/offload/placement"
)

func Example() {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	module := placement.Digest{1}
	detects := []placement.Module{{Digest: module, Service: 8 * time.Millisecond, Present: true, Compiled: true}}

	var s placement.Snapshot
	s.SetHost(placement.Host{Name: "edge-1", State: placement.Ready, Turns: 1, Memory: 1 << 30, Modules: detects})
	s.SetHost(placement.Host{Name: "edge-2", State: placement.Ready, Turns: 4, Memory: 1 << 30, Modules: detects})

	for _, ue := range []string{"headset-1", "headset-2", "headset-3"} {
		x := placement.Session{
			ID: ue, Module: module,
			Need:  placement.Need{Latency: 28 * time.Millisecond, Rate: 30, InFlight: 2, Memory: 16 << 20},
			Links: []placement.Link{{Host: "edge-1", RTT: time.Millisecond}, {Host: "edge-2", RTT: 9 * time.Millisecond}},
		}
		s.SetSession(x)
		d := placement.Decide(now, &s, ue)
		fmt.Println(ue, d)
		x.Primary, x.Standby = d.Primary, d.Standby // reserved from here on
		s.SetSession(x)
	}
	// Output:
	// headset-1 placed on edge-1, since it asked (predicted: 17.0 ms, of which 8.0 in the host, 24 % of its turns)
	// headset-2 placed on edge-2, since it asked (predicted: 25.0 ms, of which 8.0 in the host, 6 % of its turns): edge-1 would take 28.6 ms, over 28.0
	// headset-3 placed on edge-2, since it asked (predicted: 25.0 ms, of which 8.0 in the host, 12 % of its turns): edge-1 would take 28.6 ms, over 28.0
}
