package manager

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGarbageFor(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		live, rest uint64
		want       int
		why        string
	}{
		{0, 0, 200, "nothing was collected yet"},
		{20 * mib, 10 * mib, 200, "a small process makes twice what lives"},
		{72 * mib, 32 * mib, 100, "then as much as is left of 208 MiB"},
		{500 * mib, 100 * mib, 50, "a large one little of what lives"},
		{math.MaxUint64, math.MaxUint64, 50, "whatever is said"},
	} {
		if got := garbageFor(tt.live, tt.rest); got != tt.want {
			t.Errorf("of %d live and %d others: %d, want %d: %s", tt.live, tt.rest, got, tt.want, tt.why)
		}
	}
	runtime.GC()
	if live, rest := readMemory(); live == 0 || rest == 0 || live+rest > 64<<30 {
		t.Errorf("%d bytes live and %d others", live, rest)
	}
}

// The collector is told so while the manager is there, and not afterwards; what the operator says stays.
func TestLimitMemory(t *testing.T) {
	percent := debug.SetGCPercent(100)
	defer debug.SetGCPercent(percent)
	t.Setenv("GOGC", "")
	for operator, want := range map[string]int{"": mostGarbage, "1GiB": 100} {
		t.Setenv("GOMEMLIMIT", operator)
		stop := LimitMemory()
		got := debug.SetGCPercent(want)
		stop()
		if after := debug.SetGCPercent(100); got != want || after != 100 {
			t.Errorf("GOMEMLIMIT=%q: GOGC is %d, want %d; afterwards it is %d", operator, got, want, after)
		}
	}
}
