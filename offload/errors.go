package offload

import (
	"context"
	"errors"
	"sync"
)

// A Fate tells what is known of a call that gave no result.
type Fate int

// The values of Fate.
const (
	Unknown    Fate = iota // the function may have run, or may still run
	NotStarted             // the function did not run: a repeat is safe
	Ended                  // the function ran to an end, without a usable result
)

// String returns what the fate says in words.
func (f Fate) String() string {
	switch f {
	case NotStarted:
		return "not started"
	case Ended:
		return "ended"
	}
	return "fate unknown"
}

// A CallError reports an elastic function that gave no result.
//
// Fate tells what is known of the guest function: calls that are [NotStarted]
// are safe to repeat anywhere; of [Unknown] ones only those whose function was
// marked idempotent. [Func.Call] repeats exactly these natively.
type CallError struct {
	Func string // the function's name
	Host string // the edge host's name, or its address before it gave one
	Fate Fate
	Err  error
}

// Error returns what failed, where, and whether the function may have run.
func (e *CallError) Error() string {
	return e.Func + " on " + e.Host + ": " + e.Err.Error() + " (" + e.Fate.String() + ")"
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }

// MayRepeat says whether a call that failed with err may run again elsewhere:
// it did not start, or its function is idempotent and its fate unknown.
func MayRepeat(err error, idempotent bool) bool {
	var ce *CallError
	if !errors.As(err, &ce) {
		return false // the function's own error: it ran
	}
	return ce.Fate == NotStarted || ce.Fate == Unknown && idempotent
}

// A RemoteError is an error that a function returned on an edge host. It
// unwraps to the error registered under Code, so errors.Is works across.
type RemoteError struct {
	Code string // as registered, or empty
	Text string // bounded; data from another machine
	err  error
}

// Error returns the text of the function's error.
func (e *RemoteError) Error() string { return e.Text }

// Unwrap returns the registered error, or nil.
func (e *RemoteError) Unwrap() error { return e.err }

// PanicError is the cause of a CallError whose guest function panicked: the
// panic's value and stack.
type PanicError string

// Error returns the panic and its stack.
func (e PanicError) Error() string { return "panic: " + string(e) }

var registry = struct {
	mu     sync.RWMutex
	byCode map[string]error
	codes  []string // in order of registration: the first that matches wins
}{byCode: map[string]error{}}

func init() {
	RegisterError("bungee.canceled", context.Canceled)
	RegisterError("bungee.deadline", context.DeadlineExceeded)
}

// RegisterError makes err keep its identity across the network: a marked
// function that returns an error which errors.Is err gives, on the UE, an error
// for which the same holds. Call it from an init function of the package of the
// marked function, so that both versions know it. It panics when code is
// registered already.
func RegisterError(code string, err error) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if _, ok := registry.byCode[code]; ok {
		panic("offload: error code " + code + " is registered twice")
	}
	registry.byCode[code] = err
	registry.codes = append(registry.codes, code)
}

func codeOf(err error) string {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	for _, c := range registry.codes {
		if errors.Is(err, registry.byCode[c]) {
			return c
		}
	}
	return ""
}

func remoteError(code, text string) error {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return &RemoteError{Code: code, Text: text, err: registry.byCode[code]}
}
