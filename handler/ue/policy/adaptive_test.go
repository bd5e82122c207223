package policy_test

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

func known[T policy.Number](v T) policy.Reading[T] { return policy.Known(v) }

// detector returns a view of a function of 15 calls a second within 100 ms: 40 ms here, 20 there, on a cool device with a good link.
func detector(change func(*policy.View)) *policy.View {
	v := &policy.View{
		At:     time.Minute,
		Device: policy.Device{Temperature: known(30.0), Limit: known(45.0), Battery: known(0.8), Cores: known(4.0), Load: known(1.0)},
		Link:   policy.Link{Kind: policy.WiFi, RTT: known(5 * ms), Up: known(5e6), Down: known(5e6)},
		Hosts:  []policy.Host{{Name: "edge", Ready: true}},
		Functions: []policy.Function{{
			Name: "detect", Idempotent: true, Rate: known(15.0), Require: policy.Requirements{Latency: 100 * ms},
			UE:   policy.Estimate{Calls: 100, Recent: 32, Latency: known(40 * ms), Tail: known(50 * ms), CPU: known(40 * ms)},
			Edge: policy.Estimate{Calls: 100, Recent: 32, Latency: known(20 * ms), Tail: known(25 * ms), Run: known(10 * ms), Up: known(2_000.0), Down: known(900.0)},
		}},
		Standings: []policy.Standing{{}},
	}
	if change != nil {
		change(v)
	}
	return v
}

func onEdge(v *policy.View) {
	v.Standings[0] = policy.Standing{Where: policy.OnEdge, Since: time.Second, Left: time.Second}
}

func heats(v *policy.View) {
	v.Device.Thermal = policy.Thermal{Ambient: known(30.0), Rise: known(20.0), Tau: known(100 * time.Second), Error: known(0.3)}
	v.Device.Temperature = known(42.0)
}

func TestAdaptive(t *testing.T) {
	tests := []struct {
		name   string
		change func(*policy.View)
		want   policy.Place
		why    policy.Reason
	}{
		{"both in time: the place that takes less energy", nil, policy.OnEdge, policy.Saving},
		{"the same over a radio that costs more than the processor", func(v *policy.View) { v.Functions[0].Edge.Up = known(50_000.0) }, policy.OnUE, policy.InTime},
		{"late here", func(v *policy.View) {
			v.Functions[0].UE.Latency, v.Functions[0].UE.Tail = known(130*ms), known(140*ms)
			v.Functions[0].Edge.Up = known(50_000.0)
		}, policy.OnEdge, policy.TooLate},
		{"late there", func(v *policy.View) {
			onEdge(v)
			v.Functions[0].Edge.Latency, v.Functions[0].Edge.Tail = known(130*ms), known(140*ms)
		}, policy.OnUE, policy.TooLate},
		{"late there, and it moved there just now", func(v *policy.View) {
			onEdge(v)
			v.Standings[0].Since, v.Standings[0].Left = v.At-ms, v.At-ms
			v.Functions[0].Edge.Latency, v.Functions[0].Edge.Tail = known(130*ms), known(140*ms)
		}, policy.OnUE, policy.TooLate},
		{"late at both", func(v *policy.View) {
			v.Functions[0].UE.Latency, v.Functions[0].UE.Tail = known(150*ms), known(160*ms)
			v.Functions[0].Edge.Latency, v.Functions[0].Edge.Tail = known(150*ms), known(160*ms)
			v.Functions[0].Edge.Up = known(50_000.0)
		}, policy.OnUE, policy.InTime},
		{"hot soon", func(v *policy.View) { heats(v); v.Functions[0].Edge.Up = known(50_000.0) }, policy.OnEdge, policy.Heating},
		{"hot soon, and private", func(v *policy.View) { heats(v); v.Functions[0].Require.Private = true }, policy.OnUE, policy.Private},
		{"hot soon, and no host", func(v *policy.View) { heats(v); v.Hosts = nil }, policy.OnUE, policy.HostUnready},
		{"hot, the model not known", func(v *policy.View) { v.Device.Temperature = known(44.0) }, policy.OnEdge, policy.Hot},
		{"the temperature not known", func(v *policy.View) {
			v.Device.Temperature = policy.Reading[float64]{}
			v.Functions[0].Edge.Up = known(50_000.0)
		}, policy.OnUE, policy.InTime},
		{"it cools", func(v *policy.View) {
			onEdge(v)
			heats(v)
			v.Device.Load, v.Device.Temperature = known(0.4), known(44.0)
			v.Functions[0].Edge.Up = known(50_000.0)
		}, policy.OnEdge, policy.Cooling},
		{"too dear", func(v *policy.View) { v.Hosts[0].Price = known(2.0); v.Functions[0].Require.Price = 1 }, policy.OnUE, policy.TooDear},
		{"private at the edge", func(v *policy.View) { onEdge(v); v.Functions[0].Require.Private = true }, policy.OnUE, policy.Private},
		{"better there, but it was there 20 s ago", func(v *policy.View) {
			v.Standings[0].Left, v.Standings[0].Since = v.At-20*time.Second, v.At-15*time.Second
		}, policy.OnUE, policy.Dwelling},
		{"performance: the faster place", func(v *policy.View) {
			v.Functions[0].Edge.Up = known(50_000.0)
			v.Functions[0].Require.Energy = policy.Performance
		}, policy.OnEdge, policy.Faster},
		{"the link faded since the last calls there", func(v *policy.View) {
			v.Functions[0].Edge.Age = time.Minute
			v.Functions[0].Edge.Up = known(50_000.0)
			v.Link.Up = known(250e3)
			v.Functions[0].Require.Energy = policy.Performance
		}, policy.OnUE, policy.InTime},
		{"nothing is known", func(v *policy.View) {
			*v = policy.View{Functions: make([]policy.Function, 1), Standings: make([]policy.Standing, 1), Hosts: v.Hosts}
		}, policy.OnUE, policy.InTime},
	}
	for _, tt := range tests {
		v := detector(tt.change)
		got := policy.Adaptive{}.Plan(v)[0]
		if got.Where != tt.want || got.Why.Reason != tt.why {
			t.Errorf("%s: %s, because %s; want %s, because %s", tt.name, got.Where, got.Why, tt.want, policy.Why{Reason: tt.why})
		}
	}
}

