package policy_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// A nightly policy keeps calls on the UE while its battery is charged, and offloads large requests only.
type nightly struct{ Bytes int }

func (p nightly) Decide(c policy.Call, v *policy.View) policy.Decision {
	if charge, known := v.Device.Battery.Get(); v.Device.Charging || known && charge > 0.9 || c.Bytes < p.Bytes || !c.Ready {
		return policy.Decision{Why: policy.Why{Reason: policy.Fixed}}
	}
	return policy.Decision{Where: policy.OnEdge, Why: policy.Why{Reason: policy.HostReady}}
}

// An application can have a policy of its own.
func ExamplePolicy() {
	p := policy.Contain(nightly{Bytes: 10_000}, nil)
	d := p.Decide(policy.Call{Ready: true, Bytes: 50_000}, &policy.View{Device: policy.Device{Battery: policy.Known(0.4)}})
	fmt.Println(d.Where, "because", d.Why)
	d = p.Decide(policy.Call{Ready: true, Bytes: 50_000}, &policy.View{Device: policy.Device{Charging: true}})
	fmt.Println(d.Where, "because", d.Why)
	// Output:
	// edge because the edge host is ready
	// ue because the policy names this place
}
