package notifier

import (
	"math"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

func TestThermalModelAfter(t *testing.T) {
	zero := ThermalConfig{}
	const tau = 4 * time.Second
	tests := []struct {
		why     string
		t, load float64
		dt      time.Duration
		want    float64
	}{
		{"the paper's load ends at the paper's temperature", 35, 0.6, time.Hour, 57.5},
		{"at rest it cools to ambient", 80, 0, time.Hour, 35},
		{"one time constant is 63 % of the way", 35, 1, tau, 35 + 37.5*(1-1/math.E)},
		{"no time, no change", 50, 1, 0, 50},
		{"a clock that runs back changes nothing", 50, 1, -time.Second, 50},
		{"no more than all cores", 35, 7, time.Hour, 72.5},
		{"no less than none", 35, -1, time.Hour, 35},
		{"an unknown load is none", 35, math.NaN(), time.Hour, 35},
	}
	for _, tt := range tests {
		if got := zero.After(tt.t, zero.PowerAt(tt.load), tt.dt); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("from %v °C, %v later at a load of %v: %v °C; want %v: %s", tt.t, tt.dt, tt.load, got, tt.want, tt.why)
		}
	}
}

// How time is cut does not change where it ends, and no step overshoots.
func TestThermalModelComposes(t *testing.T) {
	c := ThermalConfig{Ambient: 25, Resistance: 8, Capacity: 12, Idle: 0.5, Full: 6}
	property := func(ms1, ms2 uint16, load8 uint8) bool {
		power := c.PowerAt(float64(load8) / 255)
		a, b := time.Duration(ms1)*time.Millisecond, time.Duration(ms2)*time.Millisecond
		twice := c.After(c.After(40, power, a), power, b)
		once := c.After(40, power, a+b)
		return math.Abs(twice-once) < 1e-9 && once >= 25 && once <= 25+6*8
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

func TestThermalModel(t *testing.T) {
	model := func(c *ThermalConfig) *ThermalModel {
		h, err := NewThermalModel(c)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	tell := func(m Metric, v float64) Source { return sourceFunc(func(r *Round) { r.Tell(m, v, "test") }) }
	tests := []struct {
		why     string
		sources []Source
		want    float64
		source  string
	}{
		{"the load of the device", []Source{tell(SystemCPU, 0.6), model(nil)}, 57.5, "modelled from system cpu"},
		{"the load of the process", []Source{tell(SystemCPU, 1), tell(ProcessCPU, 0.15), tell(Cores, 0.25), model(&ThermalConfig{Load: ProcessCPU})}, 57.5, "modelled from process cpu"},
		{"power that is measured", []Source{tell(SystemCPU, 1), tell(Power, 4), model(&ThermalConfig{Ambient: 25, Resistance: 5})}, 45, "modelled from power"},
		{"a sensor counts more", []Source{tell(SystemCPU, 0.6), tell(Temperature, 48), model(nil)}, 48, "test"},
		{"no load is known", []Source{model(nil)}, math.NaN(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			g := newRig(tt.sources...)
			g.after(0)
			s := g.during(2 * time.Minute)
			r := s.Get(Temperature)
			if math.IsNaN(tt.want) {
				wantUnknown(t, s, Temperature, "neither power nor load")
			} else if math.Abs(r.Value-tt.want) > 0.01 || r.Source != tt.source {
				t.Errorf("%+v; want %v of %q", r, tt.want, tt.source)
			}
		})
	}
}

// Paper 001, figure 3: within stretches of 50 frames the temperature goes up locally and down at the edge.
func TestThermalModelShowsStretches(t *testing.T) {
	load := 0.6
	h, err := NewThermalModel(nil)
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(sourceFunc(func(r *Round) { r.Tell(SystemCPU, load, "test") }), h)
	g.after(0)
	for range 3 {
		load = 0.6
		warm, _ := g.during(7 * time.Second).Value(Temperature)
		load = 0.2
		cool, _ := g.during(2500 * time.Millisecond).Value(Temperature)
		if warm-cool < 3 {
			t.Errorf("from %.1f down to %.1f °C; want a fall that can be seen, 3 degrees", warm, cool)
		}
	}
	g.rest += time.Hour
	wantValue(t, g.after(usual), Temperature, 35, "modelled from system cpu")
}

func TestThermalModelIsChecked(t *testing.T) {
	for _, c := range []ThermalConfig{
		{Ambient: 200}, {Resistance: -1}, {Resistance: math.NaN()}, {Capacity: math.Inf(1)}, {Idle: -1}, {Idle: 20, Full: 10},
		{Metric: Battery}, {Load: Battery},
	} {
		if _, err := NewThermalModel(&c); err == nil || !strings.Contains(err.Error(), "thermal model") {
			t.Errorf("NewThermalModel(%+v): %v; want an error", c, err)
		}
	}
}
