package qos

import (
	"math/bits"
	"time"
)

// A Window keeps the times of the calls of the last while. It holds 6 KiB, however many there are, and its quantiles
// are within 5 % of the true ones. It belongs to one goroutine.
type Window struct {
	part  time.Duration // what a slot holds
	slots [slots]slot
	last  int64 // number of the newest slot's part, since the zero time
}

const (
	slots = 6
	// A bucket holds times that differ by an eighth of a power of two: from 1 us to 268 s, and what is beyond in the last.
	perOctave = 8
	octaves   = 28
	buckets   = octaves * perOctave
)

// A slot is a part of a window.
type slot struct {
	n, missed uint64
	sum       time.Duration
	counts    [buckets]uint32
}

// NewWindow returns an empty window of a length, of which a sixth ends at once. A length that is not positive counts as a second.
func NewWindow(length time.Duration) *Window {
	if length <= 0 {
		length = time.Second
	}
	return &Window{part: max(1, length/slots)}
}

// Add adds a call that ended at now and took d, in time or not. A call that took less than no time is left out.
func (w *Window) Add(now time.Time, d time.Duration, missed bool) {
	if d < 0 {
		return
	}
	s := &w.slots[w.turn(now)%slots]
	s.n++
	s.sum += d
	if s.sum < 0 {
		s.sum = 1<<63 - 1
	}
	if missed {
		s.missed++
	}
	if c := &s.counts[bucket(d)]; *c+1 != 0 {
		*c++
	}
}

// turn empties the slots that are over, and returns the number of the one for now. A clock that goes back stays in the newest.
func (w *Window) turn(now time.Time) int64 {
	n := now.UnixNano() / int64(w.part)
	switch {
	case n <= w.last:
		return w.last
	case n-w.last >= slots:
		w.slots = [slots]slot{}
	default:
		for i := w.last + 1; i <= n; i++ {
			w.slots[i%slots] = slot{}
		}
	}
	w.last = n
	return n
}

// Calls are what a Window knows.
type Calls struct {
	N, Missed     uint64
	Mean          time.Duration
	P10, P50, P99 time.Duration
}

// Calls returns what calls were like in the window that ends at now. With none all is 0.
func (w *Window) Calls(now time.Time) Calls {
	w.turn(now)
	var all slot
	var c Calls
	for i := range w.slots {
		s := &w.slots[i]
		c.N += s.n
		c.Missed += s.missed
		all.sum = later(all.sum, s.sum)
		for j, n := range s.counts {
			all.counts[j] += n
		}
	}
	if c.N == 0 {
		return Calls{}
	}
	c.Mean = all.sum / time.Duration(c.N)
	c.P10, c.P50, c.P99 = all.quantile(0.1), all.quantile(0.5), all.quantile(0.99)
	return c
}

// quantile returns the time that a share q of the calls does not take longer than.
func (s *slot) quantile(q float64) time.Duration {
	var total uint64
	for _, n := range s.counts {
		total += uint64(n)
	}
	rank, seen := uint64(q*float64(total)), uint64(0)
	for i, n := range s.counts {
		if seen += uint64(n); seen > rank {
			return middle(i)
		}
	}
	return middle(buckets - 1)
}

// bucket returns the bucket of d.
//
//	0 us..1 us -> 0;  1 us * 2^o * (1 + f/8) -> 8 o + f
func bucket(d time.Duration) int {
	us := uint64(d / time.Microsecond)
	if us < 1 {
		return 0
	}
	o := bits.Len64(us) - 1
	f := uint64(d) * perOctave / (uint64(time.Microsecond) << o) // 8 to 15
	if o >= octaves {
		return buckets - 1
	}
	return min(o*perOctave+int(f)-perOctave, buckets-1)
}

// middle returns the time in the middle of a bucket.
func middle(i int) time.Duration {
	o, f := i/perOctave, i%perOctave
	return time.Duration((uint64(time.Microsecond) << o) * uint64(2*(perOctave+f)+1) / (2 * perOctave))
}

// later returns the sum of durations that are not negative, or the longest Duration.
func later(a, b time.Duration) time.Duration {
	if a > 1<<63-1-b {
		return 1<<63 - 1
	}
	return a + b
}
