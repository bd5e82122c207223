//go:build cgo

package wasmtime_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// metered returns the source of a metered guest.
func metered(t testing.TB, body string) executor.Source {
	t.Helper()
	src := executor.Bytes(wat(t, body))
	src.Meter = true
	return src
}

// A budget of what a call uses is enough, and one less is not.
func TestFuelIsExact(t *testing.T) {
	m := module(t, wasmtime.Config{}, metered(t, `(memory (export "memory") 1)
		(func $call (param $n i32) (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))))`))
	in := instance(t, m, executor.InstanceConfig{})
	use := func(n uint32) uint64 {
		if _, err := in.Call(t.Context(), n, nil); err != nil {
			t.Fatal(err)
		}
		return in.Last().Fuel
	}
	few, many := use(10), use(1000)
	if use(10) != few || many <= few {
		t.Fatalf("10 rounds use %d, 1000 rounds %d; want the same each time, and more of the latter", few, many)
	}
	for _, tt := range []struct {
		budget uint64
		want   error
	}{{many, nil}, {many + 1, nil}, {many - 1, executor.ErrFuel}, {1, executor.ErrFuel}} {
		in := instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Fuel: tt.budget}})
		_, err := in.Call(t.Context(), 1000, nil)
		if !errors.Is(err, tt.want) {
			t.Errorf("%d of the %d that it uses: got %v, want %v", tt.budget, many, err, tt.want)
		}
		if used := in.Last().Fuel; used > tt.budget {
			t.Errorf("a budget of %d: %d were used", tt.budget, used)
		}
	}
}

func TestFuelErrorHasTheBudget(t *testing.T) {
	in := instance(t, module(t, wasmtime.Config{}, metered(t, spin)), executor.InstanceConfig{Limits: executor.Limits{Fuel: 12345}})
	if _, err := in.Call(t.Context(), 1, nil); !errors.Is(err, executor.ErrFuel) || !strings.Contains(err.Error(), "12345") {
		t.Errorf("got %v, want %v with the budget of 12345", err, executor.ErrFuel)
	}
}

// A start function and _initialize have the budget of a call together.
func TestFuelOfStart(t *testing.T) {
	m := module(t, wasmtime.Config{}, metered(t, `(memory (export "memory") 1)
		(func $burn (local $n i32) (local.set $n (i32.const 1000))
			(loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))))
		(start $burn) (func (export "_initialize") (call $burn)) (func $call (param i32))`))
	for budget, want := range map[uint64]error{100: executor.ErrFuel, 3000: executor.ErrFuel, 5000: nil} {
		in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Limits: executor.Limits{Fuel: budget}})
		if !errors.Is(err, want) {
			t.Errorf("with %d fuel: got %v, want %v", budget, err, want)
		}
		if err == nil {
			in.Close()
		}
	}
}

// The integral of memory over time: a call that has 100 pages while a host function
// waits, of at least the time that this waits and at most what the call takes.
func TestMemorySeconds(t *testing.T) {
	m := module(t, wasmtime.Config{}, metered(t, `(import "test" "f" (func $f)) (memory (export "memory") 1)
		(func $call (param i32) (drop (memory.grow (i32.const 99))) (call $f))`))
	const wait = 50 * time.Millisecond
	f := executor.HostFunc{Name: "f", Call: func(ctx context.Context, _ executor.Memory, _ []uint64) error {
		<-time.After(wait) // what is measured
		return nil
	}}
	in := instance(t, m, executor.InstanceConfig{Host: hostModule(f)})
	begin := time.Now()
	if _, err := in.Call(t.Context(), 0, nil); err != nil {
		t.Fatal(err)
	}
	const size = 100 * 64 << 10
	bill, took := in.Last(), time.Since(begin)
	if bill.MemorySeconds < size*wait.Seconds() || bill.MemorySeconds > size*took.Seconds() {
		t.Errorf("got %.0f byte-seconds; want at least %.0f and at most %.0f", bill.MemorySeconds, size*wait.Seconds(), size*took.Seconds())
	}
	if bill.CPU <= 0 || bill.CPU > took-wait {
		t.Errorf("got %v of CPU for a call of %v that waited for %v", bill.CPU, took, wait)
	}
	if bill.HostTime < wait || bill.MemoryPeak != size {
		t.Errorf("got %+v, want a host time of %v and a peak of %d", bill, wait, size)
	}
}

