// Package instrument rewrites modules so that they count what they do and compute the
// same everywhere, on any engine.
//
// A module is core WebAssembly 2.0: the MVP with sign extension, saturating
// conversions, bulk memory, multiple values, reference types and SIMD, and [MaxTables]
// tables at most. [Rewrite] refuses anything else with a [FeatureError]. Each module is rewritten
// before an engine compiles it, so that what hosts take does not depend on their engines.
//
//	wasm, err := instrument.Rewrite(wasm, instrument.Options{Fuel: true})
//
// # Fuel
//
// At the head of each metered block the module takes the block's cost from
// [FuelGlobal], and traps before anything of the block runs when that is not
// enough (paper 003, III-B2). A block is what runs from one branch, or place that a
// branch leads to, up to the next; calls do not end it. The cost is that of
// the module as it came, the sum of the [Costs] of its instructions, so that it is one number for
// each engine, machine and choice of Options.
//
// Instructions that can do any amount of work are charged by its size, too.
// memory.fill, copy and init cost Bulk for each full 64 bytes, table.fill, copy and
// init for each full 8 elements, before they run; where that is a small constant, it is
// a part of the block's cost. memory.grow costs Grow for each
// page, and table.grow Bulk for each full 8 elements, once they have succeeded:
// one that the host refuses does no work.
//
// Where the fuel of a whole call is F, a budget of F is enough for it, and each smaller
// one traps. A block that traps half way, or calls a function that does, has been
// charged as a whole.
//
// # Memory
//
// With Refusals the module notes in [RefusedGlobal] that a memory.grow answered -1. It
// begins anew at the head of the function that it exports as bungee_buf, with which each
// call begins. Nothing of it costs fuel.
//
// # Bulk
//
// An engine does memory.fill, copy and init and table.fill, copy and init in one piece,
// however large, and looks at the time only in loops and at the head of functions. With Split the module
// calls a function in front of each such instruction, which does all but the last 64 KiB,
// or 8,192 elements, in a loop, and leaves the rest to the instruction. What is out of bounds
// is left to it as a whole: it traps where it did, before anything is written. One that works on
// at most 1 KiB, or 128 elements, because the instruction before it is a constant or because its
// segment has no more, stays as it is. Nothing of it costs fuel.
//
// # NaN
//
// WebAssembly leaves the sign and the payload of a NaN that is computed to
// the processor. With CanonicalNaN it is always the positive quiet NaN without payload
// wherever the module can look at it. A NaN that the module
// makes from bits, by an integer store say, keeps them.
//
// # What the module can do about it
//
// Nothing. What is added (globals, temporaries, functions and their types) gets the first
// indices that the module does not have; a module that names one of them is refused.
//
// # Cost
//
// Fuel adds a third to the size of a Go guest; a hostile module may grow 30 times.
// Run-time prices are small on average and up to double in loops of few instructions:
//
//	go test -run - -bench . ./executor/internal/instrument
package instrument

import (
	"errors"
	"fmt"

	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
)

// FuelGlobal is the name under which a metered module exports its fuel, a mutable
// i64: what is left. The module traps when it would fall below zero, and leaves it
// below. It begins at the largest i64.
const FuelGlobal = "bungee_fuel"

// RefusedGlobal is the name under which a module exports whether it was refused memory
// during its call, a mutable i32: 1 once a memory.grow has answered -1, else 0.
const RefusedGlobal = "bungee_refused"

// MaxTables is how many tables a module may have. Compilers make one, or two where they use
// references.
const MaxTables = 4

// Version changes when engines get other code of a module.
const Version = 3

// Options say what Rewrite does. Two that are equal do the same.
type Options struct {
	Fuel         bool  // count fuel, in FuelGlobal
	CanonicalNaN bool  // make the bits of each NaN that is computed the same
	Refusals     bool  // note in RefusedGlobal that memory did not grow
	Split        bool  // do bulk instructions in chunks
	Costs        Costs // of fuel; all zero means DefaultCosts
}

