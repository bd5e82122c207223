package placement

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/internal/qos"
)

// A trial is a session at a host, whether it is there or not.
type trial struct {
	h       *host
	x       *Session
	l       *Link // nil: it has not measured the host
	m       *Module
	way     time.Duration // of a call, on the network
	service time.Duration // of a call, in a turn
	tail    float64
}

// unknown is a module of which nothing is known.
var unknown = &Module{}

// module returns what is known of a module.
func (h *host) module(d Digest) *Module {
	i, ok := slices.BinarySearchFunc(h.Modules, d, func(m Module, d Digest) int { return bytes.Compare(m.Digest[:], d[:]) })
	if !ok {
		return unknown
	}
	return &h.Modules[i]
}

// try returns x at h, where l is its way there.
func (h *host) try(x *Session, l *Link) trial {
	t := trial{h: h, x: x, l: l, m: h.module(x.Module), way: x.Need.way(l)}
	t.tail = cmp.Or(sane(t.m.Tail), qos.FirstTail)
	if t.m.Service <= 0 {
		t.service = t.guess()
		return t
	}
	factor := max(1, sane(h.Factor))
	if l != nil {
		factor = max(factor, sane(l.Factor))
	}
	t.service = seconds(t.m.Service.Seconds() * factor)
	return t
}

// guess returns a time for a module that nobody has called yet: half of the longest with which the session could
// have what it needs, if it were alone there. So a first session is admitted, and counts as a large one.
func (t *trial) guess() time.Duration {
	longest, need := math.Inf(1), &t.x.Need
	rate, turns := sane(need.Rate), t.h.capacity()
	if rate > 0 {
		longest = min(need.inFlight(), turns) / rate
	}
	if need.Latency > 0 {
		stretch := qos.Stretch(turns, min(need.inFlight(), turns)/2, need.inFlight())
		longest = min(longest, t.rest()/qos.P99(1, t.tail, t.h.Stretch, stretch))
	}
	if math.IsInf(longest, 1) {
		return 0
	}
	return seconds(longest / 2)
}

// slowest returns what a call of x takes in a turn on the slowest of the hosts that it could be on, of those of which that is known.
func (s *Snapshot) slowest(x *Session) (longest time.Duration) {
	for i := range x.Links {
		if h := s.hosts[x.Links[i].Host]; h != nil {
			if t := h.try(x, &x.Links[i]); t.m.Service > 0 {
				longest = max(longest, t.service)
			}
		}
	}
	return longest
}

// noFasterThan returns t with a guess that is no shorter than service: what nothing is known of is not chosen for being fast.
func (t trial) noFasterThan(service time.Duration) trial {
	if t.m.Service <= 0 {
		t.service = max(t.service, service)
	}
	return t
}

// rest returns how long a call may be in the host, in s.
func (t *trial) rest() float64 { return max(0, (t.x.Need.Latency - t.way).Seconds()) }

// here says whether the session is there.
func (t *trial) here() bool { return t.x.Primary == t.h.Name }

// load returns the turns that its calls use.
func (t trial) load() float64 {
	if rate := sane(t.x.Need.Rate); rate > 0 {
		return rate * t.service.Seconds()
	}
	if t.service <= 0 {
		return 0
	}
	return t.x.Need.inFlight() // one ends, and the next begins
}

// atOnce returns how many of its calls wait for each other.
func (t trial) atOnce() float64 {
	return qos.AtOnce(t.x.Need.Rate, t.service.Seconds(), t.x.Need.inFlight())
}

// turnsTaken returns the time that those of its calls take that may be before another one, in s.
func (t trial) turnsTaken() float64 { return t.atOnce() * t.service.Seconds() }

// slack returns what the host may do to its calls.
func (t trial) slack() slack {
	if t.x.Need.Latency <= 0 {
		return slack{t.x.ID, math.Inf(1), math.Inf(1)}
	}
	return slack{t.x.ID, qos.MostStretch(t.rest(), t.service.Seconds(), t.tail, t.h.Stretch), t.rest() - t.p99Now()}
}

// p99Now returns the 99th percentile of its calls' time as the host stretches calls now, in s.
func (t trial) p99Now() float64 {
	return qos.P99(t.service.Seconds(), t.tail, t.h.Stretch, t.h.Stretch)
}

// A Prediction is what a decision expects of a session at a host.
type Prediction struct {
	Inference time.Duration // L_inf': mean time of a call in the host
	Latency   time.Duration // of 99 of 100 calls, from request to reply
	Load      float64       // share of the host's turns in use
	Missed    float64       // share of calls over the bound
}

