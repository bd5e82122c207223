package replay

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

const (
	// viewEvery is the least time between two views, as the UE handler has it: 20 a second.
	viewEvery = 0.05
	// sampleEvery is the time between two readings of the device, as the notifier has it: 4 a second.
	sampleEvery = 0.25
	// patience is how long a call without a deadline is waited for [ms].
	patience = 1000
)

// A run replays a trace against a policy.
type run struct {
	t      *Trace
	p      policy.Policy
	view   policy.View
	meters [][2]policy.Meter // by function, and place
	calls  []uint64
	placed []policy.Place // where the last call went
	moved  [][]float64    // when what stands for a function changed
	heat   policy.Thermometer
	up     carried
	dice   *rand.Rand

	temperature, above float64
	busy, sampled      float64 // core seconds since the last reading, and when that was
	viewed             float64
	quality            int     // sum of all calls
	pending            []ended // calls whose end is not heard of, the first to end first
	score              Score
}

// An ended call is heard of when it ends.
type ended struct {
	at       float64
	function int
	place    policy.Place
	outcome  policy.Outcome
	rate     float64 // that the way up has by it [bytes/s]; 0: it does not tell
}

// carried has the last rates of the way up that calls told, for a trace that has no rates.
type carried struct {
	last [5]float64
	n    int
	at   float64
}

const (
	// leastCarried is the least request that tells a rate [bytes], and carriedCounts how long the rates say something [s], as the UE handler has them.
	leastCarried, carriedCounts = 4 << 10, 30
)

func (c *carried) add(rate, at float64) {
	c.last[c.n%len(c.last)] = rate
	c.n, c.at = c.n+1, at
}

// reading returns the median of the last rates at a time.
func (c *carried) reading(now float64) policy.Reading[float64] {
	if c.n == 0 || now-c.at > carriedCounts {
		return policy.Reading[float64]{}
	}
	all := c.last
	rates := all[:min(c.n, len(all))]
	slices.Sort(rates)
	return policy.Known(rates[len(rates)/2])
}

// told returns the rate of the way up that a call tells when it ends: how fast its request went, beyond the round trip.
func (c *Call) told() float64 {
	network := c.Edge - c.Run - c.Queue
	if c.Edge <= 0 || c.RTT <= 0 || c.Up < leastCarried || c.Up < c.Down || network-c.RTT < c.RTT/4 {
		return 0
	}
	return float64(c.Up) / (network - c.RTT) * 1e3
}

// Run returns how a policy does on a trace. The same trace and policy give the same score.
func Run(t *Trace, p policy.Policy) Score {
	n := len(t.Functions)
	r := &run{
		t: t, p: policy.Contain(p, nil), temperature: t.Device.Start, dice: rand.New(rand.NewPCG(1, 2)),
		meters: make([][2]policy.Meter, n), calls: make([]uint64, n), placed: make([]policy.Place, n), moved: make([][]float64, n),
		viewed: math.Inf(-1), sampled: math.Inf(-1), score: Score{Calls: len(t.Calls)},
	}
	for _, f := range t.Functions {
		r.view.Functions = append(r.view.Functions, policy.Function{
			Name: f.Name, Idempotent: f.Idempotent, Rate: policy.Known(f.Rate),
			Require: policy.Requirements{Latency: duration(f.Deadline)}, Levels: f.levels(),
		})
	}
	for i := range t.Calls {
		r.step(i)
	}
	r.score.Above = r.above / max(1e-9, t.seconds())
	r.score.Quality = float64(r.quality) / float64(len(t.Calls))
	for _, at := range r.moved {
		r.score.Moves += len(at)
		r.score.Crowded = max(r.score.Crowded, crowded(at))
	}
	return r.score
}

