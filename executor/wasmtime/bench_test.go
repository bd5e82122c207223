//go:build cgo

package wasmtime_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// empty is a body whose function does nothing.
const empty = `(memory (export "memory") 1) (func $call (param i32))`

// BenchmarkEmpty is a warm call of a function that does nothing, with a deadline.
func BenchmarkEmpty(b *testing.B) {
	for _, meter := range []bool{false, true} {
		b.Run(fmt.Sprintf("meter=%t", meter), func(b *testing.B) {
			src := executor.Bytes(wat(b, empty))
			src.Meter = meter
			in := instance(b, module(b, wasmtime.Config{}, src), executor.InstanceConfig{})
			call(b, in, 0, nil)
		})
	}
}

// BenchmarkHostFunction is what a call of a host function adds to that.
func BenchmarkHostFunction(b *testing.B) {
	f := executor.HostFunc{Name: "f", Call: func(context.Context, executor.Memory, []uint64) error { return nil }}
	m := module(b, wasmtime.Config{}, executor.Bytes(wat(b, oneImport)))
	call(b, instance(b, m, executor.InstanceConfig{Host: hostModule(f)}), 0, nil)
}

// call calls function fn of in, in a context with a deadline.
func call(b *testing.B, in executor.Instance, fn uint32, request []byte) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	b.SetBytes(int64(len(request)))
	for b.Loop() {
		if _, err := in.Call(ctx, fn, request); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStop is how late guests that spin are stopped: after their deadline, and
// after they were cancelled, one alone and as many at once as there are cores.
func BenchmarkStop(b *testing.B) {
	for _, guest := range []struct{ name, body string }{{"loop", spin}, {"bulk", bulk}} {
		m := module(b, wasmtime.Config{}, executor.Bytes(wat(b, guest.body)))
		for _, parallel := range []int{1, runtime.GOMAXPROCS(0)} {
			b.Run(fmt.Sprintf("%s/deadline/%d", guest.name, parallel), func(b *testing.B) {
				stopAll(b, m, parallel, context.WithDeadline)
			})
			b.Run(fmt.Sprintf("%s/cancel/%d", guest.name, parallel), func(b *testing.B) { stopAll(b, m, parallel, cancelAt) })
		}
	}
}

// bulk is a body that, on function 1, copies a quarter of a gigabyte to and fro for ever.
const bulk = `(memory (export "memory") 8192)
	(func $call (param i32) (if (local.get 0) (then (loop $l
		(memory.copy (i32.const 0x4000) (i32.const 0x10000000) (i32.const 0xffff000))
		(memory.copy (i32.const 0x10000000) (i32.const 0x4000) (i32.const 0xffff000))
		(br $l)))))`

// BenchmarkNeighbour is how long calls of a tenant take, of a millisecond or so every three, alone
// and beside two calls of another one that never end, on two cores: their p99, and the ratio.
func BenchmarkNeighbour(b *testing.B) {
	for _, loud := range []struct {
		name, body string
		deadline   time.Duration // after which a new instance goes on
	}{{"loops", spin, time.Hour}, {"copies", bulk, time.Hour}, {"copies and restarts", bulk, time.Second}} {
		b.Run(loud.name, func(b *testing.B) {
			m := module(b, wasmtime.Config{}, executor.Bytes(wat(b, loud.body)))
			neighbour(b, func(ctx context.Context, turns *executor.Turns, tenant *executor.Tenant) {
				callUntil(ctx, b, turns, tenant, m, loud.deadline)
			})
		})
	}
}

// neighbour measures calls alone and beside two goroutines of loud.
func neighbour(b *testing.B, loud func(context.Context, *executor.Turns, *executor.Tenant)) {
	quiet := instance(b, module(b, wasmtime.Config{}, executor.Bytes(wat(b, `(memory (export "memory") 1)
		(func $call (param $n i32) (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))))`))), executor.InstanceConfig{})
	const rounds, turnsOfMs = 400, 1_500_000
	var alone, beside []time.Duration
	for b.Loop() {
		turns := executor.NewTurns(2)
		tenant := executor.NewTenant("quiet", capability.Quota{})
		for range rounds {
			alone = append(alone, turnTime(b, turns, tenant, quiet, turnsOfMs))
		}
		ctx, cancel := context.WithCancel(b.Context())
		var wg sync.WaitGroup
		noise := executor.NewTenant("loud", capability.Quota{})
		for range 2 {
			wg.Go(func() { loud(ctx, turns, noise) })
		}
		for range rounds {
			beside = append(beside, turnTime(b, turns, tenant, quiet, turnsOfMs))
		}
		cancel()
		wg.Wait()
	}
	report(b, alone, 50, "alone-p50-ns")
	report(b, alone, 99, "alone-p99-ns")
	report(b, beside, 50, "beside-p50-ns")
	report(b, beside, 99, "beside-p99-ns")
	b.ReportMetric(float64(beside[len(beside)*99/100])/float64(alone[len(alone)*99/100]), "p99-ratio")
}

// turnTime waits for a while, and returns how long a call then takes with its turn.
func turnTime(b *testing.B, turns *executor.Turns, tenant *executor.Tenant, in executor.Instance, fn uint32) time.Duration {
	<-time.After(2 * time.Millisecond) // the load that is offered
	begin := time.Now()
	turn, err := turns.Take(b.Context(), tenant)
	if err != nil {
		b.Fatal(err)
	}
	defer turn.Done()
	if _, err := in.Call(executor.WithCall(b.Context(), &executor.Call{Turn: turn}), fn, nil); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin)
}

