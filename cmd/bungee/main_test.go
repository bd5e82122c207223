package main

import (
	"slices"
	"testing"
)

func TestLongFlags(t *testing.T) {
	tests := []struct{ in, want, why string }{
		{"-json", "--json", "as Go's own tools have it"},
		{"-seeds=5", "--seeds=5", "with its value"},
		{"--json", "--json", "as it is"},
		{"-v", "-v", "one letter has one dash"},
		{"-h", "-h", "one letter has one dash"},
		{"-1", "-1", "a number"},
		{"-", "-", "standard input"},
		{"host", "host", "no flag"},
	}
	for _, tt := range tests {
		if got := longFlags([]string{tt.in}); got[0] != tt.want {
			t.Errorf("%q: got %q, want %q: %s", tt.in, got[0], tt.want, tt.why)
		}
	}
	if got := longFlags([]string{"-a1", "--", "-bc"}); !slices.Equal(got, []string{"--a1", "--", "-bc"}) {
		t.Errorf("after -- nothing is a flag: got %q", got)
	}
}
