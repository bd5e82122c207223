package ue

import (
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// A link that has become narrow makes calls late, and these are the ones that tell its rate: without them the policy would believe in
// the old one, and try it again and again. A call without an answer tells nothing.
func TestLateCallsTellTheRate(t *testing.T) {
	const rtt, size = 6 * time.Millisecond, 48_000
	call := func(rate float64, missed bool) *policy.Outcome {
		way := rtt + time.Duration(size/rate*float64(time.Second))
		return &policy.Outcome{Took: way + 15*time.Millisecond, Missed: missed, Network: way, Run: 15 * time.Millisecond, Up: size, Down: 400}
	}
	var l links
	carried := func(n int, o *policy.Outcome) float64 {
		for range n {
			l.carried(o, policy.Known(rtt), time.Second)
		}
		return l.up.reading(time.Second).Or(0)
	}
	near := func(got, want float64) bool { return got > 0.99*want && got < 1.01*want }
	if got := carried(5, call(6.25e6, false)); !near(got, 6.25e6) {
		t.Errorf("a link of 6.25 MB/s carries %.0f bytes/s", got)
	}
	if got := carried(3, call(250e3, true)); !near(got, 250e3) {
		t.Errorf("after three late calls a link of 250 KB/s carries %.0f bytes/s", got)
	}
	small := &policy.Outcome{Took: 50 * time.Millisecond, Network: rtt + 10*time.Millisecond, Run: 15 * time.Millisecond, Up: 5_000, Down: 400}
	if got := carried(3, small); !near(got, 500e3) {
		t.Errorf("after three small calls a link of 500 KB/s carries %.0f bytes/s", got)
	}
	if got := carried(5, &policy.Outcome{Took: 500 * time.Millisecond, Missed: true}); !near(got, 500e3) {
		t.Errorf("calls without an answer make it %.0f bytes/s", got)
	}
}
