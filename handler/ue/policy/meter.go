package policy

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// An Outcome is how a call was.
type Outcome struct {
	At     time.Duration // View.At when it ended
	Bytes  int           // size of the request, or another measure of the input; 0: not known
	Took   time.Duration // the whole call
	Missed bool          // it was late, or had no answer; Took is how long it was waited for
	CPU    time.Duration // processor time of the UE; 0: not known

	// Parts of a call on an edge host; all are 0 when it had no answer.
	Codec, Network, Queue, Run time.Duration
	Up, Down                   int // bytes
}

const (
	// remembered is how many outcomes a Meter keeps: one or two seconds of video. The 95th percentile of fewer is their maximum.
	remembered = 32
	// nearest is how many of them, those of inputs most alike, a prediction is the median of. Four outliers do not move it.
	nearest = 9
	// jumped is how many outcomes in a row that are far off on the same side are the new truth, and no outliers.
	jumped = 3
	// farOff is by what share of the prediction an outcome is off at least to be far off.
	farOff = 0.3
)

// A Meter learns what calls of one function take at one place. The zero Meter knows nothing. It belongs to one goroutine.
//
// It keeps the last outcomes. What it predicts is the median of those with inputs most alike, so outliers do not
// move it, and a cost that jumps at some size of the input is learned as it is. When three in a row are far off on the same side,
// it forgets those before.
type Meter struct {
	calls  uint64
	last   []Outcome // the oldest first
	strays int       // how many at the end of last are far off, negative: below
}

// Add adds an outcome. One that took no time is left out.
func (m *Meter) Add(o Outcome) {
	if o.Took <= 0 {
		return
	}
	m.calls++
	m.stray(o)
	m.last = append(m.last, o)
	switch {
	case m.strays >= jumped || -m.strays >= jumped:
		m.last, m.strays = slices.Clone(m.last[len(m.last)-jumped:]), 0
	case len(m.last) > remembered:
		m.last = slices.Delete(m.last, 0, 1)
	}
}

// stray counts outcomes in a row that are far off.
func (m *Meter) stray(o Outcome) {
	expected, known := m.Predict(o.Bytes)
	if !known {
		return
	}
	off := float64(o.Took)/float64(expected) - 1
	far := max(farOff, 3*m.spread())
	switch {
	case off > far:
		m.strays = max(m.strays, 0) + 1
	case 1/(1+off)-1 > far:
		m.strays = min(m.strays, 0) - 1
	default:
		m.strays = 0
	}
}

// spread returns the median deviation of the outcomes from their median, as a share of it.
func (m *Meter) spread() float64 {
	var sorted [remembered + 1]float64
	all := sorted[:0]
	for _, o := range m.last {
		all = append(all, o.Took.Seconds())
	}
	middle := median(all)
	for i := range all {
		all[i] = math.Abs(all[i]-middle) / middle
	}
	return median(all)
}

// median sorts v and returns its median, 0 of none.
func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile sorts v and returns the value that a share p does not exceed, 0 of none. Of three or more it is not the largest: one outlier is none.
func quantile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	last := len(v) - 1
	if len(v) >= jumped {
		last--
	}
	return v[min(last, int(p*float64(len(v))))]
}

// Predict returns what a call of such an input will take, and whether it is known. 0 bytes are a usual input.
func (m *Meter) Predict(bytes int) (took time.Duration, known bool) {
	if len(m.last) == 0 {
		return 0, false
	}
	type neighbour struct{ distance, took float64 }
	var room [remembered + 1]neighbour
	all := room[:0]
	for i, o := range m.last {
		n := neighbour{float64(len(m.last)-i) / 1e3, o.Took.Seconds()} // of equal ones the last count
		if bytes > 0 && o.Bytes > 0 {
			n.distance += math.Abs(math.Log(float64(bytes) / float64(o.Bytes)))
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b neighbour) int { return cmp.Compare(a.distance, b.distance) })
	var values [nearest]float64
	n := copyTook(values[:], len(all), func(i int) float64 { return all[i].took })
	return seconds(median(values[:n])), true
}

// copyTook copies as many of n values as there is room for.
func copyTook(to []float64, n int, value func(int) float64) int {
	n = min(n, len(to))
	for i := range n {
		to[i] = value(i)
	}
	return n
}

// seconds returns s seconds as a duration, 146 years at most. What is no number is that, too.
func seconds(s float64) time.Duration {
	const most = float64(never / 2)
	if ns := s * float64(time.Second); ns < most {
		return time.Duration(max(ns, -most))
	}
	return never / 2
}

// Estimate returns what is expected of a usual call at now.
func (m *Meter) Estimate(now time.Duration) Estimate {
	e := Estimate{Calls: m.calls, Recent: len(m.last)}
	if len(m.last) == 0 {
		return e
	}
	e.Age = max(0, now-m.last[len(m.last)-1].At)
	took, _ := m.Predict(0)
	e.Latency, e.Doubt = Known(took), max(m.strays, -m.strays)
	e.Spread = Known(1.4826 * m.spread()) // of a normal distribution
	e.Tail = Known(max(took, m.quantile(0.95, func(o Outcome) time.Duration { return o.Took }).Or(0)))
	missed := 0.0
	for _, o := range m.last {
		if o.Missed {
			missed++
		}
	}
	e.Missed = Known(missed / float64(len(m.last)))
	e.CPU = m.quantile(0.5, func(o Outcome) time.Duration { return o.CPU })
	e.Codec = m.quantile(0.5, func(o Outcome) time.Duration { return o.Codec })
	e.Network = m.quantile(0.5, func(o Outcome) time.Duration { return o.Network })
	e.Queue = m.part(func(o Outcome) time.Duration { return o.Queue })
	e.Run = m.quantile(0.5, func(o Outcome) time.Duration { return o.Run })
	e.Up = m.bytes(func(o Outcome) int { return o.Up })
	e.Down = m.bytes(func(o Outcome) int { return o.Down })
	return e
}

// quantile returns the quantile of a part over the outcomes that have it.
func (m *Meter) quantile(p float64, part func(Outcome) time.Duration) Reading[time.Duration] {
	var room [remembered + 1]float64
	all := room[:0]
	for _, o := range m.last {
		if d := part(o); d > 0 {
			all = append(all, d.Seconds())
		}
	}
	if len(all) == 0 {
		return Reading[time.Duration]{}
	}
	return Known(seconds(quantile(all, p)))
}

// part returns the median of a part that may be 0, over the outcomes that have parts.
func (m *Meter) part(part func(Outcome) time.Duration) Reading[time.Duration] {
	return m.quantile(0.5, func(o Outcome) time.Duration {
		if o.Run == 0 {
			return 0
		}
		return max(1, part(o))
	})
}

// bytes returns the median of a size over the outcomes that have it.
func (m *Meter) bytes(size func(Outcome) int) Reading[float64] {
	var room [remembered + 1]float64
	all := room[:0]
	for _, o := range m.last {
		if n := size(o); n > 0 {
			all = append(all, float64(n))
		}
	}
	if len(all) == 0 {
		return Reading[float64]{}
	}
	return Known(median(all))
}
