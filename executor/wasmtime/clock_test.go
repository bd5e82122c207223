//go:build cgo

package wasmtime

import (
	"testing"
	"time"
)

// An epoch that begins n ticks after zero ends a call n epochs from zero.
func TestClockUntil(t *testing.T) {
	zero := time.Now()
	tests := []struct {
		why      string
		epoch    uint64 // the engine's
		deadline time.Duration
		want     uint64
	}{
		{"the epoch that begins with the deadline", 0, 10 * time.Millisecond, 10},
		{"never early: the first epoch after it", 0, 10*time.Millisecond + 1, 11},
		{"epochs that have passed do not count", 7, 10 * time.Millisecond, 3},
		{"over: at once", 12, 10 * time.Millisecond, 0},
		{"long over: at once, not in ages", 12, -time.Hour, 0},
		{"a goroutine that counts late makes no call end early", 3, 10 * time.Millisecond, 7},
	}
	for _, tt := range tests {
		c := &clock{tick: time.Millisecond, zero: zero, epoch: tt.epoch}
		if got := c.until(zero.Add(tt.deadline)); got != tt.want {
			t.Errorf("epoch %d, deadline %v: got %d epochs, want %d: %s", tt.epoch, tt.deadline, got, tt.want, tt.why)
		}
	}
}
