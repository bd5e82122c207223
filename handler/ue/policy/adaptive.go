package policy

import (
	"math"
	"slices"
	"time"
)

// Adaptive places calls where they are in time, do not overheat the device, and take little energy, in this order.
//
// It predicts what a call takes at each place ([View.Predict]) and how likely it is late there, and when the device gets too hot if all stays where it is
// ([Thermal]). A function moves
//
//	away from the UE   before the temperature limit, the function that heats most first; as soon as calls there are late
//	to the UE          as soon as calls on the edge host are late, or it is not ready
//	either way         where the other place is better in time or energy, by a clear margin, and after a while
//
// so that what is urgent is not held up and what is not does not flap. The way to the edge is the one that is rationed:
// one move in 30 s. The way back is free. So a function makes 6 moves in a minute at most, whatever the world does, and is never kept at a bad host.
//
// A few calls look how it is at the other place, one in [Adaptive.Explore], never one that is expected to be late there, unless its function is hedged. Each time that a move to the edge
// had to be taken back at once, the next wait is doubled.
//
// The zero Adaptive is ready to use.
type Adaptive struct {
	// Explore is in how many calls one looks how the other place is, at least. Zero means 50.
	Explore uint64
}

const (
	// rationed is the time between two moves of a function to the edge.
	rationed = 30 * time.Second
	// ahead is how long before the temperature limit a function leaves the UE, beyond the wait for its ration.
	ahead = 10 * time.Second
	// lags is how long readings of the load take to show a move.
	lags = 2 * time.Second
	// settle is how long a function stays where it is, at least, when it would only be better off elsewhere.
	settle = 10 * time.Second
	// margin is the share of calls that must be late here and in time at the other place for a move, and urgent that at which it does
	// not wait; both beyond the standard deviation of such shares, so that chance moves nothing.
	margin = 0.01
	urgent = 0.2
	// alike is the difference of risks below which energy decides.
	alike = 0.002
	// less is how much of the energy, or of the time, another place must save.
	less = 0.8
	// refusedMost bounds the doubling of waits: 2^4 rations are 8 minutes.
	refusedMost = 4
	// unknownHot and unknownCool are how far below the limit a device with an unknown thermal model is hot, and cool again [K].
	unknownHot, unknownCool = 2, 5
	// lowCharge is the charge below which the battery counts like the preference Frugal.
	lowCharge = 0.2
)

// Decide returns where the function stands.
func (Adaptive) Decide(c Call, v *View) Decision { return stand(c, v) }

// Plan settles where each function runs.
func (a Adaptive) Plan(v *View) []Standing {
	next := make([]Standing, len(v.Functions))
	copy(next, v.Standings)
	p := plan{v: v, next: next, load: v.Device.Load.Or(0)}
	p.placeAll()
	for i := range next {
		p.finish(i, a.every())
	}
	return next
}

func (a Adaptive) every() uint64 {
	if a.Explore == 0 {
		return 50
	}
	return a.Explore
}

// A plan is under way. Functions are planned one after the other, those that heat most first: each move changes the load that the others see.
type plan struct {
	v    *View
	next []Standing
	load float64 // of the device with the moves so far [cores]
}

func (p *plan) placeAll() {
	order := make([]int, len(p.next))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmpDown(p.heat(a), p.heat(b))
	})
	for _, i := range order {
		p.fit(i)
		where, why, now := p.wants(i)
		p.move(i, where, why, now)
	}
}

