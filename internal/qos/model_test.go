package qos

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestStretch(t *testing.T) {
	tests := []struct {
		turns, load, inFlight, want float64
		why                         string
	}{
		{1, 0, 1e9, 1, "an idle host"},
		{1, 0.5, 1e9, 2, "M/M/1: 1/(1-0.5)"},
		{1, 0.8, 1e9, 5, "M/M/1"},
		{4, 2.8, 1e9, 1.38, "M/M/4 has 1.36 by Erlang's formula"},
		{4, 3.4, 1e9, 2.17, "M/M/4 has 2.15"},
		{16, 13.6, 1e9, 1.19, "M/M/16 has 1.18"},
		{1, 1, 1, 1, "nobody else"},
		{4, 4, 4, 1, "a turn for each call that there may be"},
		{0.5, 0, 1e9, 2, "half a turn"},
		{0.5, 0.25, 1e9, 4, "half a turn, half used"},
		{1, 2, 8, 8, "over capacity the others of 8 calls are in the way"},
		{0, 0, 1, math.Inf(1), "no turn"},
		{math.NaN(), -1, math.NaN(), math.Inf(1), "no number"},
	}
	for _, tt := range tests {
		if got := Stretch(tt.turns, tt.load, tt.inFlight); !(math.Abs(got-tt.want) <= 0.02*tt.want || got == tt.want) {
			t.Errorf("%v turns, load %v, %v in flight: got %.3f, want %.2f: %s", tt.turns, tt.load, tt.inFlight, got, tt.want, tt.why)
		}
	}
}

func TestAtOnce(t *testing.T) {
	tests := []struct {
		rate, service, inFlight, want float64
		why                           string
	}{
		{0, 0.1, 4, 4, "the next one as soon as one has ended"},
		{0, 0.1, 0, 1, "one at least"},
		{4, 0.1, 2, 1, "one has ended before the next one comes"},
		{15, 0.1, 2, 1.5, "each second one meets another"},
		{30, 0.1, 2, 2, "no more than there may be"},
		{30, 0, 2, 1, "nothing is known of its calls"},
		{math.NaN(), math.Inf(1), math.NaN(), 1, "no number"},
	}
	for _, tt := range tests {
		if got := AtOnce(tt.rate, tt.service, tt.inFlight); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%v a second of %v s, %v in flight: got %v, want %v: %s", tt.rate, tt.service, tt.inFlight, got, tt.want, tt.why)
		}
	}
}

func TestMissed(t *testing.T) {
	tests := []struct{ bound, mean, p99, want float64 }{
		{20, 10, 20, 0.01},
		{10, 10, 20, 0.5},
		{0, 10, 20, 1},
		{30, 10, 20, 0.0002},
		{10, 10, 10, 0},
		{9, 10, 10, 1},
		{1, 0, 0, 0},
		{math.NaN(), 10, 20, 1},
	}
	for _, tt := range tests {
		if got := Missed(tt.bound, tt.mean, tt.p99); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("within %v, mean %v, p99 %v: got %v, want %v", tt.bound, tt.mean, tt.p99, got, tt.want)
		}
	}
}

// More turns never make calls slower, and more load or more calls at once never faster.
func TestStretchIsMonotone(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		turns, load, inFlight := 10*rng.Float64(), 12*rng.Float64(), 1+20*rng.Float64()
		s := Stretch(turns, load, inFlight)
		if s < 1 {
			t.Fatalf("Stretch(%v, %v, %v) = %v", turns, load, inFlight, s)
		}
		for _, other := range []struct {
			what string
			s    float64
			less bool
		}{
			{"more turns", Stretch(turns+rng.Float64(), load, inFlight), true},
			{"more load", Stretch(turns, load+rng.Float64(), inFlight), false},
			{"more in flight", Stretch(turns, load, inFlight+rng.Float64()), false},
		} {
			if other.less && other.s > s*(1+1e-9) || !other.less && other.s < s*(1-1e-9) {
				t.Fatalf("Stretch(%v, %v, %v) = %v, and with %s %v", turns, load, inFlight, s, other.what, other.s)
			}
		}
	}
}

// MostStretch is the inverse of P99.
func TestMostStretch(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20000 {
		service, tail, before, after := rng.Float64(), 1+8*rng.Float64(), 1+4*rng.Float64(), 1+9*rng.Float64()
		bound := P99(service, tail, before, after)
		if got := MostStretch(bound, service, tail, before); math.Abs(got-after) > 1e-6 {
			t.Fatalf("MostStretch(P99(%v, %v, %v, %v)) = %v", service, tail, before, after, got)
		}
	}
	for _, tt := range []struct{ service, tail, before, after, want float64 }{
		{0, 2, 1, math.Inf(1), 0},
		{1, math.NaN(), -1, 1, 1},
		{1, 2, 1, 1, 2},
		{1, 2, 2, 1, 2},
		{1, 2, 1, 2, 2 + math.Log(100)},
		{1, 5, 1, 2, 10},
	} {
		if got := P99(tt.service, tt.tail, tt.before, tt.after); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("P99(%v, %v, %v, %v) = %v, want %v", tt.service, tt.tail, tt.before, tt.after, got, tt.want)
		}
	}
	if got := MostStretch(1, 0, 2, 1); !math.IsInf(got, 1) {
		t.Errorf("calls that take no time: %v", got)
	}
}
