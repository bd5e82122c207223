// Package scratch keeps small values for code that compiles natively and to Wasm: what a
// function computed in one call and can use in the next.
//
// Instances of a module share nothing, and which one a call meets is not known. A value
// set here is there for all calls of the session, whichever instance they meet:
//
//	table, ok := scratch.Get("calibration")
//	if !ok {
//		table = calibrate(frame)
//		err = scratch.Set("calibration", table)
//	}
//
// # How long it lasts
//
// As long as the session at that edge host, which is the stay of one UE. It does not
// move with a handover, and what another host or the UE has is another scratch. So it is
// for what can be computed again, not for state: that belongs into an endpoint. Natively
// there is one scratch, of the process.
//
// # Whose it is
//
// All modules of a session share it. No other session sees it, be it of the same
// tenant.
//
// # Concurrency
//
// All functions may be called by many goroutines, and calls of a session in other
// instances run at once: two that set a key leave one value whole, not both.
package scratch

import "errors"

// Errors of [Set].
var (
	// ErrTooLarge says that the key or the value is over its bound.
	ErrTooLarge = errors.New("scratch: key or value over its bound")
	// ErrFull says that there are as many keys or bytes as may be. Delete some.
	ErrFull = errors.New("scratch: full; delete keys")
)

// Bounds on what a session keeps.
const (
	MaxKey   = 256      // bytes of a key
	MaxValue = 64 << 10 // bytes of a value
	MaxKeys  = 1024
	MaxBytes = 1 << 20 // of all keys and values
)
