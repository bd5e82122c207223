//go:build cgo

package wasmtime

import "testing"

func TestStackOfGuests(t *testing.T) {
	for _, tt := range []struct {
		thread, want uint64
		why          string
	}{
		{8 << 20, maxStack, "Linux by default"},
		{64 << 20, maxStack, "more is of no use"},
		{2 << 20, 3 << 19, "ulimit -s unlimited"},
		{128 << 10, 96 << 10, "musl"},
	} {
		if got := stack(tt.thread); got != tt.want {
			t.Errorf("threads of %d: got %d, want %d: %s", tt.thread, got, tt.want, tt.why)
		}
	}
}
