//go:build cgo

package wasmtime_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// An instance that has trapped gives its memory back in pieces of 4 MiB, and what it held is in no later
// instance, which has the same place in the pool.
func TestShed(t *testing.T) {
	const size = 18 << 20
	fills := `(memory (export "memory") 288) (func $call (param i32)
		(if (i32.load8_u (i32.const 18000000)) (then (call $call (i32.const 0)))) ;; memory of another: the stack ends
		(memory.fill (i32.const 2048) (i32.const 7) (i32.const 18000000)) unreachable)`
	m := module(t, wasmtime.Config{Instances: 1}, executor.Bytes(wat(t, fills)))
	for range 3 {
		in, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Call(t.Context(), 0, nil); !errors.Is(err, executor.ErrTrap) || errors.Is(err, executor.ErrMemory) {
			t.Fatalf("%v; want the trap of unreachable", err)
		}
		before := residentBytes(t)
		pieces := 1
		for in.(executor.Shedder).Shed() {
			pieces++
		}
		if pieces != 5 {
			t.Errorf("%d pieces of %d bytes, want 5", pieces, size)
		}
		if after := residentBytes(t); after > before-size/2 {
			t.Errorf("%d bytes resident, and then %d; want %d less", before, after, size)
		}
		if _, err := in.Call(t.Context(), 0, nil); !errors.Is(err, executor.ErrDiscarded) {
			t.Errorf("a call of what was given back: %v", err)
		}
		in.Close()
		if in.(executor.Shedder).Shed() {
			t.Error("what is closed has more to give")
		}
	}
}

// residentBytes returns what this process has in memory.
func residentBytes(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here: on Linux, go test -run TestShed ./executor/wasmtime")
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
