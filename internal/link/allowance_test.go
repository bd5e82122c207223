package link

import (
	"testing"
	"time"
)

func TestAllowance(t *testing.T) {
	const ms = time.Millisecond
	begin := time.Now()
	tests := []struct {
		name    string
		every   time.Duration // that somebody asks
		n       int           // in all
		least   int           // that happen, of those who do not wait
		most    int
		longest time.Duration // that somebody waits, of those who do
	}{
		{"what is allowed", 10 * ms, 1000, 1000, 1000, 0},
		{"all at once", 0, 100, 8, 9, 920 * ms},
		{"twice as many", 5 * ms, 1000, 500, 510, 5000 * ms},
	}
	for _, tt := range tests {
		taken, longest := 0, time.Duration(0)
		takes, waits := &allowance{every: 10 * ms, atOnce: 8}, &allowance{every: 10 * ms, atOnce: 8}
		for i := range tt.n {
			now := begin.Add(time.Duration(i) * tt.every)
			if takes.take(now) {
				taken++
			}
			longest = max(longest, waits.reserve(now))
		}
		if taken < tt.least || taken > tt.most {
			t.Errorf("%s: %d of %d happened, want %d to %d", tt.name, taken, tt.n, tt.least, tt.most)
		}
		if longest > tt.longest || longest < tt.longest*9/10 {
			t.Errorf("%s: the longest wait is %v, want %v or a little less", tt.name, longest, tt.longest)
		}
		later := begin.Add(time.Hour)
		for i := range 8 {
			if !takes.take(later) || waits.reserve(later) > 0 {
				t.Errorf("%s: an hour later number %d of 8 at once has to wait", tt.name, i)
			}
		}
	}
}
