package cli

import (
	"errors"
	"fmt"
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

func TestStatusOf(t *testing.T) {
	tests := []struct {
		err  error
		want int
		why  string
	}{
		{nil, 0, "done"},
		{errors.New("no"), 1, "failed"},
		{fmt.Errorf("%w: --listen", ErrUsage), 2, "the command line is wrong"},
		{fmt.Errorf("bench: %w", Status(3)), 3, "of a program that was run"},
	}
	for _, tt := range tests {
		if got := statusOf(tt.err); got != tt.want {
			t.Errorf("statusOf(%v) = %d; want %d: %s", tt.err, got, tt.want, tt.why)
		}
	}
}
