//go:build cgo

package wasmtime

// #include "guest.h"
import "C"

import (
	"cmp"
	"math"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// maxStack is the most stack a guest may use, of the 8 MB that a thread has. A Go guest keeps
// its variables in linear memory, but each of its calls is one on this stack, too: 10,000
// values within each other, the most that encoding/json decodes, need 3 MiB, and to encode them
// 5 MiB.
const maxStack = 6 << 20

// stack returns the most stack of a guest on threads with so much: what the host's own
// code needs has to be left, as a thread that has none ends the process.
func stack(thread uint64) uint64 { return min(maxStack, thread/4*3) }

// settings returns wasmtime's configuration. What changes the compiled code is
// part of [salt], too. NaNs are not made canonical here, but by package instrument,
// the same for each engine.
func settings(cfg Config) *wt.Config {
	c := wt.NewConfig()
	c.SetEpochInterruption(true)
	c.SetWasmSIMD(true)
	c.SetWasmRelaxedSIMD(false) // its results differ between machines
	c.SetWasmThreads(false)     // likewise
	c.SetWasmMultiMemory(false)
	c.SetWasmMemory64(false)
	c.SetWasmTailCall(false) // no more than WebAssembly 2.0, as other engines
	most := stack(uint64(C.bungee_thread_stack()))
	if most < maxStack {
		cfg.Logger.Warn("guests have less stack than docs/abi.md says, as threads have little; run the host with ulimit -s 8192", "bytes", most, "want", maxStack)
	}
	C.bungee_config_stack((*C.wasm_config)(pointer(c)), C.size_t(most))
	c.SetCraneliftOptLevel(wt.OptLevelSpeed)
	c.SetParallelCompilation(cfg.ParallelCompile)
	n := slots(cfg.Instances)
	if n == 0 && cfg.Instances >= 0 {
		n := uint64(cmp.Or(cfg.Instances, defaultInstances))
		cfg.Logger.Warn("instances are mapped one by one, which takes longer, as the address space is too small for slots; raise RLIMIT_AS and RLIMIT_DATA (ulimit -v, -d) over what is needed, or have fewer instances",
			"instances", n, "address_space", capability.Size(n*slotBytes), "data", capability.Size(n*tableBytes))
	}
	if n > 0 {
		C.bungee_config_pool((*C.wasm_config)(pointer(c)), C.bungee_pool{
			instances:      C.uint32_t(n),
			table_elements: executor.DefaultTable,
			memory:         maxMemory,
		})
	}
	return c
}

const (
	// defaultInstances is more than a host of a hundred cores uses at once, with as
	// many idle modules beside. Five such engines fit into an address space of 47 bits.
	defaultInstances = 4096
	// maxMemory is the most memory of a guest: all that 32 bits address.
	maxMemory = 4 << 30
	// There are slots for as many tables as a module may have.
	_ = uint(C.BUNGEE_TABLES - instrument.MaxTables)
	// slotBytes is the address space of a slot: its memory with a guard before and
	// behind it, which lets the code do without bounds checks, and its tables.
	slotBytes = maxMemory + 64<<20 + tableBytes
	// tableBytes is the part of a slot that is writable from the beginning.
	tableBytes = C.BUNGEE_TABLES * executor.DefaultTable * 8
)

// slots returns how many slots an engine of so many instances sets up: none where the
// address space is too small, as wasmtime ends the process when it does not get it.
func slots(instances int) int {
	n := instances
	if n == 0 {
		n = defaultInstances
	}
	if n < 0 || n > math.MaxInt32/C.BUNGEE_TABLES || !C.bungee_reserve(C.size_t(n)*slotBytes, C.size_t(n)*tableBytes) {
		return 0
	}
	return n
}
