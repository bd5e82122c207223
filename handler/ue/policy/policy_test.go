package policy_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

func TestSimplePolicies(t *testing.T) {
	tests := []struct {
		name string
		p    policy.Policy
		call policy.Call
		want policy.Place
		why  string
	}{
		{"always here", policy.Always(policy.OnUE), policy.Call{Ready: true}, policy.OnUE, "the policy names this place"},
		{"always there", policy.Always(policy.OnEdge), policy.Call{}, policy.OnEdge, "the policy names this place"},
		{"ready", policy.WhenReady{}, policy.Call{Ready: true}, policy.OnEdge, "the edge host is ready"},
		{"not ready", policy.WhenReady{}, policy.Call{Now: policy.OnEdge}, policy.OnUE, "the edge host is not ready"},
		{"first turn", policy.Toggle{Every: 50}, policy.Call{Number: 49}, policy.OnUE, "it is turn 0"},
		{"second turn", policy.Toggle{Every: 50}, policy.Call{Number: 50}, policy.OnEdge, "it is turn 1"},
		{"third turn", policy.Toggle{Every: 50}, policy.Call{Number: 100}, policy.OnUE, "it is turn 2"},
		{"never", policy.Toggle{}, policy.Call{Number: 100, Ready: true}, policy.OnUE, "the policy names this place"},
	}
	for _, tt := range tests {
		d := tt.p.Decide(tt.call, &policy.View{})
		if d.Where != tt.want || d.Why.String() != tt.why {
			t.Errorf("%s: %s, because %s; want %s, because %s", tt.name, d.Where, d.Why, tt.want, tt.why)
		}
	}
}

// Each reason has a text of its own, with its numbers.
func TestWhy(t *testing.T) {
	seen := map[string]policy.Reason{}
	for r := policy.Unplanned; r <= policy.Replaced; r++ {
		text := policy.Why{Reason: r, A: 0.0125, B: 40}.String()
		if before, twice := seen[text]; twice || text == "" || strings.Contains(text, "%!") {
			t.Errorf("reason %d says %q, as %d does", r, text, before)
		}
		seen[text] = r
	}
	if got := (policy.Why{Reason: policy.Faster, A: 0.0123456, B: 1.5}).String(); got != "it takes 12.3ms here and 1.5s there" {
		t.Errorf("got %q", got)
	}
}

func TestReading(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, known := policy.Known(bad).Get(); known {
			t.Errorf("%v is known", bad)
		}
	}
	if v, known := policy.Known(0.0).Get(); v != 0 || !known {
		t.Error("zero is a number like any other")
	}
	var unknown policy.Reading[time.Duration]
	if _, known := unknown.Get(); known || unknown.Or(time.Second) != time.Second {
		t.Errorf("the zero reading is known: %v", unknown)
	}
	if got := policy.Known(time.Minute).Or(time.Second); got != time.Minute {
		t.Errorf("got %v", got)
	}
}

// A funcPolicy is a policy of a test.
type funcPolicy struct {
	decide func(policy.Call) policy.Decision
	plan   func(*policy.View) []policy.Standing
}

func (p funcPolicy) Decide(c policy.Call, _ *policy.View) policy.Decision { return p.decide(c) }
func (p funcPolicy) Plan(v *policy.View) []policy.Standing                { return p.plan(v) }

