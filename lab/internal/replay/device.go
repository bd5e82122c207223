package replay

import "math"

// heat returns the temperature of the device after s seconds under a load [cores].
func (d *Device) heat(temperature, load, s float64) float64 {
	end := d.Ambient + d.Rise*load
	return end + (temperature-end)*math.Exp(-s/d.Tau)
}

// impulse returns what s core seconds at once add to the temperature [K].
func (d *Device) impulse(s float64) float64 {
	if d.Tau == 0 {
		return 0
	}
	return d.Rise * s / d.Tau
}

// cpu returns the processor time of a call on the UE [s].
func (c *Call) cpu() float64 {
	if c.CPU > 0 {
		return c.CPU / 1e3
	}
	return c.UE / 1e3
}

// here and there return the energy of a call at each place [J].
func (d *Device) here(c *Call) float64  { return c.cpu() * d.Watts }
func (d *Device) there(c *Call) float64 { return float64(c.Up)*d.Up + float64(c.Down)*d.Down }

// late says whether a latency [ms] is over the deadline; no answer is.
func (f *Function) late(took float64) bool { return took <= 0 || f.Deadline > 0 && took > f.Deadline }

// gap returns the time from call i to the next one [s].
func (t *Trace) gap(i int) float64 {
	if i+1 < len(t.Calls) {
		return t.Calls[i+1].T - t.Calls[i].T
	}
	return 0
}

// seconds returns how long the trace is.
func (t *Trace) seconds() float64 { return t.Calls[len(t.Calls)-1].T - t.Calls[0].T }

// A Score is how a trace went.
type Score struct {
	Calls, Misses int
	Joules        float64
	Above         float64 // share of the time above the temperature limit
	Moves         int     // changes of the place that stands for a function
	Crowded       int     // most of them in a minute, of one function
	Hedged        int     // calls that were begun at the UE, too
	Explored      int     // calls that looked how the other place is
	// Quality is the mean of the codec's quality, where functions have levels. A call on the UE has the level that the policy chose for there.
	Quality float64
	// Errors are those of predictions, as shares of what the call took, at each place, after 20 calls there.
	Errors [2][]float64
}

// MissRate returns the share of calls that were late.
func (s *Score) MissRate() float64 { return float64(s.Misses) / float64(max(1, s.Calls)) }
