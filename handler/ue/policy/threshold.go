package policy

import "time"

// Threshold moves calls when a metric of the device passes a limit, and back when it has recovered. It predicts nothing. The zero
// Threshold has the limits that the fields say.
type Threshold struct {
	// Hot is the temperature at which calls leave the UE [°C]. Zero means 3 below Device.Limit.
	Hot float64
	// Cool is how far below Hot they come back [K]. Zero means 3.
	Cool float64
	// Charge is the battery's charge, 0 to 1, below which calls leave the UE. Zero means 0.2.
	Charge float64
	// Dwell is how long a function stays where it is, at least. Zero means 10 s.
	Dwell time.Duration
}

// Decide returns where the function stands.
func (Threshold) Decide(c Call, v *View) Decision { return stand(c, v) }

// Plan places all functions alike, as the device is.
func (t Threshold) Plan(v *View) []Standing {
	next := make([]Standing, len(v.Functions))
	copy(next, v.Standings)
	for i := range next {
		t.plan(&next[i], &v.Functions[i], v)
	}
	return next
}

func (t Threshold) plan(s *Standing, f *Function, v *View) {
	where, why := t.wants(s.Where, f, v)
	switch dwell := orDuration(t.Dwell, 10*time.Second); {
	case f.Require.Private:
		*s = Standing{Why: Why{Reason: Private}}
	case where == s.Where:
		s.Why = why
	case s.Since == 0 || v.At-s.Since >= dwell:
		s.Where, s.Since, s.Why = where, max(1, v.At), why
	default:
		s.Why = Why{Dwelling, float32((v.At - s.Since).Seconds()), float32(dwell.Seconds())}
	}
}

// wants returns where calls go by the metrics.
func (t Threshold) wants(now Place, f *Function, v *View) (Place, Why) {
	limit, limited := v.Device.Limit.Get()
	hot := t.Hot
	if hot == 0 && limited {
		hot = limit - 3
	}
	cool := hot - or(t.Cool, 3)
	charge := or(t.Charge, 0.2)
	temperature, known := v.Device.Temperature.Get()
	known = known && hot != 0
	battery, powered := v.Device.Battery.Get()
	took, deadline := f.UE.Latency.Or(0), f.Require.Latency
	switch {
	case known && temperature >= hot:
		return OnEdge, Why{Hot, float32(temperature), float32(hot)}
	case known && now == OnEdge && temperature > cool:
		return OnEdge, Why{Cooling, float32(temperature), float32(cool)}
	case powered && !v.Device.Charging && battery < charge:
		return OnEdge, Why{LowBattery, float32(battery), float32(charge)}
	case deadline > 0 && took > deadline:
		return OnEdge, Why{TooLate, float32(took.Seconds()), float32(deadline.Seconds())}
	}
	return OnUE, Why{InTime, float32(took.Seconds()), float32(deadline.Seconds())}
}

// stand returns the decision that stands for a call: those of planners are the same look-up.
func stand(c Call, v *View) Decision {
	if uint(c.Function) >= uint(len(v.Standings)) {
		return Decision{}
	}
	s := &v.Standings[c.Function]
	d := Decision{Where: s.Where, Why: s.Why}
	if s.Explore != 0 && c.Number%s.Explore == s.Explore-1 {
		d.Where, d.Why = s.Where.Other(), Why{Reason: Exploring, A: float32(s.Explore)}
	}
	if d.Where == OnEdge {
		switch {
		case !c.Ready:
			d.Where, d.Why = OnUE, Why{Reason: HostUnready}
		case s.MostBytes > 0 && c.Bytes > s.MostBytes:
			d.Where, d.Why = OnUE, Why{TooLarge, float32(c.Bytes), float32(s.MostBytes)}
		default:
			d.Hedge = s.Hedge
		}
	}
	d.Fidelity = s.Fidelity[d.Where]
	return d
}

// or returns x, or otherwise for 0.
func or(x, otherwise float64) float64 {
	if x == 0 {
		return otherwise
	}
	return x
}

// orDuration returns d, or otherwise for 0.
func orDuration(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