func TestContain(t *testing.T) {
	there := policy.Decision{Where: policy.OnEdge}
	tests := []struct {
		name   string
		p      policy.Policy
		why    string // "" when it stays
		within int    // calls
	}{
		{"panics", funcPolicy{decide: func(c policy.Call) policy.Decision {
			if c.Number == 7 {
				panic("seven")
			}
			return there
		}}, "it panicked: seven", 8},
		{"panics with nil inside", funcPolicy{decide: func(c policy.Call) policy.Decision { return *(*policy.Decision)(nil) }}, "nil pointer", 1},
		{"no place", funcPolicy{decide: func(c policy.Call) policy.Decision { return policy.Decision{Where: 7} }}, "no place", 1},
		{"always moves", policy.Toggle{Every: 1}, policy.ErrRestless.Error(), 64},
		{"moves often", policy.Toggle{Every: 2}, "", 0},
		{"moves once", policy.Toggle{Every: 500}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var told []error
			p := policy.Contain(tt.p, func(err error) { told = append(told, err) })
			for n := range uint64(1000) {
				d := p.Decide(policy.Call{Number: n}, &policy.View{})
				if p.Failed() && n >= uint64(tt.within) && (d.Where != policy.OnUE || d.Why.Reason != policy.Replaced) {
					t.Fatalf("call %d: %s, because %s", n, d.Where, d.Why)
				}
				if tt.why != "" && n >= uint64(tt.within) && !p.Failed() {
					t.Fatalf("call %d: it is still in use", n)
				}
			}
			if tt.why == "" {
				if len(told) > 0 {
					t.Errorf("it was replaced: %v", told)
				}
				return
			}
			if len(told) != 1 || !strings.Contains(told[0].Error(), tt.why) || !strings.Contains(told[0].Error(), fmt.Sprintf("%T", tt.p)) {
				t.Errorf("told %v; want one error with its name and %q", told, tt.why)
			}
		})
	}
}

func TestContainPlans(t *testing.T) {
	before := []policy.Standing{{Where: policy.OnEdge}}
	v := &policy.View{Functions: make([]policy.Function, 1), Standings: before}
	if got := policy.Contain(policy.WhenReady{}, nil).Plan(v); len(got) != 1 || got[0] != before[0] {
		t.Errorf("no planner: %v; want what stood before", got)
	}
	p := policy.Contain(funcPolicy{plan: func(*policy.View) []policy.Standing { panic(errors.New("no plan")) }}, nil)
	if got := p.Plan(v); got != nil || !p.Failed() {
		t.Errorf("a plan that panicked: %v, replaced: %v", got, p.Failed())
	}
}

// Many calls at once, of which one panics: all get an answer, and one error is told.
func TestContainByMany(t *testing.T) {
	var mu sync.Mutex
	told := 0
	p := policy.Contain(funcPolicy{decide: func(c policy.Call) policy.Decision {
		if c.Number%5 == 4 {
			panic("now and then")
		}
		return policy.Decision{Where: policy.OnEdge}
	}}, func(error) { mu.Lock(); told++; mu.Unlock() })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range uint64(200) {
				p.Decide(policy.Call{Function: g % 3, Number: n}, &policy.View{})
			}
		})
	}
	wg.Wait()
	if told != 1 || !p.Failed() {
		t.Errorf("told %d times, replaced: %v", told, p.Failed())
	}
}

// A decision is on the path of each call.
func TestDecideAllocatesNothing(t *testing.T) {
	v := detector(nil)
	v.Standings = policy.Adaptive{}.Plan(v)
	p := policy.Contain(policy.Adaptive{}, nil)
	var n uint64
	if got := testing.AllocsPerRun(1000, func() { p.Decide(policy.Call{Number: n, Ready: true}, v); n++ }); got != 0 {
		t.Errorf("%v allocations a decision", got)
	}
}

func BenchmarkDecide(b *testing.B) {
	v := detector(nil)
	v.Functions[0].Edge.Age = time.Minute // so that some calls look how it is there
	v.Standings = policy.Adaptive{}.Plan(v)
	for _, bb := range []struct {
		name string
		p    policy.Policy
	}{
		{"toggle", policy.Toggle{Every: 50}},
		{"ready", policy.WhenReady{}},
		{"threshold", policy.Threshold{}},
		{"adaptive", policy.Adaptive{}},
		{"adaptive/contained", policy.Contain(policy.Adaptive{}, nil)},
		{"ready/contained", policy.Contain(policy.WhenReady{}, nil)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			var n uint64
			for b.Loop() {
				bb.p.Decide(policy.Call{Number: n, Ready: true}, v)
				n++
			}
		})
	}
}
