package main

import (
	"testing"
	"time"
)

// A process of a quarter of a core computes a frame of 20 ms whenever a period of 100 ms begins, and waits for the
// next one: a frame alone has used more than the quota, all of them have not.
func TestUsageIsOverPeriodsOfAQuota(t *testing.T) {
	var u usage
	const ms = time.Millisecond
	for range 20 {
		u.after(8*ms, 8*ms)
		u.after(8*ms, 8*ms)
		if got := u.after(9*ms, 9*ms); u.period >= usageSpan && got > 0.3 {
			t.Fatalf("%.2f cores at the end of a burst; want at most a quarter, and a burst of 25 ms in 500", got)
		}
		if got := u.after(75*ms, 0); got > 0.2501 {
			t.Fatalf("%.4f cores at the end of a period; want a quarter", got)
		}
	}
	if len(u.frames) > 24 {
		t.Errorf("%d frames are kept; want those of half a second", len(u.frames))
	}
	if got := u.after(time.Second, time.Second/2); got != 0.5 {
		t.Errorf("a frame of a second: %v cores; want its own, 0.5", got)
	}
	var none usage
	if got := none.after(0, 0); got != 0 {
		t.Errorf("a frame of no time: %v", got)
	}
}