func duration(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// crowded returns how many of some times are in one minute, at most.
func crowded(at []float64) (most int) {
	for i := range at {
		n := 0
		for n < i+1 && at[i]-at[i-n] < 60 {
			n++
		}
		most = max(most, n)
	}
	return most
}

// step runs call i.
func (r *run) step(i int) {
	c := &r.t.Calls[i]
	for len(r.pending) > 0 && r.pending[0].at <= c.T {
		r.hear()
	}
	r.sample(c)
	if c.T-r.viewed >= viewEvery {
		r.look(c)
	}
	d := r.p.Decide(policy.Call{Function: c.F, Number: r.calls[c.F], Ready: !c.Gone, Now: r.placed[c.F]}, &r.view)
	r.calls[c.F]++
	if c.Gone {
		d.Where = policy.OnUE // it falls back
	}
	r.placed[c.F] = d.Where
	if d.Why.Reason == policy.Exploring {
		r.score.Explored++
	}
	f, level := &r.t.Functions[c.F], int(d.Fidelity)
	r.quality += f.quality(level)
	encoded := f.encoded(*c, level)
	c = &encoded
	r.predicted(c, d)
	hedged := r.call(c, d)
	local := d.Where == policy.OnUE || hedged
	if r.t.Device.Limit != 0 {
		r.temperature = r.t.Device.heat(r.temperature, c.Base, r.t.gap(i))
		if local {
			r.temperature += r.t.Device.impulse(c.cpu())
		}
		if r.temperature > r.t.Device.Limit {
			r.above += r.t.gap(i)
		}
	}
	r.busy += c.Base * r.t.gap(i)
	if local {
		r.busy += c.cpu()
	}
}

// hear tells the meter of the first pending call.
func (r *run) hear() {
	e := r.pending[0]
	r.pending = r.pending[1:]
	r.meters[e.function][e.place].Add(e.outcome)
	if e.rate > 0 {
		r.up.add(e.rate, e.at)
	}
}

// call runs c as d says, and says whether the UE ran it, too.
func (r *run) call(c *Call, d policy.Decision) (hedged bool) {
	f := &r.t.Functions[c.F]
	if d.Where == policy.OnUE {
		r.end(c, d.Where, c.UE, f.late(c.UE))
		r.score.Joules += r.t.Device.here(c)
		return false
	}
	took, answered := c.Edge, c.Edge > 0
	if !answered {
		took = cmp.Or(f.Deadline, patience)
	}
	r.score.Joules += r.t.Device.there(c)
	felt := took
	if hedge := d.Hedge.Seconds() * 1e3; f.Idempotent && hedge > 0 && took > hedge {
		hedged = true
		r.score.Hedged++
		r.score.Joules += r.t.Device.here(c)
		felt = hedge + c.UE
		if answered {
			felt = min(felt, took)
		}
		answered = true
	}
	r.end(c, d.Where, took, f.late(took) || c.Edge <= 0)
	if !answered || f.late(felt) {
		r.score.Misses++
	}
	return hedged
}

// end notes what is heard of a call at a place when it ends. A miss on the UE counts here.
func (r *run) end(c *Call, where policy.Place, took float64, missed bool) {
	rate := 0.0
	o := policy.Outcome{At: duration(c.T*1e3 + took), Bytes: c.Up, Took: duration(took), Missed: missed}
	switch {
	case where == policy.OnUE:
		o.CPU = duration(c.cpu() * 1e3)
		if missed {
			r.score.Misses++
		}
	case c.Edge > 0:
		o.Up, o.Down, o.Run, o.Queue = c.Up, c.Down, duration(c.Run), duration(c.Queue)
		o.Network = max(0, duration(took-c.Run-c.Queue))
		rate = c.told()
	}
	at := c.T + took/1e3
	i, _ := slices.BinarySearchFunc(r.pending, at, func(e ended, at float64) int { return cmp.Compare(e.at, at) })
	r.pending = slices.Insert(r.pending, i, ended{at, c.F, where, o, rate})
}

// predicted notes by how much the prediction of a call at the place where it goes is off.
func (r *run) predicted(c *Call, d policy.Decision) {
	took, where := c.UE, d.Where
	if where == policy.OnEdge {
		took = c.Edge
	}
	if r.view.Functions[c.F].At(where).Calls < 20 || took <= 0 {
		return
	}
	if got := r.view.Predict(c.F, where, d.Fidelity); got.Known {
		r.score.Errors[where] = append(r.score.Errors[where], math.Abs(got.Typical.Seconds()*1e3/took-1))
	}
}

// sample reads the device.
func (r *run) sample(c *Call) {
	since := c.T - r.sampled
	if since < sampleEvery {
		return
	}
	d, v := &r.t.Device, &r.view.Device
	v.Cores = policy.Known(d.Cores)
	smooth := v.Load.Or(c.Base)
	if !math.IsInf(since, 1) {
		smooth += min(1, since) * (r.busy/since - smooth) // over a second
	}
	v.Load = policy.Known(smooth)
	if d.Limit != 0 {
		v.Limit = policy.Known(d.Limit)
		v.Temperature = policy.Known(r.temperature + d.Noise*r.dice.NormFloat64())
		r.heat.Add(duration(c.T*1e3), v.Temperature, policy.Known(r.busy/max(since, 1e-9)))
	}
	if d.Battery > 0 && d.Joules > 0 {
		v.Battery = policy.Known(max(0, d.Battery-r.score.Joules/d.Joules))
	} else {
		v.Charging = true
	}
	r.busy, r.sampled = 0, c.T
}

var radios = map[string]policy.LinkKind{"wifi": policy.WiFi, "cellular": policy.Cellular, "ethernet": policy.Ethernet, "loopback": policy.Loopback}

// look makes a view, and lets a planner plan.
func (r *run) look(c *Call) {
	r.viewed = c.T
	v := r.view
	v.At = duration(c.T*1e3) + 1
	v.Device.Thermal = r.heat.Thermal()
	v.Link = policy.Link{Kind: radios[r.t.Radio]}
	if c.RTT > 0 {
		v.Link.RTT = policy.Known(duration(c.RTT))
	}
	v.Link.Up = r.up.reading(c.T)
	if c.Rate > 0 {
		v.Link.Up, v.Link.Down = policy.Known(c.Rate), policy.Known(c.Rate)
	}
	v.Hosts = []policy.Host{{Name: "edge", Ready: !c.Gone}}
	v.Functions = slices.Clone(v.Functions)
	for i := range v.Functions {
		v.Functions[i].UE = r.meters[i][policy.OnUE].Estimate(v.At)
		v.Functions[i].Edge = r.meters[i][policy.OnEdge].Estimate(v.At)
	}
	before := v.Standings
	if p, ok := r.p.(policy.Planner); ok {
		v.Standings = p.Plan(&v)
	}
	for i := range v.Standings {
		where := policy.OnUE
		if i < len(before) {
			where = before[i].Where
		}
		if v.Standings[i].Where != where {
			r.moved[i] = append(r.moved[i], c.T)
		}
	}
	r.view = v
}
