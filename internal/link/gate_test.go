package link

import (
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	const ms = time.Millisecond
	begin := time.Now()
	tests := []struct {
		name  string
		every time.Duration
		n     int // in all, all at that pace
		let   int // of them
	}{
		{"what UEs do", 20 * ms, 500, 500},
		{"the most", 10 * ms, 1000, 1000},
		{"a burst", 0, 100, 100},
		{"a greater one", 0, 150, 100},
		{"a flood of ten seconds lets the first in", ms / 10, 100_000, 100},
	}
	for _, tt := range tests {
		var g gate
		let, floods := 0, 0
		for i := range tt.n {
			ok, begins := g.admit(begin.Add(time.Duration(i) * tt.every))
			if ok {
				let++
			}
			if begins {
				floods++
			}
		}
		if let != tt.let || floods > 1 {
			t.Errorf("%s: %d of %d were let in, want %d; %d floods began", tt.name, let, tt.n, tt.let, floods)
		}
		if ok, _ := g.admit(begin.Add(time.Hour)); !ok {
			t.Errorf("%s: an hour later none is let in", tt.name)
		}
	}
}