// callUntil runs calls of m that never end, each until its deadline, until ctx ends.
func callUntil(ctx context.Context, b *testing.B, turns *executor.Turns, tenant *executor.Tenant, m executor.Module, deadline time.Duration) {
	for ctx.Err() == nil {
		in, err := m.Instantiate(b.Context(), executor.InstanceConfig{Limits: executor.Limits{Memory: 1 << 30}})
		if err != nil {
			b.Error(err)
			return
		}
		bounded, cancel := context.WithTimeout(ctx, deadline)
		if turn, err := turns.Take(bounded, tenant); err == nil {
			_, err = in.Call(executor.WithCall(bounded, &executor.Call{Turn: turn}), 1, nil)
			turn.Done()
			if err == nil {
				b.Error("a guest that goes on for ever has ended")
			}
		}
		cancel()
		in.Close()
	}
}

// cancelAt returns a context that is cancelled at end.
func cancelAt(ctx context.Context, end time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(time.Until(end), cancel)
	return ctx, cancel
}

// stopAll reports how long after their end the calls return which bound bounds.
func stopAll(b *testing.B, m executor.Module, parallel int, bound func(context.Context, time.Time) (context.Context, context.CancelFunc)) {
	var mu sync.Mutex
	var late []time.Duration
	for b.Loop() {
		var wg sync.WaitGroup
		for range parallel {
			wg.Go(func() {
				took := stop(b, m, bound)
				mu.Lock()
				late = append(late, took)
				mu.Unlock()
			})
		}
		wg.Wait()
	}
	report(b, late, 50, "late-p50-ns")
	report(b, late, 99, "late-p99-ns")
}

// stop returns how late a guest that spins is stopped.
func stop(b *testing.B, m executor.Module, bound func(context.Context, time.Time) (context.Context, context.CancelFunc)) time.Duration {
	in, err := m.Instantiate(b.Context(), executor.InstanceConfig{Limits: executor.Limits{Memory: 1 << 30}})
	if err != nil {
		b.Error(err)
		return 0
	}
	defer in.Close()
	end := time.Now().Add(5 * time.Millisecond)
	ctx, cancel := bound(b.Context(), end)
	defer cancel()
	if _, err := in.Call(ctx, 1, nil); err == nil {
		b.Error("a guest that spins has ended")
	}
	return time.Since(end)
}

// report reports a percentile of times.
func report(b *testing.B, times []time.Duration, percent int, unit string) {
	slices.Sort(times)
	b.ReportMetric(float64(times[(len(times)-1)*percent/100]), unit)
}

// BenchmarkEcho is a warm call that copies what it gets to its reply.
func BenchmarkEcho(b *testing.B) {
	in := instance(b, module(b, wasmtime.Config{}, executor.Bytes(echo(b))), executor.InstanceConfig{})
	for _, size := range []int{16, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { call(b, in, 0, make([]byte, size)) })
	}
}

// echo returns a guest that copies up to a megabyte.
func echo(b *testing.B) []byte {
	wasm, err := wt.Wat2Wasm(`(module (memory (export "memory") 40)
		(func (export "bungee_abi") (result i32) (i32.const 1))
		(func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
		(func (export "bungee_call") (param $fn i32) (param $ptr i32) (param $n i32) (param i64) (result i64)
			(memory.copy (i32.const 0x140001) (local.get $ptr) (local.get $n))
			(i64.or (i64.const 0x14000000000000) (i64.extend_i32_u (i32.add (local.get $n) (i32.const 1))))))`)
	if err != nil {
		b.Fatal(err)
	}
	return wasm
}

// BenchmarkInstantiate is an instance's life: made, initialised and closed, with slots
// and mapped one by one.
func BenchmarkInstantiate(b *testing.B) {
	for _, guest := range []struct {
		name string
		wasm []byte
		host []executor.HostFuncs
	}{{"small", wat(b, empty), nil}, {"go", enginetest.GoGuest(b), goHost(b)}} {
		for _, instances := range []int{0, -1} {
			name := map[int]string{0: "slots", -1: "mapped"}[instances]
			b.Run(guest.name+"/"+name, func(b *testing.B) {
				m := module(b, wasmtime.Config{Instances: instances}, executor.Bytes(guest.wasm))
				instantiate(b, m, executor.InstanceConfig{Host: guest.host})
			})
		}
	}
}

func instantiate(b *testing.B, m executor.Module, cfg executor.InstanceConfig) {
	var times []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		in, err := m.Instantiate(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
		in.Close()
	}
	report(b, times, 50, "p50-ns")
	report(b, times, 99, "p99-ns")
}

// goHost is what a Go guest imports.
func goHost(b *testing.B) []executor.HostFuncs {
	host, err := wasi.Functions(wasi.Config{})
	if err != nil {
		b.Fatal(err)
	}
	return []executor.HostFuncs{host}
}
