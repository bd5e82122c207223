//go:build cgo

package wasmtime

// #include "guest.h"
import "C"

import (
	"sync/atomic"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
)

// facts are what is known of a module beside its code. Those of a file in the cache
// hold for each load of it: a module that was loaded before costs no look at its
// imports, and its first instance is made as fast as later ones.
type facts struct {
	// Constant.
	manifest capability.Manifest

	// Nil until they were found out.
	need    atomic.Pointer[guest.Need]
	touched atomic.Pointer[C.bungee_module] // its image and runs; nothing else of it is valid
	looking atomic.Bool                     // a module's first instance is to show what it touches
}

// needOf returns what m, of src, asks of its instances. Its error is that of
// [guest.CheckExports].
func (f *facts) needOf(m *wt.Module, src executor.Source) (guest.Need, error) {
	if need := f.need.Load(); need != nil {
		return *need, nil
	}
	exports, err := exportsOf(m)
	if err != nil {
		return guest.Need{}, err
	}
	need := guest.Need{
		Imports: importsOf(m),
		Memory:  exports.memory,
		Table:   exports.table,
		Metered: src.Meter, Deterministic: f.manifest.Deterministic,
	}
	f.need.Store(&need)
	return need, nil
}

// give tells m, which has no instance yet, what instances touch to initialise
// themselves. Of the first load, which has read the file or compiled, the first instance
// shows it.
func (f *facts) give(m *C.bungee_module) {
	if m == nil {
		return
	}
	if t := f.touched.Load(); t != nil {
		m.image, m.run, m.runs = t.image, t.run, t.runs
	} else if f.looking.CompareAndSwap(false, true) {
		m.look = true
	}
}

// take takes note of that from m, which has no instance any more.
func (f *facts) take(m *C.bungee_module) {
	if m != nil && m.runs > 0 && f.touched.Load() == nil {
		f.touched.Store(&C.bungee_module{image: m.image, run: m.run, runs: m.runs})
	}
}