// An option is a trial and what is expected of it.
type option struct {
	trial
	Prediction
}

// A crowd is what a host would have to do.
type crowd struct {
	load     float64 // turns in use by calls
	inFlight float64 // calls that there may be
	stretch  float64 // of all calls
	ahead    float64 // s, that the calls take which it has not shown to have, and that may be before another
}

// crowd returns what the host would have to do with t there.
func (t trial) crowd(now time.Time) crowd {
	h := t.h
	load, ahead := h.reserved(now)
	c := crowd{load: sane(h.Load) + load, inFlight: h.inFlight, ahead: ahead}
	atOnce := h.atOnce
	if !t.here() {
		c.load += t.load()
		c.inFlight += t.x.Need.inFlight()
		c.ahead += t.turnsTaken()
		atOnce += t.atOnce()
	}
	switch {
	case c.load > qos.MaxLoad*h.capacity(): // those that wait become as many as there may be
		c.ahead, atOnce = math.Inf(1), c.inFlight
	case h.learned < 1: // each call is slower
		c.ahead /= h.learned
	}
	c.stretch = qos.Stretch(h.learned, c.load, atOnce)
	return c
}

// predict says how its calls would be in a crowd. However much the host stretches calls, one waits for no more than those
// that are ahead of it beyond what it waits for now.
func (t trial) predict(c crowd) (p Prediction) {
	h, service := t.h, t.service.Seconds()
	mean, p99 := 0.0, min(qos.P99(service, t.tail, h.Stretch, c.stretch), t.p99Now()+c.ahead)
	if service > 0 { // else it takes no time, however long it waits
		mean = min(service*c.stretch, service*max(1, sane(h.Stretch))+c.ahead)
	}
	p = Prediction{Inference: seconds(mean), Latency: later(t.way, seconds(p99)), Load: math.Inf(1)}
	if h.turns > 0 {
		p.Load = c.load / h.capacity()
	}
	if t.x.Need.Latency > 0 {
		p.Missed = qos.Missed(t.rest(), mean, p99)
	}
	return p
}

// capacity returns the turns that calls may use.
func (h *host) capacity() float64 { return min(h.turns, h.learned) }

// judge says what is expected of t, and the first bound that fails.
func (t trial) judge(now time.Time, thetaNet time.Duration) (option, Rejection) {
	o := option{trial: t}
	if r := t.suits(thetaNet); r.Bound != NoBound {
		return o, r
	}
	h, need := t.h, &t.x.Need
	c := t.crowd(now)
	p := t.predict(c)
	o.Prediction = p
	memory := h.memory
	if !t.here() && t.x.Standby != h.Name {
		memory = add(memory, need.memory())
	}
	switch {
	case memory > h.Memory:
		return o, t.reject(Memory, float64(memory), float64(h.Memory), "")
	case p.Load > qos.MaxLoad && c.inFlight > h.capacity():
		return o, t.reject(Turns, p.Load*h.capacity(), qos.MaxLoad*h.capacity(), "")
	case need.Latency > 0 && p.Latency > need.Latency:
		return o, t.reject(Latency, ms(p.Latency), ms(need.Latency), "")
	case !t.here() && c.stretch > h.tightest.stretch && c.ahead > h.tightest.ahead:
		return o, t.reject(OthersLatency, c.stretch, h.tightest.stretch, h.tightest.session)
	}
	return o, Rejection{}
}

// suits says which bound fails whatever else is at the host.
func (t trial) suits(thetaNet time.Duration) Rejection {
	h, need := t.h, &t.x.Need
	for _, label := range need.Labels {
		if !slices.Contains(h.Labels, label) {
			return t.reject(Labels, 0, 0, label)
		}
	}
	alone := later(t.way, seconds(t.service.Seconds()*max(1, 1/h.turns)))
	switch {
	case h.State != Ready && !(t.here() && h.State == Cordoned):
		return t.reject(HostState, 0, 0, h.State.String())
	case need.Price > 0 && h.Price > need.Price:
		return t.reject(Price, h.Price, need.Price, "")
	case t.l != nil && thetaNet > 0 && t.l.RTT > thetaNet:
		return t.reject(Distance, ms(t.l.RTT), ms(thetaNet), "")
	case need.Latency > 0 && alone > need.Latency:
		return t.reject(TooSlow, ms(alone), ms(need.Latency), "")
	}
	return Rejection{}
}

func (t trial) reject(b Bound, have, most float64, detail string) Rejection {
	return Rejection{Host: t.h.Name, Bound: b, Have: have, Most: most, Detail: detail}
}
