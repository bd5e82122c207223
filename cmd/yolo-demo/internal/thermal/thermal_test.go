package thermal

import (
	"math"
	"testing"
	"testing/quick"
	"time"
)

func TestModelledStep(t *testing.T) {
	tests := []struct {
		why     string
		t, load float64
		dt      time.Duration
		want    float64
	}{
		{"the paper's load ends at the paper's temperature", ModelledAmbient, 0.6, time.Hour, 57.5},
		{"at rest it cools to ambient", 80, 0, time.Hour, ModelledAmbient},
		{"one time constant is 63 % of the way", 35, 1, ModelledTau, 35 + 37.5*(1-1/math.E)},
		{"no time, no change", 50, 1, 0, 50},
		{"a clock that runs back changes nothing", 50, 1, -time.Second, 50},
		{"no more than all cores", 35, 7, time.Hour, 72.5},
		{"no less than none", 35, -1, time.Hour, 35},
		{"an unknown load is none", 35, math.NaN(), time.Hour, 35},
	}
	for _, tt := range tests {
		if got := ModelledStep(tt.t, tt.load, tt.dt); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("ModelledStep(%v, %v, %v) = %v; want %v: %s", tt.t, tt.load, tt.dt, got, tt.want, tt.why)
		}
	}
}

// How a run is cut into frames does not change where it ends, and no step
// overshoots.
func TestModelledStepComposes(t *testing.T) {
	property := func(ms1, ms2 uint16, load8 uint8) bool {
		load := float64(load8) / 255
		a, b := time.Duration(ms1)*time.Millisecond, time.Duration(ms2)*time.Millisecond
		twice := ModelledStep(ModelledStep(40, load, a), load, b)
		once := ModelledStep(40, load, a+b)
		return math.Abs(twice-once) < 1e-9 && once >= ModelledAmbient && once <= ModelledAmbient+ModelledRise
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

// Paper 001, Figure 3: within stretches of 50 frames the temperature goes up
// locally and down at the edge.
func TestModelledStretchesShow(t *testing.T) {
	temp := ModelledAmbient
	for range 3 {
		warm := ModelledStep(temp, 0.6, 7*time.Second)
		temp = ModelledStep(warm, 0.2, 2500*time.Millisecond)
		if warm-temp < 3 {
			t.Errorf("from %.1f down to %.1f °C; want a fall that can be seen, 3 degrees", warm, temp)
		}
	}
}
