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
// CodeDeadline, and for context.Canceled when it is CodeCanceled, whichever end stopped the
// call, and whatever the cause of the context's end.
func (e *CallError) Is(target error) bool {
	switch e.Code {
	case CodeDeadline:
		return target == context.DeadlineExceeded || target == ErrDeadline
	case CodeCanceled:
		return target == context.Canceled
	}
	return false
}

// ErrorCode returns Code, for [CodeOf].
func (e *CallError) ErrorCode() Code { return e.Code }

// A RemoteError is an error that a function returned on an edge host, and that is neither
// registered nor of a type that crosses. What it wraps is kept, so errors.Is and errors.As
// find the same there as they would on the UE.
type RemoteError struct {
	Text  string   // of at most 64 KiB; data from another machine
	Codes []string // of the registered errors that it said by a method Is to be
	Err   error    // what it wraps, nil for nothing; if that is several errors, one that wraps these
}

// Error returns the text of the function's error.
func (e *RemoteError) Error() string { return e.Text }

// Unwrap returns Err.
func (e *RemoteError) Unwrap() error { return e.Err }

// Is says whether the function's error said that it is target.
func (e *RemoteError) Is(target error) bool {
	for _, c := range e.Codes {
		if err := abi.RegisteredError(c); err != nil && abi.Same(err, target) {
			return true
		}
	}
	return false
}

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

// RegisterError makes err keep its identity across the network: where a marked function
// on an edge host returns it, or an error that wraps it, the caller on the UE gets this very
// err. offloadgen registers the errors that are variables of the marked function's package
// and of those that it imports; what others return, such as an error that is made at run
// time, is registered by hand. Call it from an init function in the package of the marked
// function, so that both versions know err. It panics when code stands for another error.
func RegisterError(code string, err error) { abi.RegisterError(code, err) }
