package main

import (
	"strings"
	"testing"
)

// TestAssemblyIsTold has a package that computes in assembly natively: the developer is told, unless each mark allows for it.
func TestAssemblyIsTold(t *testing.T) {
	const app = `
-- app.go --
package app

import "example.com/app/dot"

//offload:func ulp=4
func known(a, b []float64) float64 { return dot.Product(a, b) }

//offload:func
func product(a, b []float64) float64 { return dot.Product(a, b) }
-- dot/dot.go --
package dot

func Product(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
`
	const assembly = "-- dot/dot_amd64.s --\n"
	for _, tt := range []struct{ why, app, want string }{
		{"the package has assembly for UEs", app + assembly, "app.go:9:6: product: natively these packages compute in assembly, and in the module in Go: example.com/app/dot; "},
		{"it has none", app, ""},
		{"what the guest does not link has assembly", app + "-- dot/dot_arm64.s --\n-- other/other_amd64.s --\n-- other/other.go --\npackage other\n", ""},
		{"each mark allows for it", strings.Replace(app, "//offload:func\n", "//offload:func ulp=1\n", 1) + assembly, ""},
	} {
		s, _, err := sliced(t, tt.app)
		if err != nil {
			t.Fatal(err)
		}
		told := ""
		for _, line := range s.told {
			if strings.Contains(line, "in assembly") {
				told += line
			}
		}
		if !strings.HasPrefix(told, tt.want) || tt.want == "" && told != "" {
			t.Errorf("%s: it tells %q; want %q", tt.why, told, tt.want)
		}
	}
}
