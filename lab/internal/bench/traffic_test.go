package bench

import (
	"slices"
	"testing"
	"time"
)

func deliveries(at ...time.Duration) []delivery {
	var all []delivery
	for _, a := range at {
		all = append(all, delivery{at: a * time.Millisecond})
	}
	return all
}

func TestGaps(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		why       string
		delivered []delivery
		mark      mark
		want      time.Duration
	}{
		{"nothing is late", deliveries(0, 10, 20, 30, 40), mark{15 * ms, 16 * ms}, 0},
		{"the one after the event is", deliveries(0, 10, 27, 37, 47), mark{15 * ms, 16 * ms}, 7 * ms},
		{"a later one is, while the event settles", deliveries(0, 10, 20, 45), mark{5 * ms, 6 * ms}, 15 * ms},
		{"one long after it does not count", deliveries(0, 10, 20, 30, 40, 90), mark{5 * ms, 6 * ms}, 0},
		{"one before it does not either", deliveries(0, 50, 60, 70, 80), mark{55 * ms, 56 * ms}, 0},
		{"an event over many", deliveries(0, 10, 40, 50, 75, 85), mark{5 * ms, 80 * ms}, 20 * ms},
		{"no delivery follows", deliveries(0, 10), mark{15 * ms, 16 * ms}, 0},
		{"no delivery at all", nil, mark{15 * ms, 16 * ms}, 0},
	}
	for _, tt := range tests {
		if got := gaps(tt.delivered, []mark{tt.mark}, 10*ms); !slices.Equal(got, []time.Duration{tt.want}) {
			t.Errorf("%s: gaps of %v around %v: %v, want %v", tt.why, tt.delivered, tt.mark, got, tt.want)
		}
	}
}
