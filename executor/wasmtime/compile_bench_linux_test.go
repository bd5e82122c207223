//go:build cgo

package wasmtime_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/internal/bombs"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// another returns wasm with a custom section that makes it another module.
func another(wasm []byte, k int) []byte {
	section := binary.LittleEndian.AppendUint64([]byte{0, 10, 1, 'k'}, uint64(k))
	return append(slices.Clone(wasm), section...)
}

// BenchmarkDeploy is a load of a module that nobody has compiled, until it is mapped from
// the cache: in a process of its own and in this one, in turns. The ratio and the
// difference are those of the medians.
func BenchmarkDeploy(b *testing.B) {
	for _, guest := range []struct {
		name string
		wasm []byte
	}{{"small", wat(b, empty)}, {"go", enginetest.GoGuest(b)}} {
		b.Run(guest.name, func(b *testing.B) {
			child := newEngine(b, wasmtime.Config{CacheDir: cacheDir(b), Compiler: own})
			defer child.Close()
			here := newEngine(b, wasmtime.Config{CacheDir: cacheDir(b)})
			defer here.Close()
			var inChild, inHere []time.Duration
			k := 0
			for b.Loop() {
				k++
				child.WaitForCompiler()
				inChild = append(inChild, deploy(b, child, "", another(guest.wasm, k)))
				inHere = append(inHere, deploy(b, here, "", another(guest.wasm, k)))
			}
			c, h := median(inChild), median(inHere)
			b.ReportMetric(float64(c)/1e6, "child-ms")
			b.ReportMetric(float64(h)/1e6, "here-ms")
			b.ReportMetric(float64(c)/float64(h), "child/here")
		})
	}
}

// deploy returns how long a load of wasm for tenant takes.
func deploy(b *testing.B, e *wasmtime.Engine, tenant string, wasm []byte) time.Duration {
	b.Helper()
	src := executor.Bytes(wasm)
	src.Tenant = tenant
	begin := time.Now()
	m, err := e.Load(b.Context(), src)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	return time.Since(begin)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// BenchmarkDeployBesideBombs is a load of a Go guest alone, and while ten other tenants
// send bombs that pass every bound of shape, one after the other, and have for 25 s: so
// that each has had more than the guest takes. The ratio is that of the medians.
func BenchmarkDeployBesideBombs(b *testing.B) {
	e := newEngine(b, wasmtime.Config{CacheDir: cacheDir(b), Compiler: own})
	defer e.Close()
	guest, bomb := enginetest.GoGuest(b), bombs.ManyLoops(3000, 60)
	var alone, beside []time.Duration
	k := 0
	for b.Loop() {
		k++
		e.WaitForCompiler()
		alone = append(alone, deploy(b, e, fmt.Sprint("alone ", k), another(guest, k)))
		stop := bombard(b, e, bomb, 1000*k)
		beside = append(beside, deploy(b, e, fmt.Sprint("beside ", k), another(guest, -k)))
		stop()
	}
	a, c := median(alone), median(beside)
	b.ReportMetric(float64(a)/1e6, "alone-ms")
	b.ReportMetric(float64(c)/1e6, "beside-ms")
	b.ReportMetric(float64(c)/float64(a), "beside/alone")
}

// bombard has ten tenants send bombs, and returns when they have for 25 s.
func bombard(b *testing.B, e *wasmtime.Engine, bomb []byte, first int) (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	for tenant := range 10 {
		wg.Go(func() {
			for k := first + 100*tenant; ctx.Err() == nil; k++ {
				src := executor.Bytes(another(bomb, k))
				src.Tenant = fmt.Sprint("bomber ", tenant)
				m, err := e.Load(ctx, src)
				if err == nil {
					m.Close()
				} else if ctx.Err() == nil && !errors.Is(err, executor.ErrTooLarge) && !errors.Is(err, executor.ErrQuota) {
					b.Errorf("a bomb: %v", err)
					return
				}
			}
		})
	}
	<-time.After(25 * time.Second)
	return func() { cancel(); wg.Wait() }
}
