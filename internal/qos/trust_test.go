package qos

import (
	"fmt"
	"math"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestTrust(t *testing.T) {
	tests := []struct {
		name              string
		calls             uint64
		median, rtt, told time.Duration
		want              float64
		why               string
	}{
		{"as it says", 20, 14 * ms, 4 * ms, 10 * ms, 1, "10 ms are 10 ms"},
		{"a little longer", 20, 17 * ms, 4 * ms, 10 * ms, 1, "13 ms are not over 20 % and 2 ms more"},
		{"longer", 20, 19 * ms, 4 * ms, 10 * ms, 1.5, "15 ms are"},
		{"short and longer", 20, 3 * ms, ms, 500 * time.Microsecond, 1, "2 ms more are noise"},
		{"few calls", 19, time.Second, 4 * ms, 10 * ms, 1, "20 are needed"},
		{"shorter than the way", 20, 3 * ms, 4 * ms, 10 * ms, 1, "nothing is negative"},
		{"absurd", 20, time.Hour, 0, 1, maxFactor, "a report is bounded"},
		{"the host says nothing", 20, time.Second, 0, 0, 1, "nothing to compare with"},
		{"negative", 20, -time.Second, -time.Hour, -1, 1, "left out"},
	}
	for _, tt := range tests {
		var trust Trust
		trust.Felt(begin, "ue", tt.calls, tt.median, tt.rtt, tt.told)
		if got := trust.Factor(begin, "ue"); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v: %s", tt.name, got, tt.want, tt.why)
		}
	}
}

// Calls add up, a report ends, and a session that felt nothing trusts the host until three did.
func TestTrustOfOthers(t *testing.T) {
	var trust Trust
	for i := range 3 {
		if got := trust.Host(begin); got != 1 {
			t.Errorf("%d sessions felt it: factor %v for others, want 1", i, got)
		}
		ue := fmt.Sprint("ue-", i)
		trust.Felt(begin, ue, 10, 30*ms, 0, 10*ms)
		trust.Felt(begin, ue, 10, 30*ms, 0, 10*ms)
		if got := trust.Factor(begin, ue); got != 3 {
			t.Errorf("%s felt 30 ms for 10: factor %v, want 3", ue, got)
		}
	}
	if got := trust.Host(begin); got != 3 {
		t.Errorf("three sessions felt it: factor %v for others, want 3", got)
	}
	for i := range 4 { // who slanders a host is outvoted
		trust.Felt(begin, fmt.Sprint("ue-", 3+i), 20, 10*ms, 0, 10*ms)
	}
	if got := trust.Host(begin); got != 1 {
		t.Errorf("four of seven felt nothing: factor %v, want 1", got)
	}
	if got := trust.Factor(begin.Add(trustAge), "ue-0"); got != 1 {
		t.Errorf("after %v: factor %v, want 1", trustAge, got)
	}
	trust.Forget("ue-0")
	if got := trust.Factor(begin, "ue-0"); got != 1 {
		t.Errorf("a session that is forgotten: factor %v", got)
	}
}

func TestTrustIsBounded(t *testing.T) {
	var trust Trust
	for i := range 3 * maxReports {
		trust.Felt(begin.Add(time.Duration(i)), fmt.Sprint(i), 20, 10*ms, 0, ms)
	}
	if got := len(trust.reports); got != maxReports {
		t.Errorf("%d reports are kept, want %d", got, maxReports)
	}
	if got := trust.Factor(begin, fmt.Sprint(3*maxReports-1)); got != 10 {
		t.Errorf("the newest has factor %v, want 10", got)
	}
}
