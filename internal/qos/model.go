package qos

import "math"

const (
	// MaxLoad is the share of a host's turns that calls may use on average. Beyond it a small error of what
	// is known makes a large one of what is predicted; up to it, the latency that is predicted decides.
	MaxLoad = 0.9
	// FirstTail is the tail of a host of which none is known.
	FirstTail = 2
	// MaxTail bounds the tail: one call in a hundred that took very long is no reason never to use a host.
	MaxTail = 20
)

// Stretch predicts how many times longer than its own turn time a call takes in a host: 1 when it never waits.
// The host has so many turns, which may be a fraction. Its calls use load of them on average, and at most inFlight
// calls are there at once. It is +Inf when the host has no turn for them.
//
// A call that comes sees the host as it is without itself, which is the arrival theorem of closed queues (Reiser and
// Lavenberg 1980): of the load, 1/inFlight is its own. Its wait is that of Sakasegawa's formula for several
// servers (1977), and never more than that for a turn of each of the other calls.
func Stretch(turns, load, inFlight float64) float64 {
	turns, load, inFlight = sane(turns), sane(load), max(1, sane(inFlight))
	if turns == 0 {
		return math.Inf(1)
	}
	slow := max(1, 1/turns) // less than one turn makes each call slower
	most := max(slow, inFlight/turns)
	busy := load * (1 - 1/inFlight) / turns
	if busy >= 1 {
		return most
	}
	c := max(1, turns)
	return min(most, slow*(1+math.Pow(busy, math.Sqrt(2*(c+1))-1)/(c*(1-busy))))
}

// AtOnce returns how many calls of a session are in a host at once, as far as they wait for each other: those that come while one
// has its turn. It sends so many a second, evenly, and never more than inFlight at once; at a rate of 0 as many as that allows.
func AtOnce(rate, service, inFlight float64) float64 {
	rate, inFlight = sane(rate), max(1, sane(inFlight))
	if rate == 0 {
		return inFlight
	}
	return min(inFlight, max(1, rate*sane(service)))
}

// Missed predicts which share of calls takes longer than bound, where the mean call takes mean and one in a hundred over p99.
// It takes the tail to fall exponentially between them. All three are in one unit.
func Missed(bound, mean, p99 float64) float64 {
	bound, mean, p99 = sane(bound), sane(mean), sane(p99)
	switch {
	case p99 <= bound && p99 <= mean: // no tail, or no time at all
		return 0
	case p99 <= mean:
		return 1
	case bound <= mean:
		return min(1, 1-bound/mean/2)
	}
	return 0.5 * math.Pow(50, -(bound-mean)/(p99-mean))
}

// steep is by how much the 99th percentile of a call's time grows with its mean wait, at least: that of an
// exponential distribution, ln 100, as waits in a busy host have nearly.
var steep = math.Log(100)

// P99 predicts the 99th percentile of a call's time in a host that stretches it by after, from its tail when that was before.
// The result is in the unit of service, the mean time in a turn.
func P99(service, tail, before, after float64) float64 {
	service, before, after = sane(service), max(1, sane(before)), max(1, sane(after))
	tail = min(max(sane(tail), 1), MaxTail)
	if service == 0 { // however long it waits
		return 0
	}
	if after <= before {
		return service * tail * after
	}
	return service * (tail*before + max(tail, steep)*(after-before))
}

// MostStretch returns by how much a host may stretch calls so that [P99] is no more than bound.
func MostStretch(bound, service, tail, before float64) float64 {
	bound, service, before = sane(bound), sane(service), max(1, sane(before))
	tail = min(max(sane(tail), 1), MaxTail)
	if service == 0 {
		return math.Inf(1)
	}
	if x := bound / service; x > tail*before {
		return before + (x-tail*before)/max(tail, steep)
	}
	return bound / service / tail
}
