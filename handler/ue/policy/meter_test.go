package policy_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// A course is what the calls of a test take: input sizes, the true usual time of an input, and what a call makes of it.
type course struct {
	name string
	size func(r *rand.Rand) int
	took func(call, size int) time.Duration
	// noise is the standard deviation of the logarithm; one call in outlier takes ten times as long, 0 none.
	noise   float64
	outlier int
}

func fixed(n int) func(*rand.Rand) int { return func(*rand.Rand) int { return n } }

const ms = time.Millisecond

var courses = []course{
	{"steady, as a native detector", fixed(50_000), func(int, int) time.Duration { return 40 * ms }, 0.05, 0},
	{"Wi-Fi, with a retransmission now and then", fixed(50_000), func(int, int) time.Duration { return 22 * ms }, 0.25, 15},
	{"slower by half each 100 calls, as when it throttles", fixed(50_000), func(call, _ int) time.Duration { return 40 * ms * time.Duration(2+call/100) / 2 }, 0.1, 30},
	{"in proportion to the input", func(r *rand.Rand) int { return 1000 << r.IntN(4) }, func(_, size int) time.Duration { return time.Duration(size) * 10 * time.Microsecond }, 0.1, 0},
	{"jumps with the input's size", func(r *rand.Rand) int { return []int{4_000, 60_000}[r.IntN(2)] }, func(_, size int) time.Duration {
		if size > 32_000 {
			return 120 * ms
		}
		return 8 * ms
	}, 0.1, 20},
	{"five times slower in the middle, as a host that others fill", fixed(50_000), func(call, _ int) time.Duration {
		if call >= 200 && call < 300 {
			return 75 * ms
		}
		return 15 * ms
	}, 0.15, 0},
}

// After 20 calls half of the predictions are within 15 % of what the call then takes without its noise, on each course.
func TestMeterPredicts(t *testing.T) {
	const seed = 15
	for _, c := range courses {
		r := rand.New(rand.NewPCG(seed, 1))
		var m policy.Meter
		var off []float64
		for call := range 400 {
			size := c.size(r)
			usual := c.took(call, size)
			if got, known := m.Predict(size); call >= 20 {
				if !known {
					t.Fatalf("%s: call %d is not known", c.name, call)
				}
				off = append(off, math.Abs(float64(got)/float64(usual)-1))
			}
			took := time.Duration(float64(usual) * math.Exp(c.noise*r.NormFloat64()))
			if c.outlier > 0 && r.IntN(c.outlier) == 0 {
				took *= 10
			}
			m.Add(policy.Outcome{At: time.Duration(call) * 33 * ms, Bytes: size, Took: took})
		}
		slices.Sort(off)
		t.Logf("%-60s median error %4.1f %%, 90 %% within %5.1f %%", c.name, 100*off[len(off)/2], 100*off[len(off)*9/10])
		if off[len(off)/2] > 0.15 {
			t.Errorf("%s: median error %.1f %%, want 15 at most (seed %d)", c.name, 100*off[len(off)/2], seed)
		}
	}
}

// The third call that is slow in a row changes the prediction, and two do not.
func TestMeterFollowsAJump(t *testing.T) {
	var m policy.Meter
	for range 30 {
		m.Add(policy.Outcome{Took: 20 * ms})
	}
	for n, want := range []time.Duration{20 * ms, 20 * ms, 100 * ms, 100 * ms} {
		m.Add(policy.Outcome{Took: 100 * ms})
		if got, _ := m.Predict(0); got != want {
			t.Errorf("after %d slow calls: %v, want %v", n+1, got, want)
		}
	}
}

func TestMeterEstimates(t *testing.T) {
	var m policy.Meter
	if got := m.Estimate(time.Second); got != (policy.Estimate{}) {
		t.Errorf("nothing heard: %+v", got)
	}
	m.Add(policy.Outcome{At: time.Second, Took: -1})
	for n := range 8 {
		m.Add(policy.Outcome{At: time.Second, Took: 20 * ms, Missed: n%4 == 0, Codec: ms, Network: 9 * ms, Run: 10 * ms, Up: 50_000, Down: 900})
	}
	got := m.Estimate(3 * time.Second)
	if got.Calls != 8 || got.Age != 2*time.Second || got.Latency != policy.Known(20*ms) || got.Missed != policy.Known(0.25) {
		t.Errorf("got %+v", got)
	}
	if got.Run != policy.Known(10*ms) || got.Up != policy.Known(50_000.0) || got.Network != policy.Known(9*ms) {
		t.Errorf("parts: %+v", got)
	}
	if _, known := got.CPU.Get(); known {
		t.Errorf("CPU was never measured: %+v", got.CPU)
	}
	if q, known := got.Queue.Get(); !known || q > time.Microsecond {
		t.Errorf("queue %v, %v; calls with parts did not wait", q, known)
	}
}

