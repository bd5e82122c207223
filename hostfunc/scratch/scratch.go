// Package scratch keeps small values from one call to the next, for code that compiles
// natively and to Wasm.
//
// The instances of a module share no memory, and a call can run in any of them. A value
// set here is there for all calls of the session, in whichever instance they run:
//
//	table, ok := scratch.Get("calibration")
//	if !ok {
//		table = calibrate(frame)
//		err = scratch.Set("calibration", table)
//	}
//
// # How long it lasts
//
// A value lasts as long as the session, the stay of one UE, at that edge host. It does not
// move with a handover: other hosts and the UE have scratches of their own. So use it for
// what can be computed again, and an endpoint for state. A native program has one scratch
// until it ends.
//
// # Who shares it
//
// All modules of a session share one scratch. Other sessions do not see it, not even those
// of the same tenant.
//
// # Concurrency
//
// All functions may be called by many goroutines. Calls of a session can run at the same
// time in several instances: when two of them set a key, it has one of the two values.
package scratch

import "errors"

// Errors of [Set].
var (
	// ErrTooLarge says that the key or the value exceeds its bound.
	ErrTooLarge = errors.New("scratch: key or value over its bound")
	// ErrFull says that there is no room for another key or more bytes. Delete keys.
	ErrFull = errors.New("scratch: full; delete keys")
)

// Bounds on what a session keeps.
const (
	MaxKey   = 256      // bytes of a key
	MaxValue = 64 << 10 // bytes of a value
	MaxKeys  = 1024
	MaxBytes = 1 << 20 // of all keys and values
)