func cmpDown(a, b float64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// heat returns the cores that function i keeps busy when it is on the UE.
func (p *plan) heat(i int) float64 {
	f := &p.v.Functions[i]
	return f.Rate.Or(0) * f.UE.CPU.Or(f.UE.Latency.Or(0)).Seconds()
}

// loadWith returns the device's load with function i on the UE, or not.
func (p *plan) loadWith(i int, on Place) float64 {
	load := p.load
	if p.next[i].Where == OnUE {
		load -= p.heat(i)
	}
	if on == OnUE {
		load += p.heat(i)
	}
	return max(0, load)
}

// at predicts function i at a place, with the load that the device has then.
func (p *plan) at(i int, where Place) Prediction {
	s, f := &p.next[i], &p.v.Functions[i]
	pr := p.v.Predict(i, where, s.Fidelity[where])
	cores, known := p.v.Device.Cores.Get()
	if where == OnEdge || !known || cores <= 0 || s.Where == OnUE && f.UE.Age < fresh {
		return pr
	}
	crowd := max(1, p.loadWith(i, OnUE)/cores) // measured calls have it in them; others come to share the cores
	pr.Typical, pr.Tail = scale(pr.Typical, crowd), scale(pr.Tail, crowd)
	return pr
}

// wants returns where function i is best off, and whether it is urgent.
func (p *plan) wants(i int) (Place, Why, bool) {
	f, now := &p.v.Functions[i], p.next[i].Where
	here, there := p.at(i, OnUE), p.at(i, OnEdge)
	host, ready := p.v.host()
	switch price, known := host.Price.Get(); {
	case f.Require.Private:
		return OnUE, Why{Reason: Private}, true
	case !ready:
		return OnUE, Why{Reason: HostUnready}, true
	case known && f.Require.Price > 0 && price > f.Require.Price:
		return OnUE, Why{TooDear, float32(price), float32(f.Require.Price)}, true
	}
	if why, hot := p.hot(i); hot {
		return OnEdge, why, true
	}
	where, why, urgently := p.compare(f, now, here, there)
	if !urgently && p.risky(f, there)-p.risky(f, here) <= p.tolerates(f) {
		if why, heats := p.heats(i); heats { // the little that the device can still take is for when the edge is late
			return OnEdge, why, false
		}
	}
	return where, why, urgently
}

// host returns the edge host in use, and whether it takes calls.
func (v *View) host() (Host, bool) {
	if len(v.Hosts) == 0 {
		return Host{}, false
	}
	return v.Hosts[0], v.Hosts[0].Ready
}

// hot says that function i must not be on the UE, because it could not leave before the temperature limit. One that is away can
// come back for as long as its next ration takes.
func (p *plan) hot(i int) (Why, bool) {
	d := &p.v.Device
	limit, limited := d.Limit.Get()
	temperature, known := d.Temperature.Get()
	if !limited || !known || p.heat(i) == 0 {
		return Why{}, false
	}
	away := p.next[i].Where == OnEdge
	left, modelled := p.timeToLimit(i)
	switch {
	case !modelled && (temperature >= limit-unknownHot || away && temperature > limit-unknownCool):
		return Why{Hot, float32(temperature), float32(limit)}, true
	case modelled && away && left < p.untilRation(i)+ahead+ahead/2:
		return Why{Cooling, float32(temperature), float32(limit)}, true
	case modelled && !away && left < p.untilRation(i)+ahead:
		return Why{Heating, float32(left.Seconds()), float32(limit)}, true
	}
	return Why{}, false
}

// heats says that function i cannot stay on the UE for ever, because of the temperature limit.
func (p *plan) heats(i int) (Why, bool) {
	left, modelled := p.timeToLimit(i)
	if !modelled || left >= never/4 || p.heat(i) == 0 {
		return Why{}, false
	}
	return Why{Heating, float32(left.Seconds()), float32(p.v.Device.Limit.Or(0))}, true
}

// timeToLimit returns how long it takes with function i on the UE until the temperature limit, less the error of the model.
func (p *plan) timeToLimit(i int) (time.Duration, bool) {
	d := &p.v.Device
	limit, limited := d.Limit.Get()
	temperature, known := d.Temperature.Get()
	if !limited || !known {
		return 0, false
	}
	return d.Thermal.TimeTo(limit-d.Thermal.Error.Or(0), temperature, p.loadWith(i, OnUE)).Get()
}

// untilRation returns how long function i must wait before it may move to the edge.
func (p *plan) untilRation(i int) time.Duration {
	s := &p.next[i]
	if s.Left == 0 {
		return 0
	}
	return max(0, rationed<<s.Refused-(p.v.At-s.Left))
}

// compare returns where calls of f are best off in time and energy.
func (p *plan) compare(f *Function, now Place, here, there Prediction) (Place, Why, bool) {
	deadline := f.Require.Latency
	mine, other := here, there
	if now == OnEdge {
		mine, other = there, here
	}
	stay := Why{InTime, float32(mine.Typical.Seconds()), float32(deadline.Seconds())}
	risk, risked := p.risky(f, mine), p.risky(f, other)
	if missed, known := f.At(now).Missed.Get(); known && f.At(now).Calls >= jumped && f.At(now).Age < fresh {
		risk = max(risk, missed-1.0/remembered) // one late call is no news
	}
	late := Why{TooLate, float32(mine.Typical.Seconds()), float32(deadline.Seconds())}
	switch {
	case mine.Known && !other.Known && f.At(now.Other()).Calls == 0 && risk > urgent:
		return now.Other(), late, true // nothing is known of it, but here it is late
	case !mine.Known || !other.Known:
		return now, stay, false
	}
	noise := math.Sqrt(f.At(now).variance(risk) + f.At(now.Other()).variance(risked))
	times := Why{Faster, float32(other.Typical.Seconds()), float32(mine.Typical.Seconds())}
	switch {
	case risk-risked > urgent+noise:
		return now.Other(), late, true
	case risk-risked > margin+noise && f.At(now.Other()).Recent >= leastLooks:
		return now.Other(), times, false
	case risked-risk > p.tolerates(f) && !(min(risk, risked) > urgent && risked-risk < noise): // where both are bad, chance says nothing
		return now, stay, false
	case f.Require.Energy == Performance || deadline <= 0 && f.Require.Energy == Balanced:
		if ratio(other.Typical, mine.Typical) < less {
			return now.Other(), times, false
		}
	case other.Joules < less*mine.Joules:
		return now.Other(), Why{Saving, float32(other.Joules), float32(mine.Joules)}, false
	}
	return now, stay, false
}

// risky returns the probability that a call of f is late.
func (p *plan) risky(f *Function, pr Prediction) float64 { return pr.risk(f.Require.Latency) }

// tolerates returns how much more risk f takes to save energy.
func (p *plan) tolerates(f *Function) float64 {
	charge, known := p.v.Device.Battery.Get()
	if f.Require.Energy == Frugal || f.Require.Energy == Balanced && known && !p.v.Device.Charging && charge < lowCharge {
		return 0.02
	}
	return alike
}

// moved returns when a function moved last, long ago if none has.
func (p *plan) moved() time.Duration {
	last := -settle
	for i := range p.next {
		if since := p.next[i].Since; since != 0 {
			last = max(last, since)
		}
	}
	return last
}

// move puts function i where it wants to be, if it may go now.
//
//	on the UE --urgent, or better for long; a ration is left--> on the edge
//	on the edge --urgent, or better for long--> on the UE; too soon: the next ration takes twice as long
func (p *plan) move(i int, where Place, why Why, urgently bool) {
	s, at := &p.next[i], p.v.At
	stayed := at - s.Since
	first := s.Since == 0
	wait := rationed << s.Refused
	switch {
	case where == s.Where:
		s.Why = why
		if where == OnEdge && stayed > wait {
			s.Refused = 0
		}
		return
	case !urgently && !first && stayed < settle, !urgently && p.v.At-p.moved() < lags:
		s.Why = Why{Dwelling, float32(stayed.Seconds()), float32(settle.Seconds())}
		return
	case where == OnEdge && p.untilRation(i) > 0:
		s.Why = Why{Dwelling, float32((at - s.Left).Seconds()), float32(wait.Seconds())}
		return
	}
	if where == OnEdge {
		s.Left = max(1, at)
		if why.Reason == Heating || why.Reason == Hot { // it comes back when it is cool: that is no refusal
			s.Refused = 0
		}
	} else if why.Reason != Private && stayed < settle && s.Refused < refusedMost {
		s.Refused++
	}
	p.load = p.loadWith(i, where)
	s.Where, s.Why, s.Since = where, why, max(1, at)
}
