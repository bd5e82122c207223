package offload

import (
	"cmp"
	"context"

	"github.com/bungee-xr/bungee/internal/abi"
)

// A Fate says what is known about a call that gave no result.
type Fate int

// The values of Fate.
const (
	Unknown    Fate = iota // the function may have run, or may still run
	NotStarted             // the function did not run: a repeat is safe
	Stopped                // the function began, and the edge host stopped it at a limit or a trap
	Ended                  // the function ran to its end, without a usable result
)

// String returns what the fate says in words.
func (f Fate) String() string {
	switch f {
	case NotStarted:
		return "not started"
	case Stopped:
		return "stopped"
	case Ended:
		return "ended"
	}
	return "fate unknown"
}

// A CallError reports an elastic function that gave no result, or a message of a
// channel that broke its far endpoint.
//
// Code says why. Fate says what is known about the guest function: a call that is
// [NotStarted] is repeated natively; one that is [Unknown] or [Stopped] is repeated only if
// its function is marked idempotent; one that is [Ended] never is.
type CallError struct {
	Func string // the function's name
	Host string // the edge host's name, or its address before it gave one; "" is the UE
	Code Code
	Fate Fate
	Err  error // the cause
}

// Error returns what failed, where, and whether the function may have run.
func (e *CallError) Error() string {
	return e.Func + " on " + cmp.Or(e.Host, "the UE") + ": " + e.Err.Error() + " (" + e.Fate.String() + ")"
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }

// Is makes errors.Is hold for context.DeadlineExceeded and ErrDeadline when Code is
// CodeDeadline, whichever end stopped the call.
func (e *CallError) Is(target error) bool {
	return e.Code == CodeDeadline && (target == context.DeadlineExceeded || target == ErrDeadline)
}

// ErrorCode returns Code, for [CodeOf].
func (e *CallError) ErrorCode() Code { return e.Code }

// A RemoteError is an error that a function returned on an edge host. It
// unwraps to the error registered under Code, so errors.Is works across the network.
type RemoteError struct {
	Code string // as registered, or empty
	Text string // of at most 64 KiB; data from another machine
}

// Error returns the text of the function's error.
func (e *RemoteError) Error() string { return e.Text }

// Unwrap returns the registered error, or nil.
func (e *RemoteError) Unwrap() error { return abi.RegisteredError(e.Code) }

// PanicError is the cause of a CallError whose function panicked: what it panicked with,
// and where, in one line of at most 512 bytes. The stack is in the edge host's log, at
// level debug.
type PanicError string

// Error returns what the function panicked with, and where.
func (e PanicError) Error() string { return "panic: " + string(e) }

func init() {
	RegisterError("bungee.canceled", context.Canceled)
	RegisterError("bungee.deadline", context.DeadlineExceeded)
}

// RegisterError makes err keep its identity across the network: when a marked function
// on an edge host returns an error that matches err by errors.Is, so does the error that
// the caller gets on the UE. Call it from an init function in the package of the marked
// function, so that both versions know err. It panics when code is registered already.
func RegisterError(code string, err error) { abi.RegisterError(code, err) }
