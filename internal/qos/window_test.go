package qos

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var begin = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestWindow(t *testing.T) {
	w := NewWindow(6 * time.Second)
	if got := w.Calls(begin); got != (Calls{}) {
		t.Errorf("empty: %+v", got)
	}
	var all []float64
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 10000 {
		d := time.Duration(rng.ExpFloat64() * float64(10*time.Millisecond))
		w.Add(begin.Add(time.Duration(i)*500*time.Microsecond), d, d > 50*time.Millisecond) // within 5 s
		all = append(all, float64(d))
	}
	got := w.Calls(begin.Add(5 * time.Second))
	if got.N != 10000 || got.Missed < 40 || got.Missed > 100 {
		t.Errorf("%d calls, %d missed; want 10000 and about 67", got.N, got.Missed)
	}
	for _, q := range []struct {
		name string
		q    float64
		got  time.Duration
	}{{"p10", 0.1, got.P10}, {"p50", 0.5, got.P50}, {"p99", 0.99, got.P99}} {
		if want := quantile(all, q.q); math.Abs(float64(q.got)/want-1) > 0.08 {
			t.Errorf("%s: %v, want %v within 8 %%", q.name, q.got, time.Duration(want))
		}
	}
	if d := got.Mean - 10*time.Millisecond; d.Abs() > time.Millisecond {
		t.Errorf("mean %v, want about 10 ms", got.Mean)
	}
}

// Calls count for the window, and no longer.
func TestWindowForgets(t *testing.T) {
	w := NewWindow(6 * time.Second)
	w.Add(begin, time.Millisecond, true)
	w.Add(begin.Add(4*time.Second), time.Second, false)
	for _, tt := range []struct {
		after time.Duration
		n     uint64
	}{{4 * time.Second, 2}, {6 * time.Second, 1}, {9 * time.Second, 1}, {11 * time.Second, 0}, {time.Hour, 0}} {
		if got := w.Calls(begin.Add(tt.after)).N; got != tt.n {
			t.Errorf("after %v: %d calls, want %d", tt.after, got, tt.n)
		}
	}
	w.Add(begin, time.Millisecond, false) // the clock goes back
	if got := w.Calls(begin.Add(time.Hour)).N; got != 1 {
		t.Errorf("a call at an earlier time: %d calls, want 1", got)
	}
}

func TestWindowOfBadTimes(t *testing.T) {
	w := NewWindow(-1)
	w.Add(begin, -time.Second, true)
	if got := w.Calls(begin); got != (Calls{}) {
		t.Errorf("a negative time counts: %+v", got)
	}
	for range 3 {
		w.Add(begin, math.MaxInt64, false)
	}
	w.Add(begin, 0, false)
	if got := w.Calls(begin); got.N != 4 || got.Mean <= 0 || got.P99 <= 0 {
		t.Errorf("the longest times: %+v", got)
	}
}

// Each bucket holds its middle, and the next one longer times.
func TestBuckets(t *testing.T) {
	for i := 1; i < buckets; i++ {
		if got := bucket(middle(i)); got != i {
			t.Errorf("the middle %v of bucket %d is in bucket %d", middle(i), i, got)
		}
		if middle(i) <= middle(i-1) {
			t.Errorf("bucket %d is not above the one before it", i)
		}
	}
	for _, d := range []time.Duration{0, 1, time.Microsecond - 1, math.MaxInt64} {
		if got := bucket(d); got < 0 || got >= buckets {
			t.Errorf("%v is in bucket %d of %d", d, got, buckets)
		}
	}
}

func FuzzWindow(f *testing.F) {
	f.Add(int64(time.Second), int64(5), int64(time.Millisecond), int64(-3), int64(math.MaxInt64))
	f.Add(int64(-1), int64(math.MinInt64), int64(math.MaxInt64), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, length, at1, d1, at2, d2 int64) {
		w := NewWindow(time.Duration(length))
		w.Add(time.Unix(0, at1), time.Duration(d1), true)
		w.Add(time.Unix(0, at2), time.Duration(d2), false)
		got := w.Calls(time.Unix(0, max(at1, at2)))
		if got.Mean < 0 || got.P10 < 0 || got.P50 < got.P10 || got.P99 < got.P50 || got.N > 2 || got.Missed > got.N {
			t.Errorf("%+v", got)
		}
	})
}
