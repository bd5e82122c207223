//go:build cgo

package wasmtime_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wasmtime"
	"github.com/bungee-xr/bungee/internal/abi"
)

// BenchmarkColdStart is a module's way from the cache to its first call: load,
// instantiate, initialise. With the digest known, as on an edge host, the bytes
// need not be hashed again.
func BenchmarkColdStart(b *testing.B) {
	for _, guest := range []struct {
		name string
		wasm []byte
	}{{"wat", enginetest.Guest(b, "basic")}, {"go", enginetest.GoGuest(b)}} {
		e := newEngine(b, wasmtime.Config{CacheDir: cacheDir(b)})
		digest := sha256.Sum256(guest.wasm)
		bytes := func() ([]byte, error) { return guest.wasm, nil }
		b.Run(guest.name+"/digest", func(b *testing.B) {
			coldStart(b, func() (executor.Module, error) { return e.LoadDigest(b.Context(), digest, bytes) })
		})
		b.Run(guest.name+"/bytes", func(b *testing.B) {
			coldStart(b, func() (executor.Module, error) { return e.Load(b.Context(), guest.wasm) })
		})
		e.Close()
	}
}

// coldStart reports the median too, and that of the load alone.
func coldStart(b *testing.B, load func() (executor.Module, error)) {
	if m, err := load(); err == nil { // fills the cache
		m.Close()
	}
	var loads, starts []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		m, err := load()
		if err != nil {
			b.Fatal(err)
		}
		loads = append(loads, time.Since(begin))
		in, err := m.Instantiate(b.Context(), executor.InstanceConfig{})
		if err != nil {
			b.Fatal(err)
		}
		starts = append(starts, time.Since(begin))
		b.StopTimer()
		in.Close()
		m.Close()
		b.StartTimer()
	}
	report(b, loads, 50, "load-p50-ns")
	report(b, starts, 50, "p50-ns")
	report(b, starts, 99, "p99-ns")
}

// report reports a percentile of times.
func report(b *testing.B, times []time.Duration, percent int, unit string) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)*percent/100]), unit)
}

// BenchmarkDeadline is how late a guest that spins is stopped.
func BenchmarkDeadline(b *testing.B) {
	e := newEngine(b, wasmtime.Config{})
	defer e.Close()
	m, err := e.Load(b.Context(), enginetest.Guest(b, "basic"))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	var late []time.Duration
	for b.Loop() {
		in, err := m.Instantiate(b.Context(), executor.InstanceConfig{})
		if err != nil {
			b.Fatal(err)
		}
		deadline := time.Now().Add(5 * time.Millisecond)
		ctx, cancel := context.WithDeadline(b.Context(), deadline)
		if _, err := in.Call(ctx, 5, nil); !errors.Is(err, executor.ErrDeadline) {
			b.Errorf("got %v, want %v", err, executor.ErrDeadline)
		}
		late = append(late, time.Since(deadline))
		cancel()
		in.Close()
	}
	report(b, late, 50, "late-p50-ns")
	report(b, late, 99, "late-p99-ns")
}

// BenchmarkCall is a warm call of an echo.
func BenchmarkCall(b *testing.B) {
	for _, guest := range []struct {
		name string
		wasm []byte
	}{{"wat", enginetest.Guest(b, "basic")}, {"go", enginetest.GoGuest(b)}} {
		e := newEngine(b, wasmtime.Config{})
		m, err := e.Load(b.Context(), guest.wasm)
		if err != nil {
			b.Fatal(err)
		}
		p := executor.NewPool(m, executor.PoolConfig{Size: 1})
		for _, size := range []int{16, 64 << 10} {
			b.Run(fmt.Sprintf("%s/%d", guest.name, size), func(b *testing.B) { callEcho(b, p, make([]byte, size)) })
		}
		p.Close()
		m.Close()
		e.Close()
	}
}

func callEcho(b *testing.B, p *executor.Pool, request []byte) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour) // a deadline has a cost of its own
	defer cancel()
	b.ReportAllocs()
	b.SetBytes(int64(len(request)))
	for b.Loop() {
		err := p.Call(ctx, 0, request, func(r abi.Reply, _, _ time.Duration, _ []executor.Span) error {
			if len(r.Payload) != len(request) {
				return fmt.Errorf("got %d bytes, want %d", len(r.Payload), len(request))
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
