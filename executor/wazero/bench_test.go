package wazero_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wazero"
)

// benchModule loads the guest basic.
func benchModule(b *testing.B, meter bool) executor.Module {
	b.Helper()
	e := newEngine(b, wazero.Config{})
	src := executor.Bytes(enginetest.Guest(b, "basic"))
	src.Meter = meter
	m, err := e.Load(b.Context(), src)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close(); e.Close() })
	return m
}

func BenchmarkCall(b *testing.B) {
	bounded, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	tests := []struct {
		name  string
		ctx   context.Context
		meter bool
		fn    uint32
	}{
		{"Unbounded", context.Background(), false, 0},
		{"Deadline", bounded, false, 0},
		{"Metered", bounded, true, 0},
		{"HostFunction", bounded, false, 13},
	}
	for _, bb := range tests {
		b.Run(bb.name, func(b *testing.B) {
			in, err := benchModule(b, bb.meter).Instantiate(b.Context(), executor.InstanceConfig{})
			if err != nil {
				b.Fatal(err)
			}
			defer in.Close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := in.Call(bb.ctx, bb.fn, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkInstantiate(b *testing.B) {
	m := benchModule(b, false)
	b.ReportAllocs()
	for b.Loop() {
		in, err := m.Instantiate(b.Context(), executor.InstanceConfig{})
		if err != nil {
			b.Fatal(err)
		}
		in.Close()
	}
}

// BenchmarkLoad loads modules that are in the cache.
func BenchmarkLoad(b *testing.B) {
	guests := map[string]func() []byte{
		"Tiny": func() []byte { return enginetest.Guest(b, "basic") },
		"Go":   func() []byte { return enginetest.GoGuest(b) },
	}
	for name, guest := range guests {
		b.Run(name, func(b *testing.B) {
			e := newEngine(b, wazero.Config{CacheDir: filepath.Join(b.TempDir(), "cache")})
			defer e.Close()
			src := executor.Bytes(guest())
			load := func() {
				m, err := e.Load(b.Context(), src)
				if err != nil {
					b.Fatal(err)
				}
				m.Close()
			}
			load()
			b.ReportAllocs()
			for b.Loop() {
				load()
			}
		})
	}
}
