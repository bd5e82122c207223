package main

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/internal/cli"
)

func TestMemoryTotal(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for _, tt := range []struct {
		mib, want int64
		usage     bool
		why       string
	}{
		{2048, 2 << 30, false, "what the operator says counts"},
		{128, 128 << 20, false, "the least"},
		{127, 0, true, "a connection would find no room"},
		{-1, 0, true, "no total is negative"},
	} {
		got, err := memoryTotal(tt.mib, logger)
		if got != tt.want || errors.Is(err, cli.ErrUsage) != tt.usage {
			t.Errorf("--memory-total %d: %d, %v; want %d, wrong usage %v: %s", tt.mib, got, err, tt.want, tt.usage, tt.why)
		}
	}
	got, err := memoryTotal(0, logger)
	if err != nil || got < leastTotal || !strings.Contains(log.String(), "msg=memory") {
		t.Errorf("without the flag: %d, %v; the log says %q", got, err, log.String())
	}
	if all := int64(16 << 30); lessReserve(all) != 14<<30 || lessReserve(1<<20) != leastTotal || buffersOf(all) != 8<<30 {
		t.Errorf("of 16 GiB %d are left, and %d are for buffers; of 1 MiB %d", lessReserve(all), buffersOf(all), lessReserve(1<<20))
	}
}

func TestConnectionsFor(t *testing.T) {
	for descriptors, want := range map[uint64]int{0: 4096, 1: 1, 512: 384, 1 << 20: 4096, 1 << 63: 4096} {
		if got := connectionsFor(descriptors); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", descriptors, got, want)
		}
	}
}

func TestLimitHeap(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "1GiB")
	limitHeap(5 << 30)
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("the operator's GOMEMLIMIT was replaced by %d", got)
	}
	t.Setenv("GOMEMLIMIT", "")
	limitHeap(5 << 30)
	if got := debug.SetMemoryLimit(math.MaxInt64); got != 5<<30 {
		t.Errorf("Go's memory is limited to %d, want the total", got)
	}
}
