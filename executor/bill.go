package executor

import (
	"log/slog"
	"time"
)

// A Bill is what calls cost (paper 003, III-B2). The second half is counted for
// modules that were loaded with [Source].Meter only, and zero otherwise.
type Bill struct {
	Calls      uint64 // that entered the guest
	Failed     uint64 // of them that broke their instance
	BytesIn    uint64 // of requests
	BytesOut   uint64 // of replies
	NetIn      uint64 // bytes that host functions received from a network
	NetOut     uint64 // bytes that host functions sent to a network
	HostCalls  uint64 // host functions called
	MemoryPeak uint64 // most bytes of linear memory an instance had at the end of a call

	// Fuel is counted by the module itself (package instrument), so that it is the
	// same number on each engine and machine.
	Fuel uint64
	// CPU is the processor time of the calls, host functions included. Engines
	// that cannot tell it count the time that has passed.
	CPU time.Duration
	// HostTime is the time that host functions took, waiting included.
	HostTime time.Duration
	// MemorySeconds is the integral of linear memory over the time of the
	// calls, in byte-seconds.
	MemorySeconds float64
}

// Add adds c to b. A peak is the larger one.
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

// LogValue implements slog.LogValuer: a group with what is not zero.
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
