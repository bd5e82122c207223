// Package policy decides where the calls of elastic functions run.
//
// It is pure: no network, no clock, no goroutine. The UE offload handler measures, puts what it
// knows into an immutable [View], and asks a [Policy] at each call:
//
//	d := p.Decide(policy.Call{Function: 0, Number: 17, Ready: true}, view)
//	if d.Where == policy.OnEdge { ... }
//	log.Print(d.Why) // text is made only when it is asked for
//
// [Always], [WhenReady] and [Toggle] look at the call alone.
//
// # Policies that think ahead
//
// A decision is on the path of each call, so it may cost some tens of nanoseconds. What takes longer, or needs to know
// what was before, is for a [Planner]: for each new view the handler asks it for one [Standing] a function, and puts those
// into the view. Decide then looks up what stands. A planner keeps no state of its own either: what it
// settled last is in the view that it plans on.
//
// # What is not known
//
// A [Reading] may be unknown, and its zero value is. A policy must do without it; none of those here takes a missing
// temperature for a cold device, or a link that was never measured for a fast one.
//
// # Concurrency
//
// Decide is called by many goroutines at once, Plan by one. Both must leave the view as it is.
package policy
