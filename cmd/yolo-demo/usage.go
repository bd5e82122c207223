package main

import "time"

// usageSpan is over how long the use of the processor is told. A quota is one of periods of 100 ms: within one, a
// frame takes what it needs, and over a few of them the process has what it may.
const usageSpan = 500 * time.Millisecond

// A usage tells how many cores the process uses, over the frames of the last usageSpan, at least one.
type usage struct {
	frames       []moments
	period, used time.Duration // of all frames
}

// moments are the period of a frame and the processor time in it.
type moments struct{ period, used time.Duration }

// after returns the use after a frame.
func (u *usage) after(period, used time.Duration) float64 {
	u.frames = append(u.frames, moments{period, used})
	u.period, u.used = u.period+period, u.used+used
	drop := 0
	for ; u.period-u.frames[drop].period >= usageSpan; drop++ {
		u.period, u.used = u.period-u.frames[drop].period, u.used-u.frames[drop].used
	}
	u.frames = append(u.frames[:0], u.frames[drop:]...)
	return float64(u.used) / float64(max(1, u.period))
}
