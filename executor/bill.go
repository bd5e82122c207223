package executor

import (
	"log/slog"
	"time"
)

// A Bill is the cost of calls (paper 003, III-B2), and of making their instances. Fuel, CPU, HostTime and
// MemorySeconds are counted only for modules that were loaded with [Source].Meter, and
// are zero for others.
type Bill struct {
	Calls      uint64 // calls that entered the guest
	Failed     uint64 // those of them that broke their instance
	BytesIn    uint64 // bytes of requests
	BytesOut   uint64 // bytes of replies
	NetIn      uint64 // bytes that host functions received from a network
	NetOut     uint64 // bytes that host functions sent to a network
	HostCalls  uint64 // calls of host functions
	MemoryPeak uint64 // the largest linear memory of an instance at the end of a call, in bytes

	// Fuel is the weighted number of instructions that ran. Code that Load adds to the
	// module counts it, so that it is the same on each engine and machine.
	Fuel uint64
	// CPU is the processor time of the calls, host functions included, and of compiling
	// the modules, metered or not. Engines that cannot measure it use the elapsed time.
	CPU time.Duration
	// HostTime is the elapsed time in host functions, waiting included.
	HostTime time.Duration
	// MemorySeconds is the integral of linear memory over the time of the
	// calls, in byte-seconds.
	MemorySeconds float64
}

// Add adds c to b. Of MemoryPeak it keeps the larger.
func (b *Bill) Add(c Bill) {
	b.Calls += c.Calls
	b.Failed += c.Failed
	b.BytesIn += c.BytesIn
	b.BytesOut += c.BytesOut
	b.NetIn += c.NetIn
	b.NetOut += c.NetOut
	b.HostCalls += c.HostCalls
	b.MemoryPeak = max(b.MemoryPeak, c.MemoryPeak)
	b.Fuel += c.Fuel
	b.CPU += c.CPU
	b.HostTime += c.HostTime
	b.MemorySeconds += c.MemorySeconds
}

// LogValue implements [slog.LogValuer]: a group of the fields that are not zero.
func (b Bill) LogValue() slog.Value {
	var attrs []slog.Attr
	count := func(name string, n uint64) {
		if n != 0 {
			attrs = append(attrs, slog.Uint64(name, n))
		}
	}
	count("calls", b.Calls)
	count("failed", b.Failed)
	count("bytes_in", b.BytesIn)
	count("bytes_out", b.BytesOut)
	count("net_in", b.NetIn)
	count("net_out", b.NetOut)
	count("host_calls", b.HostCalls)
	count("memory_peak", b.MemoryPeak)
	count("fuel", b.Fuel)
	if b.CPU != 0 {
		attrs = append(attrs, slog.Duration("cpu", b.CPU), slog.Duration("host_time", b.HostTime), slog.Float64("memory_byte_seconds", b.MemorySeconds))
	}
	return slog.GroupValue(attrs...)
}
