package notifier

import (
	"fmt"
	"math"
	"time"
)

// A ThermalConfig has the numbers of a device of one temperature, which its power heats and its surroundings cool:
//
//	Capacity dT/dt = power - (T - Ambient) / Resistance
//
// In the zero ThermalConfig they are such that the curve resembles the one in figure 3 of paper 001, where a load of 60 % ends at
// 57.5 °C and a stretch of 2.5 s shows. None was measured by us.
type ThermalConfig struct {
	// Metric is what the model tells: Temperature, which is the zero ThermalConfig's, or SkinTemperature.
	Metric Metric
	// Ambient is the temperature of the surroundings, in °C. Zero means 35: air of 25 °C, warmed up by the rest of the device.
	Ambient float64
	// Resistance is by how many kelvin a watt warms the device up in the end. Zero means 2.5.
	Resistance float64
	// Capacity is how many joules warm the device up by a kelvin, with nothing to cool it. Zero means 1.6. Its product with
	// Resistance is the time in which 63 % of a change has happened, in s.
	Capacity float64
	// Idle and Full are the power without load and with all cores busy, in W, for where Power is not known. Zero means 0 and 15.
	Idle, Full float64
	// Load is the metric of the load: SystemCPU, or ProcessCPU where others than this process use cores that are not the
	// modelled device's. Zero means SystemCPU.
	Load Metric
}

// usualThermal is the zero ThermalConfig. Section III of paper 001: 57.5 °C at about 60 %, so (57.5 - 35) K / (0.6 * 15 W). Stretches of
// 50 frames last 7 s at its 7 FPS and 2.5 s at its 20, and the temperature goes visibly up and down with them: 4 s.
var usualThermal = ThermalConfig{Metric: Temperature, Ambient: 35, Resistance: 2.5, Capacity: 1.6, Full: 15, Load: SystemCPU}

// filled returns c with the numbers that zeros mean.
func (c ThermalConfig) filled() ThermalConfig {
	or := func(v *float64, usual float64) {
		if *v == 0 {
			*v = usual
		}
	}
	or(&c.Ambient, usualThermal.Ambient)
	or(&c.Resistance, usualThermal.Resistance)
	or(&c.Capacity, usualThermal.Capacity)
	or(&c.Full, usualThermal.Full)
	if c.Metric == 0 {
		c.Metric = usualThermal.Metric
	}
	if c.Load == 0 {
		c.Load = usualThermal.Load
	}
	return c
}

func (c *ThermalConfig) check() error {
	for _, x := range []struct {
		name        string
		v           float64
		least, most float64
	}{
		{"Ambient", c.Ambient, -50, hottestSkin},
		{"Resistance", c.Resistance, 1e-3, 1e3},
		{"Capacity", c.Capacity, 1e-3, 1e6},
		{"Idle", c.Idle, 0, 1e3},
		{"Full", c.Full, c.Idle, 1e3},
	} {
		if !(x.v >= x.least && x.v <= x.most) {
			return fmt.Errorf("notifier: a thermal model with %s %v; use %v to %v", x.name, x.v, x.least, x.most)
		}
	}
	if c.Metric != Temperature && c.Metric != SkinTemperature {
		return fmt.Errorf("notifier: a thermal model of %v; use Temperature or SkinTemperature", c.Metric)
	}
	if c.Load != SystemCPU && c.Load != ProcessCPU {
		return fmt.Errorf("notifier: a thermal model with the load %v; use SystemCPU or ProcessCPU", c.Load)
	}
	return nil
}

// After returns the temperature, in °C, a span after it was t, at a constant power in W. Any span gives a stable result, and
// two steps the same as one of their sum.
func (c ThermalConfig) After(t, power float64, span time.Duration) float64 {
	c = c.filled()
	end := c.Ambient + power*c.Resistance
	if span <= 0 {
		return t
	}
	return end + (t-end)*math.Exp(-span.Seconds()/(c.Resistance*c.Capacity))
}

// PowerAt returns the power in W at a load from 0 to 1. A load outside, or none, counts as the nearer of the two.
func (c ThermalConfig) PowerAt(load float64) float64 {
	c = c.filled()
	if !(load > 0) { // NaN too
		load = 0
	}
	return c.Idle + (c.Full-c.Idle)*min(load, 1)
}

// ThermalModel is a source of a temperature that is computed from the power that the sources before it tell, or else from the load. It
// shows how a device would warm up and cool down; it is no measurement, and the source of its readings begins with "modelled". It counts where no
// source before it tells the metric.
type ThermalModel struct {
	cfg ThermalConfig
	t   float64
}

// NewThermalModel returns a model that begins as warm as it is without load. A nil cfg means the zero ThermalConfig. The
// error says which number cannot be.
func NewThermalModel(cfg *ThermalConfig) (*ThermalModel, error) {
	if cfg == nil {
		cfg = &ThermalConfig{}
	}
	c := cfg.filled()
	if err := c.check(); err != nil {
		return nil, err
	}
	return &ThermalModel{cfg: c, t: c.Ambient + c.Idle*c.Resistance}, nil
}

// Read tells the modelled temperature. After a gap, of which nobody knows the load, it begins anew.
func (h *ThermalModel) Read(r *Round) {
	if r.Since == 0 {
		h.t = h.cfg.Ambient + h.cfg.Idle*h.cfg.Resistance
	}
	power, from := h.power(r)
	if math.IsNaN(power) {
		if r.Since > 0 {
			r.Unknown(h.cfg.Metric, "modelled: neither power nor load is known")
			return
		}
		from = "no load"
	} else {
		h.t = h.cfg.After(h.t, power, r.Since)
	}
	r.Tell(h.cfg.Metric, h.t, "modelled from "+from)
}

// power returns what heats the device, and from what it is known; NaN: it is not.
func (h *ThermalModel) power(r *Round) (watts float64, from string) {
	if v, ok := r.Value(Power); ok {
		return v, "power"
	}
	load, ok := r.Value(h.cfg.Load)
	if h.cfg.Load == ProcessCPU {
		cores, sized := r.Value(Cores)
		load, ok = load/cores, ok && sized
	}
	if !ok {
		return math.NaN(), ""
	}
	return h.cfg.PowerAt(load), h.cfg.Load.String()
}
