// Package executor is the execution handler: it runs modules.
//
// An [Engine] compiles a module once; a [Module] makes [Instance]s; an Instance
// answers one call at a time; a [Pool] keeps instances warm and shares them
// between calls. Engines live in subpackages and pass package enginetest.
//
// # Limits
//
// Each call has a deadline, and each instance [Limits] on memory, tables, output
// and fuel. A guest that traps, panics, exits, overruns its deadline, its fuel or its
// memory costs its own instance and nothing else: the call returns an error, the
// instance is discarded, the host goes on.
//
// # Whose it is
//
// Every instance may belong to a [Tenant], which bounds what all of them hold, and
// every call may be billed to an [Account], which collects their [Bill]s. A module can use
// the host functions it is given, and no others: package capability decides which.
package executor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/capability"
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
	// ErrCanceled says that the guest was stopped because its call was
	// cancelled and it did not end by itself within [CancelGrace].
	ErrCanceled = errors.New("guest stopped because its call was cancelled")
	// ErrFuel says that the guest was stopped because it had used its budget.
	ErrFuel = errors.New("guest stopped at the end of its fuel")
	// ErrTrap says that the guest trapped: bad memory access, unreachable,
	// stack overflow, exit, or an error of a host function.
	ErrTrap = errors.New("guest trapped")
	// ErrABI says that the module is not a Bungee guest or broke the guest ABI.
	ErrABI = errors.New("module breaks the guest ABI")
	// ErrDiscarded is returned by calls on an instance that an earlier call broke.
	ErrDiscarded = errors.New("instance was discarded after a failed call")
)

// CancelGrace is how long a guest whose call was cancelled may go on, to see it
// and to end by itself. Then it is stopped.
const CancelGrace = 2 * time.Millisecond

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

// An Engine compiles modules. It may be used by many goroutines. A Load that
// compiles blocks neither other modules' calls nor Loads that find theirs in the cache.
type Engine interface {
	// Load compiles the module of src, or takes what an earlier Load left in
	// the cache. Bytes that are no valid module, or one without the exports of
	// a Bungee guest, give an error that is ErrABI.
	Load(ctx context.Context, src Source) (Module, error)
	// Close frees the engine. Its modules must be closed before.
	Close() error
}

// A Source is a module to load. [Bytes] makes one.
type Source struct {
	// Digest is the module's SHA-256.
	Digest [sha256.Size]byte
	// Wasm returns the module. It is called where the cache lacks it, and an
	// error of it is returned as it is. What it returns must have the digest.
	// The engine keeps none of it.
	Wasm func() ([]byte, error)
	// Tenant is whose module it is. What an engine keeps of a module is
	// found by the same tenant only.
	Tenant string
	// Meter has the instances of the module count all that [Bill] has. Without
	// it they count what costs next to nothing.
	Meter bool
}

// Read returns the module, once it has compared its digest.
func (s Source) Read() ([]byte, error) {
	wasm, err := s.Wasm()
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(wasm); got != s.Digest {
		return nil, fmt.Errorf("module has digest %x, not %x as asked for", got, s.Digest)
	}
	return wasm, nil
}

// Bytes returns the source of a module that is at hand, metered or not, of no tenant.
func Bytes(wasm []byte) Source {
	return Source{Digest: sha256.Sum256(wasm), Wasm: func() ([]byte, error) { return wasm, nil }}
}

// A Module is a compiled module. It may be used by many goroutines.
type Module interface {
	// Manifest returns what the module asks for.
	Manifest() capability.Manifest
	// Instantiate makes an instance and initialises it, within the deadline of
	// ctx. An import that cfg does not give, and a guest of another ABI version,
	// give an error that is ErrABI; a module that begins with more memory or
	// table than its limits is refused before any is mapped.
	Instantiate(ctx context.Context, cfg InstanceConfig) (Instance, error)
	// Close frees the module. Its instances must be closed before.
	Close() error
}

// InstanceConfig configures an instance. The zero value is ready to use.
type InstanceConfig struct {
	// Host are the host functions that the module may import beyond the
	// "bungee" module's own, WASI included (package wasi). An import that is not
	// among them gives an error.
	Host []HostFuncs
	// Withheld says, of host functions that are not in Host, why they are not: the
	// error of an import of one says so. Nil knows of none.
	Withheld func(name string) error
	// Limits bound the instance.
	Limits Limits
	// Tenant is whose instance it is, and whose quota it counts against. Nil
	// means nobody's.
	Tenant *Tenant
	// Log receives what the guest logs. It gets at most 4 KiB at a time and runs
	// on the goroutine that uses the instance. Nil discards it.
	Log func(line string)
}

// Limits bound an instance. A zero field means the default.
type Limits struct {
	// Memory is the most linear memory, in bytes. The default is 256 MiB.
	Memory int64
	// Table is the most elements of its tables. The default is 1<<20; a Go guest
	// has ten thousand.
	Table int
	// Output is the most bytes of a reply. The default, and the most there can
	// be, is what the guest ABI allows: 64 MiB.
	Output int
	// Fuel is what a call may use. The default is no bound. It needs a
	// module that is metered.
	Fuel uint64
}

// Defaults of [Limits].
const (
	DefaultMemory = 256 << 20
	DefaultTable  = 1 << 20
)

// WithDefaults returns l with its zero fields set.
func (l Limits) WithDefaults() Limits {
	if l.Memory <= 0 {
		l.Memory = DefaultMemory
	}
	if l.Table <= 0 {
		l.Table = DefaultTable
	}
	if l.Output <= 0 || l.Output > abi.MaxReply {
		l.Output = abi.MaxReply
	}
	return l
}

// An Instance runs calls of one module, one at a time.
type Instance interface {
	// Call runs guest function fn on request. It returns once the guest is
	// done or has been stopped: at the deadline of ctx, which is passed to the
	// guest too, or when ctx is cancelled, which the guest can see at once and
	// has [CancelGrace] to answer. The reply's Payload is valid until the next
	// Call or Close.
	//
	// An error or a panic that the guest function answered is a Reply with its
	// status, not an error of Call. After a panic, and after any error but
	// ErrNotStarted, the instance is of no more use: each further Call returns
	// ErrDiscarded.
	Call(ctx context.Context, fn uint32, request []byte) (Reply, error)
	// Last returns what the last Call cost, also one that failed.
	Last() Bill
	// Size returns the bytes of its linear memory.
	Size() uint64
	// Close frees the instance. No Call may be running.
	Close() error
}
