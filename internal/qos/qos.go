// Package qos turns samples into verdicts.
//
//   - [Window] keeps the times of the last calls: how many, how many were late, the median, the tail.
//   - [Link] keeps what is known of the way to a host: round-trip time, jitter, loss.
//   - [Host] learns from a host's beats what it can take, and what a call costs there.
//   - [Stretch], [AtOnce] and [Missed] predict how calls will be.
//   - [Trust] compares what a host says with what UEs felt there.
//
// The UE offload handler, the host offload handler and the offload manager use it, each for its part. Nothing
// here reads a clock: the caller says what time it is. Nothing starts a goroutine, and a value belongs to one goroutine at a time.
//
// # Bad samples
//
// Samples come from peers. One that is negative, no number, or before the one before it is left out, so that no verdict is
// negative or no number. Each value's memory is bounded, whatever comes.
package qos

import (
	"math"
	"time"
)

// sane returns x, or 0 in place of what is negative or no number.
func sane(x float64) float64 {
	if math.IsNaN(x) || x < 0 {
		return 0
	}
	return min(x, 1e12)
}

// duration returns s seconds, or the longest Duration.
func duration(s float64) time.Duration {
	if s = sane(s) * 1e9; s < math.MaxInt64 {
		return time.Duration(s)
	}
	return math.MaxInt64
}