// Of two functions the one that heats most leaves, and the other sees that it has left.
func TestAdaptiveMovesTheOneThatHeats(t *testing.T) {
	v := detector(func(v *policy.View) {
		heats(v)
		v.Functions[0].Edge.Up = known(50_000.0)
		small := v.Functions[0]
		small.Rate = known(1.0)
		v.Functions = []policy.Function{small, v.Functions[0]}
		v.Standings = nil
	})
	got := policy.Adaptive{}.Plan(v)
	if got[0].Where != policy.OnUE || got[1].Where != policy.OnEdge {
		t.Errorf("the small one: %s, because %s; the large one: %s, because %s", got[0].Where, got[0].Why, got[1].Where, got[1].Why)
	}
}

// A call is hedged so that the UE can still be in time, if it may run twice.
func TestAdaptiveHedges(t *testing.T) {
	v := detector(nil)
	v.Standings = policy.Adaptive{}.Plan(v)
	d := policy.Adaptive{}.Decide(policy.Call{Ready: true}, v)
	if want := 45 * ms; d.Where != policy.OnEdge || d.Hedge != want { // 100 - 1.1 * 50
		t.Errorf("%s, hedged after %v, want %v", d.Where, d.Hedge, want)
	}
	if d = (policy.Adaptive{}).Decide(policy.Call{}, v); d.Where != policy.OnUE || d.Hedge != 0 || d.Why.Reason != policy.HostUnready {
		t.Errorf("not ready: %s, hedged after %v, because %s", d.Where, d.Hedge, d.Why)
	}
	v.Functions[0].Idempotent = false
	v.Standings = policy.Adaptive{}.Plan(v)
	if d = (policy.Adaptive{}).Decide(policy.Call{Ready: true}, v); d.Hedge != 0 {
		t.Errorf("a function that must not run twice is hedged after %v", d.Hedge)
	}
}