// A guest that spins is counted at each tick.
func TestMemorySecondsOfSpin(t *testing.T) {
	in := instance(t, module(t, wasmtime.Config{}, metered(t, spin)), executor.InstanceConfig{})
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := in.Call(ctx, 1, nil); !errors.Is(err, executor.ErrDeadline) {
		t.Fatalf("got %v, want %v", err, executor.ErrDeadline)
	}
	// Half: the call begins after its context.
	least, most := 64<<10*0.015, 64<<10*time.Since(begin).Seconds()
	if got := in.Last().MemorySeconds; got < least || got > most {
		t.Errorf("got %.0f byte-seconds, want at least %.0f and at most %.0f", got, least, most)
	}
}

func TestUnmeteredCountsNothing(t *testing.T) {
	in := instance(t, module(t, wasmtime.Config{}, executor.Bytes(wat(t, empty))), executor.InstanceConfig{})
	if _, err := in.Call(t.Context(), 0, nil); err != nil {
		t.Fatal(err)
	}
	if b := in.Last(); b.CPU != 0 || b.Fuel != 0 || b.MemorySeconds != 0 || b.Calls != 1 {
		t.Errorf("got %+v; want one call and nothing metered", b)
	}
}

// A call that begins while others wait for the core is charged for its processor time alone, also where nothing is metered: it goes before
// one that has computed for less time than it was held up for.
func TestHeldUpIsNotCharged(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(import "test" "f" (func $f)) (memory (export "memory") 1)
		(func $call (param i32) (call $f))`)))
	heldUp := executor.HostFunc{Name: "f", Call: func(context.Context, executor.Memory, []uint64) error {
		<-time.After(300 * time.Millisecond) // as if the operating system had other threads
		return nil
	}}
	in := instance(t, m, executor.InstanceConfig{Host: hostModule(heldUp)})
	turns := executor.NewTurns(1)
	take := func(tenant *executor.Tenant) *executor.Turn {
		turn, err := turns.Take(t.Context(), tenant)
		if err != nil {
			t.Error(err)
		}
		return turn
	}
	short, long, third := executor.NewTenant("short", capability.Quota{}), executor.NewTenant("long", capability.Quota{}), executor.NewTenant("third", capability.Quota{})
	quick := executor.NewTenant("quick", capability.Quota{})
	take(quick).Done() // so that it comes by a claim
	var wg sync.WaitGroup
	turn := take(short)
	wg.Go(func() {
		turn := take(long)
		<-time.After(100 * time.Millisecond)
		turn.Done()
	})
	for turn.Contest().Waiting == 0 {
		runtime.Gosched()
	}
	if _, err := in.Call(executor.WithCall(t.Context(), &executor.Call{Turn: turn}), 0, nil); err != nil {
		t.Fatal(err)
	}
	turn.Done()
	wg.Wait()

	take(long).Done() // so that it is known how much it had
	turn = take(third)
	lane := take(quick) // in the fast lane, so that the others wait
	order := make(chan *executor.Tenant, 2)
	for _, tenant := range []*executor.Tenant{short, long} {
		wg.Go(func() {
			turn := take(tenant)
			order <- tenant
			turn.Done()
		})
	}
	for turn.Contest().Waiting < 3 {
		runtime.Gosched()
	}
	turn.Done() // to the one in the lane, which leaves that to the first of them
	if first := <-order; first != short {
		t.Errorf("%q goes first, which has computed 100 ms; want the one that was held up for 300 ms", first.Name())
	}
	lane.Done()
	wg.Wait()
}
