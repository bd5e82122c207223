package main

import (
	"bytes"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"
)

func TestMemoryTotal(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	if got := memoryTotal(2048, logger); got != 2<<30 {
		t.Errorf("--memory-total 2048: %d, want what the operator says", got)
	}
	if got := memoryTotal(0, logger); got < leastTotal || !strings.Contains(log.String(), "msg=memory") {
		t.Errorf("without the flag: %d; the log says %q", got, log.String())
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