// One call in fifty looks, and none when it would be late.
func TestAdaptiveExplores(t *testing.T) {
	looks := func(change func(*policy.View)) (n int) {
		v := detector(func(v *policy.View) {
			v.Functions[0].Edge.Up = known(50_000.0) // it stays on the UE
			v.Functions[0].Edge.Age = time.Minute
			change(v)
		})
		v.Standings = policy.Adaptive{}.Plan(v)
		for c := range uint64(1000) {
			if d := (policy.Adaptive{}).Decide(policy.Call{Number: c, Ready: true}, v); d.Why.Reason == policy.Exploring {
				n++
			}
		}
		return n
	}
	late := func(v *policy.View) {
		v.Functions[0].Edge.Run = known(time.Second)
		v.Functions[0].Edge.Age = 20 * time.Second
	}
	for _, tt := range []struct {
		name   string
		change func(*policy.View)
		want   int
	}{
		{"it was there a minute ago", func(*policy.View) {}, 20},
		{"it was there a second ago", func(v *policy.View) { v.Functions[0].Edge.Age = time.Second }, 0},
		{"it would be late, but is hedged", late, 20},
		{"it would be late", func(v *policy.View) { late(v); v.Functions[0].Idempotent = false }, 0},
		{"private", func(v *policy.View) { v.Functions[0].Require.Private = true }, 0},
		{"no host is ready", func(v *policy.View) { v.Hosts[0].Ready = false }, 0},
	} {
		if got := looks(tt.change); got != tt.want {
			t.Errorf("%s: %d of 1000 calls look, want %d", tt.name, got, tt.want)
		}
	}
}

// The level is the best that the link carries in time; when the link recovers, it comes back.
func TestAdaptiveFidelity(t *testing.T) {
	v := detector(func(v *policy.View) {
		f := &v.Functions[0]
		f.Levels = []policy.Level{{Quality: 90, Size: 1, Bytes: known(60e3)}, {Quality: 60, Size: 1, Bytes: known(25e3)}, {Quality: 40, Size: 0.5, Bytes: known(8e3)}}
		f.Edge.Up, f.Edge.Age = known(60e3), time.Minute
		onEdge(v)
	})
	for _, step := range []struct {
		up   float64 // bytes/s
		want uint8
	}{{6.25e6, 0}, {1e6, 1}, {250e3, 2}, {1.02e6, 1}, {1.05e6, 1}, {6.25e6, 0}} {
		v.Link.Up = known(step.up)
		v.Standings = policy.Adaptive{}.Plan(v)
		if got := v.Standings[0].Fidelity[policy.OnEdge]; got != step.want {
			t.Errorf("%.0f kbit/s: level %d, want %d", step.up*8/1e3, got, step.want)
		}
	}
}

func TestUnmet(t *testing.T) {
	if got := detector(nil).Unmet(); got != nil {
		t.Errorf("all is met: %+v", got)
	}
	slow := func(v *policy.View) { v.Functions[0].Require.Latency = 10 * ms }
	if got := detector(slow).Unmet(); len(got) != 1 || got[0].Which != "latency" || got[0].Best != 0.02 {
		t.Errorf("10 ms, and the best is 20: %+v", got)
	}
	alone := func(v *policy.View) {
		v.Functions[0].Require = policy.Requirements{Latency: 50 * ms, Rate: 200, Private: true}
	}
	if got := detector(alone).Unmet(); len(got) != 1 || got[0].Which != "rate" || got[0].Best != 100 {
		t.Errorf("200 a second, and 4 cores make 100: %+v", got)
	}
	dear := func(v *policy.View) {
		v.Functions[0].Require = policy.Requirements{Latency: 30 * ms, Price: 1}
		v.Hosts[0].Price = known(2.0)
	}
	if got := detector(dear).Unmet(); len(got) != 2 || got[1].Which != "price" || got[1].Best != 2 {
		t.Errorf("in time only for a price that is over the limit: %+v", got)
	}
}