// A thermometer finds the parameters of a synthetic device from noisy whole degrees, and when it reaches a limit.
func TestThermometer(t *testing.T) {
	const ambient, rise, tau, seed = 28.0, 7.0, 80.0, 3
	r := rand.New(rand.NewPCG(seed, 1))
	var m policy.Thermometer
	degrees := ambient
	load := 0.5
	for s := range 900 {
		if s%120 == 0 {
			load = []float64{0.5, 2, 1}[s/120%3]
		}
		degrees += (ambient + rise*load - degrees) / tau
		m.Add(time.Duration(s)*time.Second, policy.Known(math.Round(degrees+0.3*r.NormFloat64())), policy.Known(load))
	}
	got := m.Thermal()
	t.Logf("%+v; truth %v °C, %v K a core, %v s", got, ambient, rise, tau)
	if math.Abs(got.Ambient.Or(0)-ambient) > 1.5 || math.Abs(got.Rise.Or(0)/rise-1) > 0.15 || got.Tau.Or(0) != 80*time.Second {
		t.Errorf("got %+v; want %v °C, %v K a core, %v s (seed %d)", got, ambient, rise, tau, seed)
	}
	// At 2 cores it goes to 42 °C; from 35 it is at 40 after 80 ln((42-35)/(42-40)) s.
	want := 80 * math.Log(7.0/2)
	if left := got.TimeTo(40, 35, 2).Or(0).Seconds(); math.Abs(left/want-1) > 0.35 {
		t.Errorf("40 °C in %.0f s, want about %.0f", left, want)
	}
	if left := got.TimeTo(40, 35, 0.5).Or(0); left < 24*time.Hour {
		t.Errorf("half a core takes it to 40 °C in %v; it never does", left)
	}
	if left, known := (policy.Thermal{}).TimeTo(40, 35, 2).Get(); known {
		t.Errorf("an unknown device reaches 40 °C in %v", left)
	}
}

// Readings that lie, jump back in time, or are missing leave no model that is no number.
func FuzzThermometer(f *testing.F) {
	f.Add(int64(1e9), 30.0, 1.0, int64(2e9), -1e300, 5.0)
	f.Add(int64(0), math.MaxFloat64, math.MaxFloat64, int64(-5), 0.0, -1.0)
	f.Fuzz(func(t *testing.T, dt1 int64, t1, l1 float64, dt2 int64, t2, l2 float64) {
		var m policy.Thermometer
		at := time.Duration(0)
		for range 20 {
			at += time.Duration(dt1 % int64(time.Minute))
			m.Add(at, policy.Known(t1), policy.Known(l1))
			at += time.Duration(dt2 % int64(time.Minute))
			m.Add(at, policy.Known(t2), policy.Known(l2))
			got := m.Thermal()
			if left, known := got.TimeTo(45, 40, 1).Get(); known && left < 0 {
				t.Fatalf("%+v reaches 45 °C %v ago", got, left)
			}
		}
	})
}

func FuzzMeter(f *testing.F) {
	f.Add(int64(1e6), 5, int64(1), -3, int64(math.MaxInt64), math.MaxInt64)
	f.Fuzz(func(t *testing.T, t1 int64, b1 int, t2 int64, b2 int, t3 int64, b3 int) {
		var m policy.Meter
		for n := range 40 {
			o := []policy.Outcome{{Took: time.Duration(t1), Bytes: b1, Run: time.Duration(t2), Up: b3}, {Took: time.Duration(t2), Bytes: b2, Queue: time.Duration(t1)}, {Took: time.Duration(t3), Bytes: b3, Missed: true}}[n%3]
			o.At = time.Duration(t1)
			m.Add(o)
			if got, known := m.Predict(b2); known && got < 0 {
				t.Fatalf("it takes %v", got)
			}
			if e := m.Estimate(time.Duration(t2)); e.Tail.Or(0) < e.Latency.Or(0) {
				t.Fatalf("%+v", e)
			}
		}
	})
}
