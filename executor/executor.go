// Package executor is the execution handler: it runs modules.
//
// An [Engine] compiles a module once; a [Module] makes [Instance]s; an Instance
// answers one call at a time; a [Pool] keeps instances warm and shares them
// between calls. Engines live in subpackages and pass package enginetest.
//
// # Limits
//
// Each call has a deadline and each instance a memory limit. A guest that
// traps, panics, exits, overruns its deadline or grows past its limit costs its
// own instance and nothing else: the call returns an error, the instance is
// discarded, the host goes on.
package executor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
)

// Errors of a call. All are wrapped with what the engine said.
var (
	// ErrNotStarted says that the guest function was not entered: the context
	// was over, no instance could be had, the request is too large or the guest
	// gave it no buffer. The call may be repeated anywhere, and the instance
	// may be used further.
	ErrNotStarted = errors.New("guest function not started")
	// ErrDeadline says that the guest was stopped at its deadline.
	ErrDeadline = errors.New("guest stopped at its deadline")
	// ErrTrap says that the guest trapped: bad memory access, unreachable,
	// stack overflow, exit, or an error of a host function.
	ErrTrap = errors.New("guest trapped")
	// ErrABI says that the module is not a Bungee guest or broke the guest ABI.
	ErrABI = errors.New("module breaks the guest ABI")
	// ErrDiscarded is returned by calls on an instance that an earlier call broke.
	ErrDiscarded = errors.New("instance was discarded after a failed call")
)

// A Reply is what a guest function answered: a Status and the bytes after it.
type Reply = abi.Reply

// A Status says whether a Reply's Payload is a result, an error of the function,
// or a panic.
type Status = abi.Status

// The values of Status.
const (
	StatusOK    = abi.OK
	StatusError = abi.Error
	StatusPanic = abi.Panic
)

// An Engine compiles modules. It may be used by many goroutines.
type Engine interface {
	// Load compiles wasm, or takes what an earlier Load left in the cache. It
	// does not keep wasm after it returns. Bytes that are no valid module, or
	// one without the exports of a Bungee guest, give an error that is ErrABI.
	Load(ctx context.Context, wasm []byte) (Module, error)
	// Close frees the engine. Its modules must be closed before.
	Close() error
}

// A DigestLoader is an [Engine] whose cache is asked by digest, so that a module
// which it holds costs neither its bytes nor their hash.
type DigestLoader interface {
	// LoadDigest is Load of the module whose SHA-256 is digest. It calls wasm
	// when the cache lacks the module, and fails when the digest of what wasm
	// returns is another.
	LoadDigest(ctx context.Context, digest [sha256.Size]byte, wasm func() ([]byte, error)) (Module, error)
}

// Load loads the module whose SHA-256 is digest: from the cache of e, where it is
// a [DigestLoader] and has it, else from the bytes that wasm returns, which must
// match digest.
func Load(ctx context.Context, e Engine, digest [sha256.Size]byte, wasm func() ([]byte, error)) (Module, error) {
	if l, ok := e.(DigestLoader); ok {
		return l.LoadDigest(ctx, digest, wasm)
	}
	b, err := wasm()
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(b); got != digest {
		return nil, fmt.Errorf("module has digest %x, not %x as asked for", got, digest)
	}
	return e.Load(ctx, b)
}

// A Module is a compiled module. It may be used by many goroutines.
type Module interface {
	// Instantiate makes an instance and initialises it, within the deadline of
	// ctx. An import that the host lacks, and a guest of another ABI version,
	// give an error that is ErrABI.
	Instantiate(ctx context.Context, cfg InstanceConfig) (Instance, error)
	// Close frees the module. Its instances must be closed before.
	Close() error
}

// InstanceConfig configures an instance. The zero value is ready to use.
type InstanceConfig struct {
	// Host are the host functions that the module may import beyond the
	// "bungee" module's own. An import that is not among them gives an error.
	Host []HostModule
	// MemoryLimit is the most linear memory the instance may have, in bytes.
	// Zero means 256 MiB.
	MemoryLimit int64
	// Log receives what the guest logs and, where the engine can catch it, what
	// it writes to its standard error. It gets at most 4 KiB at a time and runs
	// on the goroutine that uses the instance. Nil discards it.
	Log func(line string)
}

// DefaultMemoryLimit is used where InstanceConfig.MemoryLimit is zero.
const DefaultMemoryLimit = 256 << 20

// An Instance runs calls of one module, one at a time.
type Instance interface {
	// Call runs guest function fn on request. It returns once the guest is
	// done or has been stopped: at the deadline of ctx, which is passed to the
	// guest too. A cancelled ctx is shown to the guest and stops nothing by
	// itself. The reply's Payload is valid until the next Call or Close.
	//
	// An error or a panic that the guest function answered is a Reply with its
	// status, not an error of Call. After a panic, and after any error but
	// ErrNotStarted, the instance is of no more use: each further Call returns
	// ErrDiscarded.
	Call(ctx context.Context, fn uint32, request []byte) (Reply, error)
	// Close frees the instance. No Call may be running.
	Close() error
}

// A HostModule is a set of functions which a guest imports by Name.
// New gives the functions for one instance, so that they may keep state; the
// instance calls close when it is closed. Both run on the goroutine that uses
// the instance.
type HostModule struct {
	Name string
	New  func() (funcs []HostFunc, close func())
}

// A HostFunc is a function which a guest may call. Params and Results hold a
// letter a value: 'i' for i32, 'l' for i64. Call gets the parameters in stack
// and leaves the results there, from stack[0] on; len(stack) is the larger of
// the two counts. An error or a panic of Call traps the guest. Call must end
// when ctx does, and must not call into the guest.
type HostFunc struct {
	Name            string
	Params, Results string
	Call            func(ctx context.Context, mem Memory, stack []uint64) error
}

// Memory is the linear memory of an instance during a host function call.
type Memory interface {
	// Bytes returns the n bytes at ptr, by reference, or false when they are
	// not all inside the memory. They are valid until the host function returns.
	Bytes(ptr, n uint32) ([]byte, bool)
}

// A Span is a named part of a call's time, which a host function reports.
type Span struct {
	Name string
	Time time.Duration
}

type spansKey struct{}

// maxSpans bounds the spans of one call: they travel back with the reply.
const maxSpans = 16

// WithSpans returns a context in which the host functions of a call report
// their spans to dst.
func WithSpans(ctx context.Context, dst *[]Span) context.Context {
	return context.WithValue(ctx, spansKey{}, dst)
}

// AddSpan reports a span of the call which ctx belongs to. Spans of one name
// add up. Past 16 names it does nothing.
func AddSpan(ctx context.Context, name string, d time.Duration) {
	dst, ok := ctx.Value(spansKey{}).(*[]Span)
	if !ok {
		return
	}
	for i := range *dst {
		if (*dst)[i].Name == name {
			(*dst)[i].Time += d
			return
		}
	}
	if len(*dst) < maxSpans {
		*dst = append(*dst, Span{name, d})
	}
}