// randomView changes v at random, as a world does that means ill.
func randomView(r *rand.Rand, v *policy.View) {
	duration := func() policy.Reading[time.Duration] {
		if r.IntN(8) == 0 {
			return policy.Reading[time.Duration]{}
		}
		return known(time.Duration(r.IntN(200)) * ms)
	}
	number := func(most float64) policy.Reading[float64] {
		if r.IntN(8) == 0 {
			return policy.Reading[float64]{}
		}
		return known(most * r.Float64())
	}
	v.Device.Temperature, v.Device.Load, v.Device.Battery = number(60), number(8), number(1)
	v.Device.Thermal = policy.Thermal{Ambient: number(40), Rise: number(30), Tau: known(time.Minute)}
	v.Link.RTT, v.Link.Up = duration(), number(1e6)
	v.Hosts[0].Ready = r.IntN(10) > 0
	for i := range v.Functions {
		f := &v.Functions[i]
		f.UE.Latency, f.Edge.Latency = duration(), duration()
		f.UE.Tail, f.Edge.Tail = duration(), duration()
		f.UE.Missed, f.Edge.Missed = number(1), number(1)
		f.UE.Age, f.Edge.Age = duration().Or(0)*100, duration().Or(0)*100
		f.Require.Latency = duration().Or(0)
	}
}

// Whatever the world does: a function moves 6 times a minute at most, no private one leaves, and the same view gives the same plan.
func TestAdaptiveWalk(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 15))
		v := detector(func(v *policy.View) {
			v.Functions = append(v.Functions, v.Functions[0], v.Functions[0])
			v.Functions[2].Require.Private = true
			v.Standings = nil
		})
		moves := make([][]time.Duration, 3)
		for range 6000 {
			v.At += 50 * ms
			randomView(r, v)
			before := v.Standings
			kept := append([]policy.Standing(nil), before...)
			next := policy.Adaptive{}.Plan(v)
			if again := (policy.Adaptive{}).Plan(v); !reflect.DeepEqual(next, again) || !reflect.DeepEqual(before, kept) {
				t.Fatalf("seed %d: two plans of one view differ, or the view has changed", seed)
			}
			for i := range next {
				if i < len(before) && next[i].Where != before[i].Where || i >= len(before) && next[i].Where == policy.OnEdge {
					moves[i] = append(moves[i], v.At)
				}
			}
			if next[2].Where != policy.OnUE {
				t.Fatalf("seed %d: private data left the device", seed)
			}
			v.Standings = next
		}
		for i, at := range moves {
			for n := 6; n < len(at); n++ {
				if at[n]-at[n-6] < time.Minute {
					t.Fatalf("seed %d: function %d moved 7 times from %v to %v", seed, i, at[n-6], at[n])
				}
			}
		}
	}
}

func TestThreshold(t *testing.T) {
	var p policy.Threshold
	v := detector(nil)
	for _, step := range []struct {
		after       time.Duration
		temperature float64
		want        policy.Place
		why         policy.Reason
	}{
		{0, 41.9, policy.OnUE, policy.InTime},
		{time.Second, 42, policy.OnEdge, policy.Hot},
		{time.Second, 38, policy.OnEdge, policy.Dwelling},
		{time.Minute, 40, policy.OnEdge, policy.Cooling},
		{time.Second, 38.9, policy.OnUE, policy.InTime},
	} {
		v.At += step.after
		v.Device.Temperature = known(step.temperature)
		v.Standings = p.Plan(v)
		if got := v.Standings[0]; got.Where != step.want || got.Why.Reason != step.why {
			t.Errorf("%.1f °C: %s, because %s; want %s", step.temperature, got.Where, got.Why, step.want)
		}
	}
	v.Device.Battery = known(0.1)
	v.At += time.Minute
	if got := p.Plan(v)[0]; got.Where != policy.OnEdge || got.Why.Reason != policy.LowBattery {
		t.Errorf("a tenth of the battery is left: %s, because %s", got.Where, got.Why)
	}
}

func BenchmarkPlan(b *testing.B) {
	v := detector(func(v *policy.View) {
		heats(v)
		v.Functions = append(v.Functions, v.Functions[0], v.Functions[0])
	})
	b.ReportAllocs()
	for b.Loop() {
		policy.Adaptive{}.Plan(v)
	}
}
