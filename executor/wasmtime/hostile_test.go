//go:build cgo

package wasmtime_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// hostile is a guest whose functions do each what must cost nothing but the instance
// (paper 003, III-C).
const hostile = `
	(import "test" "f" (func $f (param i32 i32)))
	(type $none (func)) (type $one (func (param i32)))
	(memory (export "memory") 1) (table 2 2 funcref) (elem (i32.const 0) $deep)
	(func $deep (call $deep))
	(func $call (param $n i32)
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 1))) (drop (i32.load (i32.const -4))))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 2))) (i64.store (i32.const 65529) (i64.const 1)))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 3))) (call_indirect (type $one) (i32.const 1) (i32.const 0)))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 4))) (call_indirect (type $none) (i32.const 1)))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 5))) (call_indirect (type $none) (i32.const 99)))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 6))) (call $deep))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 7))) (call $f (i32.const 65530) (i32.const 7)))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 8))) (call $f (i32.const -1) (i32.const -1)))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 9))) (drop (i32.div_s (i32.const -2147483648) (i32.const -1))))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 10))) (drop (i32.trunc_f32_s (f32.const nan))))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 11))) (memory.fill (i32.const 65535) (i32.const 1) (i32.const 2)))
		(block (br_if 0 (i32.ne (local.get $n) (i32.const 12))) (unreachable)))`

var attacks = []string{
	1: "read beyond the memory", 2: "write across its end", 3: "indirect call of another type",
	4: "indirect call of nothing", 5: "indirect call beyond the table", 6: "recurse for ever",
	7: "pointer across the end", 8: "pointer and length of -1", 9: "overflow of a division", 10: "integer of a NaN",
	11: "fill across the end", 12: "unreachable",
}

var errOutside = errors.New("pointer outside the memory")

// outside is a host function that a guest gives a pointer.
var outside = executor.HostFunc{Name: "f", Params: "ii", Call: func(_ context.Context, mem executor.Memory, stack []uint64) error {
	if _, ok := mem.Bytes(uint32(stack[0]), uint32(stack[1])); !ok {
		return errOutside
	}
	return nil
}}

// Each attack is a trap, on many threads at once, and the process lives on.
func TestHostileGuests(t *testing.T) {
	rounds := 1050 // 8 * 12 * 1050: 10^5 calls (paper 003)
	if testing.Short() {
		rounds = 50
	}
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, hostile)))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range rounds * (len(attacks) - 1) {
				attack(t, m, uint32(i%(len(attacks)-1))+1)
			}
		})
	}
	wg.Wait()
	in := instance(t, m, executor.InstanceConfig{Host: hostModule(outside)})
	if _, err := in.Call(t.Context(), 0, nil); err != nil {
		t.Errorf("a call that does no harm, after them: %v", err)
	}
}

func attack(t *testing.T, m executor.Module, n uint32) {
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Host: hostModule(outside)})
	if err != nil {
		t.Error(err)
		return
	}
	defer in.Close()
	if _, err := in.Call(t.Context(), n, nil); !errors.Is(err, executor.ErrTrap) {
		t.Errorf("%s: got %v, want %v", attacks[n], err, executor.ErrTrap)
	}
}

// Guests run on the stacks of threads, which differ from those that goroutines have:
// recursion must end at the same depth wherever the goroutine is.
func TestRecursionOnFreshGoroutines(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, hostile)))
	for range 200 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { attack(t, m, 6) })
		}
		wg.Wait()
	}
}

// Where threads have less stack than guests may use, recursion still is a trap: the limit
// follows what threads have.
func TestRecursionOnSmallStacks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ulimit -s sets the stacks of threads on Linux only; there: go test -run TestRecursionOnSmallStacks ./executor/wasmtime")
	}
	for _, kilobytes := range []string{"1024", "2048", "unlimited"} {
		cmd := exec.Command("sh", "-c", "ulimit -S -s "+kilobytes+` && exec "$0" "$@"`, os.Args[0], "-test.run=^TestRecursionOnFreshGoroutines$", "-test.count=1", "-test.v")
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "ulimit") {
			t.Skipf("the system does not let a test set %s: %s; where it does: go test -run TestRecursionOnSmallStacks ./executor/wasmtime", cmd, out)
		}
		if err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("ulimit -s %s: %v\n%s", kilobytes, err, out[:min(len(out), 2000)])
		}
	}
}