// Key returns a text that differs where Rewrite makes other code: for the keys of
// caches.
func (o Options) Key() string {
	o.Costs = o.costs()
	return fmt.Sprintf("instrument %d %+v", Version, o)
}

func (o Options) costs() Costs {
	if o.Costs == (Costs{}) {
		return DefaultCosts
	}
	return o.Costs
}

// Costs are the fuel that instructions cost, by their class (paper 003, III-B2).
// block, loop, else, end, nop, drop, return and unreachable cost nothing: they are no code,
// or no more than what follows at the end of a block.
type Costs struct {
	Move    uint16 // constants and locals: compilers make no code of most
	Compute uint16 // arithmetic, comparisons, conversions, select, vectors, references
	Divide  uint16 // division, remainder, square root
	Memory  uint16 // loads, stores, globals, table elements
	Branch  uint16 // br, br_if, br_table, if
	Call    uint16 // call, call_indirect
	Grow    uint16 // a page of 64 KiB that memory.grow adds
	Bulk    uint16 // 64 bytes, or 8 table elements, of a bulk instruction
}

// DefaultCosts are near to what instructions take on a current processor, in units
// of an addition. Bulk is what four loads and stores of 16 bytes cost, and Grow that
// for each 64 bytes of a page, which has to be cleared.
var DefaultCosts = Costs{Move: 0, Compute: 1, Divide: 8, Memory: 2, Branch: 1, Call: 4, Grow: 16384, Bulk: 16}

// ErrModule says that the bytes are no module that can be rewritten. Its text tells what
// is wrong at which offset.
var ErrModule = errors.New("module cannot be instrumented")

// A FeatureError reports a module that needs a feature of WebAssembly which Rewrite
// does not know, or which is not deterministic. It is [ErrModule].
type FeatureError struct {
	Feature string // such as "threads"
	Offset  int    // of the first use in the module
}

func (e *FeatureError) Error() string {
	return fmt.Sprintf("%v: it uses %s at offset %#x; build it without: docs/abi.md says what a module can use", ErrModule, e.Feature, e.Offset)
}

// Is says that the error is [ErrModule].
func (e *FeatureError) Is(target error) bool { return target == ErrModule }

// Rewrite returns wasm with the code that opts ask for, wasm itself when that is none. The
// result depends on nothing else. Custom sections stay as they are. The error is
// [ErrModule], a [FeatureError] where the module may be valid for others.
//
// Rewrite does not validate: what comes of an invalid module is an error or
// another invalid module, which the engine will refuse.
func Rewrite(wasm []byte, opts Options) ([]byte, error) {
	if !opts.Fuel && !opts.CanonicalNaN && !opts.Refusals && !opts.Split {
		return wasm, nil
	}
	m, err := parse(wasm, opts)
	if err != nil {
		return nil, asModule(err)
	}
	wasm, err = m.rewrite()
	return wasm, asModule(err)
}

// asModule returns err as [ErrModule]: what a reader says is wasmbin.ErrMalformed.
func asModule(err error) error {
	if errors.Is(err, wasmbin.ErrMalformed) {
		return fmt.Errorf("%w: %w", ErrModule, err)
	}
	return err
}

// Outside says whether an active segment of elements in wasm, which Check let pass, reaches
// beyond the end of its table. To make an instance is a trap then (WebAssembly 2.0, section
// 4.5.4), which wazero v1.12 leaves out.
func Outside(wasm []byte) bool {
	m, err := parse(wasm, Options{})
	return err == nil && m.outside
}

// Check returns the error that Rewrite would. An engine is safe from a module that it
// let pass: all counts fit the bytes that they are for, which engines trust (wazero
// v1.12 reserves what a count asks for, so that 20 bytes end the process).
func Check(wasm []byte) error {
	m, err := parse(wasm, Options{})
	if err != nil {
		return asModule(err)
	}
	for _, s := range m.sections {
		if s.id == wasmbin.Code {
			_, err = m.code(s.body)
		}
	}
	return asModule(err)
}
