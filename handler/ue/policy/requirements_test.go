package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

func TestParseRequirements(t *testing.T) {
	for _, tt := range []struct {
		text, why string
		want      policy.Requirements
	}{
		{"", "nothing is required", policy.Requirements{}},
		{"none", "as String says it", policy.Requirements{}},
		{"latency=100ms", "one", policy.Requirements{Latency: 100 * time.Millisecond}},
		{"latency=1s rate=15 energy=frugal private price=0.25", "all, with blanks",
			policy.Requirements{Latency: time.Second, Rate: 15, Energy: policy.Frugal, Private: true, Price: 0.25}},
		{"rate=15,energy=performance", "commas need no quotes in a shell", policy.Requirements{Rate: 15, Energy: policy.Performance}},
		{" ,rate=2, energy=balanced,", "blanks and commas more than one", policy.Requirements{Rate: 2}},
	} {
		if got, err := policy.ParseRequirements(tt.text); err != nil || got != tt.want {
			t.Errorf("%q is %+v, %v; want %+v: %s", tt.text, got, err, tt.want, tt.why)
		}
	}
}

func TestParseRequirementsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"latency":               "latency",
		"latency=100":           "unit",
		"latency=0s":            "more than zero",
		"latency=-5ms":          "more than zero",
		"rate=NaN":              "above zero",
		"rate=-1":               "above zero",
		"price=Inf":             "above zero",
		"energy=green":          "balanced, performance or frugal",
		"private=no":            "no value",
		"speed=3":               "latency=100ms",
		"none rate=3":           "latency=100ms",
		"rate=3 rate=4":         "twice",
		"latency=1ms,latency=1": "twice",
	} {
		got, err := policy.ParseRequirements(text)
		if err == nil || !strings.Contains(err.Error(), want) || got != (policy.Requirements{}) {
			t.Errorf("%q is %+v, %v; want none, and an error with %q", text, got, err, want)
		}
	}
}

// What is read is written so that it is read the same, and holds what Handler.Require takes.
func FuzzParseRequirements(f *testing.F) {
	for _, text := range []string{"", "none", "latency=100ms rate=15", "energy=frugal,private,price=1e-3", "latency=2562047h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := policy.ParseRequirements(text)
		if err != nil {
			return
		}
		if r.Latency < 0 || !(r.Rate >= 0) || !(r.Price >= 0) || r.Energy > policy.Frugal {
			t.Fatalf("%q is %+v", text, r)
		}
		if again, err := policy.ParseRequirements(r.String()); err != nil || again != r {
			t.Fatalf("%q is %q, which is %+v, %v; want %+v", text, r, again, err, r)
		}
	})
}
