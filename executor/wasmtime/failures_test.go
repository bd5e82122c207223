//go:build cgo

package wasmtime

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestFailures(t *testing.T) {
	f, now, why := newFailures(), time.Now(), errors.New("a bomb")
	f.put(key{1}, why, now)
	if err := f.get(key{1}, now.Add(time.Minute)); !errors.Is(err, why) || !strings.Contains(err.Error(), "9m0s") {
		t.Errorf("after a minute: got %v, want %v, for 9 minutes more", err, why)
	}
	if err := f.get(key{2}, now); err != nil {
		t.Errorf("another module: got %v", err)
	}
	if err := f.get(key{1}, now.Add(failedFor)); err != nil {
		t.Errorf("after %v: got %v", failedFor, err)
	}
	for k := range maxFailed + 10 {
		f.put(key{byte(k), byte(k >> 8), 1}, why, now.Add(time.Duration(k)))
	}
	if f.get(key{9, 0, 1}, now) != nil || f.get(key{10, 0, 1}, now) == nil || len(f.all) != maxFailed {
		t.Errorf("%d are remembered; want the last %d", len(f.all), maxFailed)
	}
}

// The bounds of a module are in proportion to its size.
func TestBoundsOfAModule(t *testing.T) {
	tests := []struct {
		why  string
		cfg  Compile
		size int
		want bounds
	}{
		{"small", Compile{}, 0, bounds{128 << 20, 5 * time.Second, 8 << 20}},
		{"a Go guest of 2 MiB", Compile{}, 2 << 20, bounds{256 << 20, 13 * time.Second, 40 << 20}},
		{"20 MiB", Compile{}, 20 << 20, bounds{1 << 30, 85 * time.Second, 328 << 20}},
		{"as large as can be", Compile{}, 64 << 20, bounds{1 << 30, 2 * time.Minute, 1032 << 20}},
		{"what is set holds for all", Compile{Memory: 1, CPU: 2, Output: 3}, 64 << 20, bounds{1, 2, 3}},
	}
	for _, tt := range tests {
		if got := tt.cfg.withDefaults().of(tt.size); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.why, got, tt.want)
		}
	}
}

func TestHead(t *testing.T) {
	var h head
	for range 100 {
		if n, err := h.Write(make([]byte, 100)); n != 100 || err != nil {
			t.Fatalf("got %d, %v; what is too much is dropped in silence", n, err)
		}
	}
	if h.buf.Len() != maxMessages {
		t.Errorf("%d bytes are kept, want %d", h.buf.Len(), maxMessages)
	}
}
