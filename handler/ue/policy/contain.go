package policy

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
)

// ErrRestless is why a policy is replaced that moves a function at nearly every call.
var ErrRestless = errors.New("it moves a function at nearly every call")

const (
	// mostMoves is how many of 63 steps from one call of a function to the next may change the place. A Toggle
	// after every other call makes 32 of them, and exploring a few.
	mostMoves = 48
	// watched is for how many functions it is looked at.
	watched = 64
)

// A Contained policy is another one whose faults are harmless: when it panics, names no place, or moves a function at nearly
// every call, all calls run on the UE from then on, with the reason Replaced. It may be used by many goroutines at once.
type Contained struct {
	policy  Policy
	planner Planner // policy, where it is one
	report  func(error)

	failed atomic.Bool
	places [watched]atomic.Uint64 // where the last 64 calls of a function went, the last one in the lowest bit
}

// Contain returns p, contained. When p is replaced, report hears why, once, on the goroutine that finds out. Nil tells nobody.
func Contain(p Policy, report func(error)) *Contained {
	c := &Contained{policy: p, report: report}
	c.planner, _ = p.(Planner)
	return c
}

// Failed says that the policy was replaced.
func (c *Contained) Failed() bool { return c.failed.Load() }

// Decide returns the policy's decision, or the UE.
func (c *Contained) Decide(call Call, v *View) (d Decision) {
	if c.failed.Load() {
		return replaced
	}
	defer c.catchDecide(&d)
	d = c.policy.Decide(call, v)
	if d.Where > OnEdge {
		panic(fmt.Sprintf("it places a call at %d, which is no place", d.Where))
	}
	d.Hedge = max(0, d.Hedge)
	c.watch(call.Function, d.Where)
	return d
}

// Foresee returns what Decide would, of a call that is not made.
func (c *Contained) Foresee(call Call, v *View) (d Decision) {
	if c.failed.Load() {
		return replaced
	}
	defer c.catchDecide(&d)
	return c.policy.Decide(call, v)
}

// Plan returns what the policy settles; of one that is no Planner, what stood before.
func (c *Contained) Plan(v *View) (s []Standing) {
	if c.planner == nil || c.failed.Load() {
		return v.Standings
	}
	defer c.catchPlan(&s)
	return c.planner.Plan(v)
}

var replaced = Decision{Why: Why{Reason: Replaced}}

// watch counts the moves of a function. Calls that are decided at the same time may be missed. Where the last 64 calls went to one
// place, it only looks: a call writes nothing that others read.
func (c *Contained) watch(function int, p Place) {
	if uint(function) >= watched {
		return
	}
	before := c.places[function].Load()
	places := before<<1 | uint64(p)
	if places == before {
		return
	}
	c.places[function].Store(places)
	if bits.OnesCount64((places^places>>1)<<1) > mostMoves {
		c.fail(ErrRestless)
	}
}

// catchDecide is deferred by Decide.
func (c *Contained) catchDecide(d *Decision) {
	if r := recover(); r != nil {
		c.fail(fmt.Errorf("it panicked: %v", r))
		*d = replaced
	}
}

// catchPlan is deferred by Plan.
func (c *Contained) catchPlan(s *[]Standing) {
	if r := recover(); r != nil {
		c.fail(fmt.Errorf("it panicked: %v", r))
		*s = nil
	}
}

// fail replaces the policy.
func (c *Contained) fail(why error) {
	if !c.failed.Swap(true) && c.report != nil {
		c.report(fmt.Errorf("policy %T: %w", c.policy, why))
	}
}