// A guest is stopped between instructions of 64 KiB, though there are no loop and no call
// between them, where wasmtime would look at the time.
func TestBulkInARow(t *testing.T) {
	const fills = 16_000
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(memory (export "memory") 1) (func $call (param $n i32)`+
		strings.Repeat("(memory.fill (i32.const 0) (i32.const 7) (local.get $n))", fills)+`)`)))
	for {
		in := instance(t, m, executor.InstanceConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		_, err := in.Call(ctx, 1<<16, nil)
		cancel()
		if errors.Is(err, executor.ErrNotStarted) {
			continue // the machine is busy
		}
		if !errors.Is(err, executor.ErrDeadline) {
			t.Errorf("a gigabyte in 2 ms: got %v, want %v", err, executor.ErrDeadline)
		}
		return
	}
}

// A guest in the middle of one memory.fill gives its core to others, and is stopped there.
func TestBulkYields(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(memory (export "memory") 16384)
		(func $call (param i32) (memory.fill (i32.const 0x10000) (i32.const 7) (i32.const 0x3fff0000)))`)))
	in := instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Memory: 1 << 30}})
	turns := executor.NewTurns(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	turn, err := turns.Take(ctx, executor.NewTenant("fills", capability.Quota{}))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer turn.Done()
		if _, err := in.Call(executor.WithCall(ctx, &executor.Call{Turn: turn}), 1, nil); !errors.Is(err, executor.ErrCanceled) {
			t.Errorf("the guest that fills a gigabyte: got %v, want %v before it has ended", err, executor.ErrCanceled)
		}
	})
	other := executor.NewTenant("waits", capability.Quota{})
	for range 3 {
		turn, err := turns.Take(ctx, other) // as long as the instruction takes, where it is not split
		if err != nil {
			t.Fatal(err)
		}
		turn.Done()
	}
	cancel()
	wg.Wait()
}

// A guest that spins gives its core to a tenant that has been served less.
func TestSpinningGuestYields(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, spin)))
	in := instance(t, m, executor.InstanceConfig{})
	turns := executor.NewTurns(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	turn, err := turns.Take(ctx, executor.NewTenant("spins", capability.Quota{}))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer turn.Done()
		if _, err := in.Call(executor.WithCall(ctx, &executor.Call{Turn: turn}), 1, nil); !errors.Is(err, executor.ErrCanceled) {
			t.Errorf("the guest that spins: got %v, want %v", err, executor.ErrCanceled)
		}
	})
	other := executor.NewTenant("waits", capability.Quota{})
	for range 20 {
		turn, err := turns.Take(ctx, other) // for ever, where the guest does not yield
		if err != nil {
			t.Fatal(err)
		}
		turn.Done()
	}
}

// A guest that spins in a run that nobody waits for is stopped as soon as a call wants its core, and its pool goes on.
func TestSpinningSpareGivesWay(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, spin)))
	turns := executor.NewTurns(1)
	p := executor.NewPool(m, executor.PoolConfig{Size: 1, Turns: turns})
	defer p.Close()
	other := executor.NewTenant("waits", capability.Quota{})
	for range 5 {
		done := make(chan error)
		go func() { done <- p.Spare(t.Context(), 1, nil, func(executor.Answer) error { return nil }) }()
		for p.Stats().Busy == 0 { // until the run has the core
			runtime.Gosched()
		}
		begin := time.Now()
		turn, err := turns.Take(t.Context(), other) // for ever, where the run does not end
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("the core comes after %v", time.Since(begin))
		if err := <-done; !errors.Is(err, executor.ErrWanted) {
			t.Errorf("the run ends with %v, want %v", err, executor.ErrWanted)
		}
		turn.Done()
	}
	if got := p.Stats(); got.Busy != 0 {
		t.Errorf("stopped runs leave %+v", got)
	}
}

// A guest that waits for its core when its call is cancelled is stopped.
func TestCancelWhileYielding(t *testing.T) {
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, spin)))
	in := instance(t, m, executor.InstanceConfig{})
	turns := executor.NewTurns(1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	turn, err := turns.Take(ctx, executor.NewTenant("spins", capability.Quota{}))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := in.Call(executor.WithCall(ctx, &executor.Call{Turn: turn}), 1, nil)
		done <- err
	}()
	hog, err := turns.Take(t.Context(), executor.NewTenant("hogs", capability.Quota{}))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, executor.ErrCanceled) {
		t.Errorf("got %v, want %v", err, executor.ErrCanceled)
	}
	hog.Done()
}

// A mistake in a host function is found by the signal handlers of Go, with those of
// wasmtime before them: it traps the guest, and the process lives on.
func TestNilPointerInHostFunction(t *testing.T) {
	f := executor.HostFunc{Name: "f", Call: func(_ context.Context, _ executor.Memory, stack []uint64) error {
		var p *int
		*p = len(stack)
		return nil
	}}
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, oneImport)))
	for range 100 {
		in := instance(t, m, executor.InstanceConfig{Host: hostModule(f)})
		if _, err := in.Call(t.Context(), 0, nil); !errors.Is(err, executor.ErrTrap) || !strings.Contains(err.Error(), "nil pointer") {
			t.Fatalf("got %v, want %v with what happened", err, executor.ErrTrap)
		}
	}
}
