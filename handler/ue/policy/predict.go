package policy

import (
	"math"
	"time"
)

// fresh is how long measured calls at a place say more than what is made of parts.
const fresh = 2 * time.Second

// A Prediction is what a call will take at a place. Typical is the median, Tail the 95th percentile.
type Prediction struct {
	Typical, Tail time.Duration
	Spread        float64 // standard deviation without outliers, as a share of Typical
	Known         bool
	Joules        float64 // that the UE spends on a call
}

// Predict returns what a call of function i will take at p, at a fidelity level. It is made of measured calls when they are
// fresh, and of their parts, the link and the host as they are by the view when they are not. Another level than the one that calls
// had lately scales the function's time and the request.
func (v *View) Predict(i int, p Place, level uint8) Prediction {
	f := &v.Functions[i]
	if p == OnUE {
		return f.here(v, level)
	}
	return f.there(v, level)
}

// here predicts a call on the UE.
func (f *Function) here(v *View, level uint8) Prediction {
	e := &f.UE
	took, known := e.Latency.Get()
	if !known {
		return Prediction{}
	}
	spread := ratio(e.Tail.Or(took), took)
	if l := f.level(level); l != nil {
		took = l.UE.Or(took)
	}
	energy := e.CPU.Or(took).Seconds() * wattsPerCore
	return Prediction{took, scale(took, spread), e.Spread.Or(0), true, energy}
}

// there predicts a call on an edge host.
func (f *Function) there(v *View, level uint8) Prediction {
	e := &f.Edge
	up, down := e.Up.Or(0), e.Down.Or(0)
	run, known := e.Run.Get()
	before := run
	if l := f.level(level); l != nil {
		run = l.Edge.Or(run)
		up = l.Bytes.Or(up)
		_, also := l.Edge.Get()
		known = known || also
	}
	took, measured := e.Latency.Get()
	spread := ratio(e.Tail.Or(took), took)
	switch {
	case measured && (e.Age < fresh || !known):
		took += run - before + v.carry(up-e.Up.Or(up), v.Link.Up)
		known = true
	case known:
		took = e.Codec.Or(0) + f.network(v, up, down) + v.queue(e) + v.stretched(run)
	}
	if !known {
		return Prediction{}
	}
	took = max(took, time.Microsecond)
	energy := (e.Codec.Or(0)).Seconds()*wattsPerCore + radio(v.Link.Kind, up, down)
	return Prediction{took, scale(took, max(1, spread)), e.Spread.Or(0), true, energy}
}

// level returns the level with that number, nil when there is none.
func (f *Function) level(n uint8) *Level {
	if int(n) >= len(f.Levels) {
		return nil
	}
	return &f.Levels[n]
}

// network returns the time on the way as the link is, or as it was when it is not known.
func (f *Function) network(v *View, up, down float64) time.Duration {
	rtt, known := v.Link.RTT.Get()
	if !known {
		return f.Edge.Network.Or(0)
	}
	return rtt + v.carry(up, v.Link.Up) + v.carry(down, v.Link.Down)
}

// carry returns how long bytes take on a link that carries so many a second; 0 when it is not known.
func (v *View) carry(bytes float64, rate Reading[float64]) time.Duration {
	r, known := rate.Get()
	if !known || r <= 0 {
		return 0
	}
	return seconds(min(max(bytes/r, -3600), 3600))
}

// queue returns the wait at the host in use, or that of the last calls.
func (v *View) queue(e *Estimate) time.Duration {
	if len(v.Hosts) > 0 {
		return v.Hosts[0].Queue.Or(e.Queue.Or(0))
	}
	return e.Queue.Or(0)
}

// stretched returns how long the function runs at the host as it is.
func (v *View) stretched(run time.Duration) time.Duration {
	if len(v.Hosts) == 0 {
		return run
	}
	return scale(run, min(max(v.Hosts[0].Stretch.Or(1), 1), 1000))
}

func ratio(a, b time.Duration) float64 {
	if b <= 0 {
		return 1
	}
	return float64(a) / float64(b)
}

func scale(d time.Duration, by float64) time.Duration {
	return time.Duration(min(float64(d)*by, float64(never)/4))
}

const (
	// leastSpread is the least spread of the latencies that risks are made of. Calls that take the same time today need not tomorrow.
	leastSpread = 0.06
	// tailRisk is the risk of a call when the 95th percentile is over the deadline: two of those that a Meter remembers were late.
	tailRisk = 2.0 / remembered
)

// risk returns the probability that a call with a deadline is late: of a log-normal distribution about the median, and at least that of the
// tail. Outliers that are in time are no risk.
func (p Prediction) risk(deadline time.Duration) float64 {
	if deadline <= 0 || !p.Known {
		return 0
	}
	risk := 0.5 * math.Erfc(math.Log(ratio(deadline, p.Typical))/max(leastSpread, p.Spread)/math.Sqrt2)
	if p.Tail > deadline {
		risk = max(risk, tailRisk)
	}
	return risk
}

// variance returns that of a risk which is estimated from e. Of few calls it is large even if all were alike.
func (e *Estimate) variance(risk float64) float64 {
	n := float64(max(1, e.Recent))
	return risk*(1-risk)/n + 0.25/((n+1)*(n+1))
}

// What work costs the UE, while it is not measured.
const (
	// wattsPerCore is the power of one busy core more [W]. A Cortex-A73 at 2.4 GHz takes 1.03 to 1.24 W, by the fuel gauge of a phone
	// (AnandTech, "HiSilicon Kirin 960: A Closer Look at Performance and Power", 2017).
	wattsPerCore = 1.2

	// Energy of a byte up and down [J]: 283 and 137 mW a Mbit/s over Wi-Fi, 438 and 52 over LTE (Huang et al., "A Close Examination of
	// Performance and Power Characteristics of 4G LTE Networks", MobiSys 2012, table 4). A mW a Mbit/s is a nJ a bit.
	wifiUp, wifiDown = 283.17 * 8e-9, 137.01 * 8e-9
	lteUp, lteDown   = 438.39 * 8e-9, 51.97 * 8e-9
)

// radio returns the energy of bytes up and down. An unknown link is taken for Wi-Fi; those without a radio cost nothing.
func radio(kind LinkKind, up, down float64) float64 {
	switch kind {
	case Loopback, Ethernet:
		return 0
	case Cellular:
		return up*lteUp + down*lteDown
	}
	return up*wifiUp + down*wifiDown
}
