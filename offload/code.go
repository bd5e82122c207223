package offload

import (
	"context"
	"errors"
)

// A Code says why a call or a message gave no result, or why a channel ended: what an
// application can act on. Errors have texts besides, which only explain.
//
//	switch offload.CodeOf(err) {
//	case offload.CodeOverloaded: // try again later, or with less
//	case offload.CodeDenied: // ask the operator for what the module needs
//	}
type Code byte

// The codes. Those below 64 are told by edge hosts, with the same numbers in the
// protocol.
const (
	// CodeInternal is the host's own fault, or an error without a code.
	CodeInternal Code = 0
	// CodeNoModule: the host lacks the function's module. The UE offload handler
	// uploads it.
	CodeNoModule Code = 1
	// CodeBadModule: the host cannot load the module.
	CodeBadModule Code = 2
	// CodeDraining: the host takes no new calls and channels, because it will end.
	CodeDraining Code = 3
	// CodeOverloaded: the host, or the tenant's share of it, is full.
	CodeOverloaded Code = 4
	// CodeDeadline: no answer came by the deadline. Such an error is also
	// context.DeadlineExceeded.
	CodeDeadline Code = 5
	// CodeTrapped: the guest function did something that Wasm forbids, and was stopped.
	CodeTrapped Code = 6
	// CodeTooLarge: a request, reply, state or module is over its bound.
	CodeTooLarge Code = 7
	// CodeProtocol: one end broke the protocol, or what it sent does not decode.
	CodeProtocol Code = 8
	// CodeDenied: the module asks for what its tenant is not granted.
	CodeDenied Code = 11
	// CodeOutOfMemory: the guest function reached its limit of memory, and was stopped.
	CodeOutOfMemory Code = 12
	// CodeOutOfFuel: the guest function used up its fuel, and was stopped.
	CodeOutOfFuel Code = 13
	// CodePanicked: the function panicked on the edge host.
	CodePanicked Code = 14
	// CodeExited: the guest ended its process, by os.Exit or a fatal error of Go's runtime,
	// such as concurrent writes of a map.
	CodeExited Code = 15
	// CodeOutOfStack: the function's calls went deeper than the guest's stack.
	CodeOutOfStack Code = 16
	// CodeDeadlocked: all goroutines of the guest waited for each other, as far as Go's runtime says so before it ends. In an exported
	// function it may trap without a word, which is CodeTrapped.
	CodeDeadlocked Code = 17

	// CodeUnavailable: no edge host can take the call now.
	CodeUnavailable Code = 64
	// CodeLost: the edge host was lost with the call or the far endpoint.
	CodeLost Code = 65
	// CodeCanceled: the caller gave up.
	CodeCanceled Code = 66
	// CodeDissent: the edge hosts that a call ran on do not agree on an answer.
	CodeDissent Code = 67
)

// String returns the code in words.
func (c Code) String() string {
	switch c {
	case CodeInternal:
		return "internal error"
	case CodeNoModule:
		return "no such module"
	case CodeBadModule:
		return "bad module"
	case CodeDraining:
		return "draining"
	case CodeOverloaded:
		return "overloaded"
	case CodeDeadline:
		return "deadline passed"
	case CodeTrapped:
		return "guest trapped"
	case CodeTooLarge:
		return "too large"
	case CodeProtocol:
		return "protocol violation"
	case CodeDenied:
		return "denied"
	case CodeOutOfMemory:
		return "out of memory"
	case CodeOutOfFuel:
		return "out of fuel"
	case CodePanicked:
		return "guest panicked"
	case CodeExited:
		return "guest exited"
	case CodeOutOfStack:
		return "out of stack"
	case CodeDeadlocked:
		return "guest deadlocked"
	case CodeUnavailable:
		return "no edge host available"
	case CodeLost:
		return "edge host lost"
	case CodeCanceled:
		return "canceled"
	case CodeDissent:
		return "edge hosts disagree"
	}
	return "unknown code"
}

// A coder is an error, or the cause of one, that has a code.
type coder interface{ ErrorCode() Code }

// CodeOf returns the code of err: of the first error in its tree that has one, else
// that of a context's end, else CodeInternal.
func CodeOf(err error) Code {
	var c coder
	switch {
	case errors.As(err, &c):
		return c.ErrorCode()
	case errors.Is(err, context.DeadlineExceeded):
		return CodeDeadline
	case errors.Is(err, context.Canceled):
		return CodeCanceled
	}
	return CodeInternal
}

// ErrDeadline is the cause of a call or a message that had no answer by its deadline.
// errors.Is(ErrDeadline, context.DeadlineExceeded) holds. A channel's method whose own
// ctx ends first returns the cause of that ctx instead.
var ErrDeadline error = deadlineError{}

type deadlineError struct{}

func (deadlineError) Error() string        { return "no answer by the deadline" }
func (deadlineError) Timeout() bool        { return true }
func (deadlineError) ErrorCode() Code      { return CodeDeadline }
func (deadlineError) Is(target error) bool { return target == context.DeadlineExceeded }
