package enginetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// bill checks what Last says of calls, metered and not.
func (s suite) bill(t *testing.T) {
	t.Run("Cheap", func(t *testing.T) {
		in := instance(t, s.module(t, Guest(t, "basic")), executor.InstanceConfig{})
		call(t, in, fnEcho, "four", abi.OK)
		want := executor.Bill{Calls: 1, BytesIn: 4, BytesOut: 4, MemoryPeak: 2 << 16}
		if got := in.Last(); got != want {
			t.Errorf("echo of 4 bytes: got %+v, want %+v", got, want)
		}
		call(t, in, fnClock, "", abi.OK)
		want = executor.Bill{Calls: 1, BytesOut: 16, HostCalls: 1, MemoryPeak: 2 << 16}
		if got := in.Last(); got != want {
			t.Errorf("a look at the clock: got %+v, want %+v", got, want)
		}
	})
	t.Run("Failed", s.failedBill)
	t.Run("Metered", func(t *testing.T) {
		in := instance(t, s.metered(t, Guest(t, "meter")), executor.InstanceConfig{Host: pause(func(uint32) {})})
		call(t, in, meterCompute, rounds(300_000), abi.OK)
		got := in.Last()
		if got.Fuel == 0 || got.CPU <= 0 || got.MemorySeconds <= 0 || got.HostTime != 0 {
			t.Errorf("got %+v; want fuel, CPU and memory-seconds, and no host time", got)
		}
		if call(t, in, meterCompute, rounds(1), abi.OK); in.Last().Fuel >= got.Fuel {
			t.Errorf("one round used %d fuel, 300000 %d", in.Last().Fuel, got.Fuel)
		}
	})
	t.Run("HostTime", s.hostTime)
	t.Run("MemorySeconds", s.memorySeconds)
}

// hostTime checks that the time of host functions is counted, and no more.
func (s suite) hostTime(t *testing.T) {
	const nap = 5 * time.Millisecond
	cfg := executor.InstanceConfig{Host: pause(func(uint32) { <-time.After(nap) })}
	in := instance(t, s.metered(t, Guest(t, "meter")), cfg)
	begin := time.Now()
	call(t, in, meterGrow, rounds(2), abi.OK)
	got, took := in.Last(), time.Since(begin)
	if got.HostCalls != 3 || got.HostTime < 3*nap || got.HostTime > took {
		t.Errorf("got %d host calls that took %v; want 3 that took at least %v, at most %v", got.HostCalls, got.HostTime, 3*nap, took)
	}
	if got.MemoryPeak != (1+2*16)<<16 {
		t.Errorf("got a peak of %d bytes, want %d", got.MemoryPeak, (1+2*16)<<16)
	}
}

// failedBill checks that calls that fail are on the bill, and what never began is not.
func (s suite) failedBill(t *testing.T) {
	m := s.module(t, Guest(t, "basic"))
	tests := []struct {
		why     string
		fn      uint32
		request int
		want    executor.Bill
	}{
		{"a trap used what it used", fnTrap, 3, executor.Bill{Calls: 1, Failed: 1, BytesIn: 3, MemoryPeak: 2 << 16}},
		{"a panic is an answer, and the end", fnPanic, 3, executor.Bill{Calls: 1, Failed: 1, BytesIn: 3, BytesOut: 3, MemoryPeak: 2 << 16}},
		{"a reply that is none", fnReplyHuge, 0, executor.Bill{Calls: 1, Failed: 1, MemoryPeak: 2 << 16}},
		{"no buffer: the function was not entered", fnEcho, 4097, executor.Bill{BytesIn: 4097, MemoryPeak: 2 << 16}},
		{"a trap in bungee_buf is a call that failed", fnEcho, 4101, executor.Bill{Calls: 1, Failed: 1, BytesIn: 4101, MemoryPeak: 2 << 16}},
	}
	for _, tt := range tests {
		in := instance(t, m, executor.InstanceConfig{})
		_, _ = in.Call(t.Context(), tt.fn, make([]byte, tt.request))
		if got := in.Last(); got != tt.want {
			t.Errorf("function %d on %d bytes: got %+v, want %+v: %s", tt.fn, tt.request, got, tt.want, tt.why)
		}
	}
	in := instance(t, m, executor.InstanceConfig{})
	call(t, in, fnEcho, strings.Repeat("x", 10), abi.OK)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Call(ctx, fnEcho, nil); err == nil || in.Last() != (executor.Bill{}) {
		t.Errorf("call that never began: got %v, %+v; want an error and nothing on the bill", err, in.Last())
	}
}

// memorySeconds compares the bill with the integral of a size that is looked at each
// time that it changes (paper 003, 2.6 of its specification: within 1 %).
func (s suite) memorySeconds(t *testing.T) {
	const nap = 4 * time.Millisecond
	type sample struct {
		at    time.Time
		bytes float64
	}
	var samples []sample
	look := func(pages uint32) {
		samples = append(samples, sample{time.Now(), float64(pages) * 65536})
		<-time.After(nap)
	}
	in := instance(t, s.metered(t, Guest(t, "meter")), executor.InstanceConfig{Host: pause(look)})
	begin := time.Now()
	call(t, in, meterGrow, rounds(8), abi.OK)
	got, end := in.Last().MemorySeconds, time.Now()

	// Between two looks the memory has the size of the first one for the nap, and
	// then for an unknown part of the rest.
	var low, high float64
	for k, now := range samples[:len(samples)-1] {
		next := samples[k+1]
		gap := next.at.Sub(now.at)
		low += now.bytes * gap.Seconds()
		high += now.bytes*nap.Seconds() + next.bytes*(gap-nap).Seconds()
	}
	first, last := samples[0], samples[len(samples)-1]
	low += last.bytes * nap.Seconds()
	high += last.bytes*end.Sub(last.at).Seconds() + first.bytes*first.at.Sub(begin).Seconds()
	if got < low*0.99 || got > high*1.01 {
		t.Errorf("got %.0f byte-seconds; the samples say %.0f to %.0f", got, low, high)
	}
}
