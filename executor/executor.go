// Package executor is the execution handler: it runs modules.
//
// An [Engine] compiles a module once; a [Module] makes [Instance]s; an Instance
// answers one call at a time; a [Pool] keeps instances warm and shares them
// between calls. Engines live in subpackages and pass package enginetest.
//
// # Limits
//
// Each call has a deadline, and each instance has [Limits] on memory, tables, output
// and fuel. A guest that traps, panics, exits, or overruns its deadline, its fuel or its
// memory costs its own instance and nothing else: the call returns an error, the
// instance is discarded, and the host goes on.
//
// # Tenants and bills
//
// An instance may belong to a [Tenant], which bounds what all its instances hold, and
// every call may be billed to an [Account], which collects its [Bill]. A module can use
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

// Errors of a call. Each one is wrapped together with the engine's own message.
var (
	// ErrNotStarted says that the guest function was not entered: the context had
	// ended, no instance was free, the request is too large, or the guest has no
	// buffer for it. The call may be repeated anywhere, and the instance can be
	// used again.
	ErrNotStarted = errors.New("guest function not started")
	// ErrDeadline says that the guest was stopped at its deadline.
	ErrDeadline = errors.New("guest stopped at its deadline")
	// ErrCanceled says that the guest was stopped because its call was
	// cancelled and it did not end by itself within [CancelGrace].
	ErrCanceled = errors.New("guest stopped because its call was cancelled")
	// ErrFuel says that the guest was stopped because its fuel was used up.
	ErrFuel = errors.New("guest stopped at the end of its fuel")
	// ErrTrap says that the guest trapped: bad memory access, unreachable,
	// stack overflow, exit, or an error of a host function.
	ErrTrap = errors.New("guest trapped")
	// ErrMemory says that the guest trapped in a call in which it was refused more
	// memory, because of [Limits].Memory or of a maximum of its own. So end Go's
	// "out of memory", and a C program that aborts when malloc gives it nothing. It is
	// ErrTrap, too. A guest that can do with what it has gets no error; when it traps
	// later in the same call for another reason, it gets this one.
	ErrMemory error = memoryError{}
	// ErrStack says that the guest's calls went deeper than its stack. It is ErrTrap, too.
	ErrStack error = stackError{}
	// ErrTooLarge says that a request is over what the guest has a buffer for, or what can
	// cross at all, and is ErrNotStarted then; or that a reply is over [Limits].Output.
	// The instance can be used again. Of a Load it says that the module is too large.
	ErrTooLarge = errors.New("too large")
	// ErrABI says that the module is not a Bungee guest or broke the guest ABI.
	ErrABI = errors.New("module breaks the guest ABI")
	// ErrDiscarded says that an earlier call broke the instance.
	ErrDiscarded = errors.New("instance was discarded after a failed call")
)

type memoryError struct{}

func (memoryError) Error() string        { return "guest trapped after it was refused memory" }
func (memoryError) Is(target error) bool { return target == ErrTrap }

type stackError struct{}

func (stackError) Error() string        { return "guest trapped at the end of its stack" }
func (stackError) Is(target error) bool { return target == ErrTrap }

// AnswerGrace returns how much earlier than the host stops a call its guest is told that its
// time is over, when so much is left: a function that waits for the end of its context has
// that time to answer, and its answer some of it to travel.
func AnswerGrace(left time.Duration) time.Duration { return max(0, min(left/8, maxAnswerGrace)) }

// maxAnswerGrace is enough for an answer to reach a UE one WAN hop away.
const maxAnswerGrace = 20 * time.Millisecond

// CancelGrace is the time that a guest has to end by itself after its call was
// cancelled. Then it is stopped.
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

// An Engine compiles modules. It may be used by many goroutines. While a Load
// compiles, calls go on, and so do Loads of modules that are in the cache.
type Engine interface {
	// Load compiles the module of src, or takes it from the cache, where an
	// earlier Load left it. The error is ErrABI when the bytes are not a valid
	// module, or when the module lacks an export of the guest ABI, and ErrTooLarge when
	// it is over a bound of [Shape], or takes more to compile than the engine allows. An
	// engine that lets modules wait returns ErrQuota when too many of the tenant do. When
	// ctx ends first, Load ends and returns its cause.
	Load(ctx context.Context, src Source) (Module, error)
	// Close frees the engine. Close its modules first.
	Close() error
}

// A Source is a module to load. [Bytes] makes one.
type Source struct {
	// Digest is the module's SHA-256.
	Digest [sha256.Size]byte
	// Wasm returns the bytes of the module, which must have the digest. Load calls
	// it when the module is not in the cache, and returns its error unchanged. The
	// engine does not keep the bytes.
	Wasm func() ([]byte, error)
	// Probes is called by Load, before it returns, where the module is in the cache and says what it is to be probed
	// with: only has that, as [capability.OnlyProbes] returns it, and belongs to the callee. Where the module is not
	// in the cache Load calls Wasm instead, which has it. Nil means that nobody wants it.
	Probes func(only []byte)
	// Tenant is the name of the module's owner. A compiled module in the cache is
	// found by its own tenant only.
	Tenant string
	// Meter makes the instances count everything in a [Bill]. Without it they count
	// only what costs next to nothing.
	Meter bool
	// Charge is called with what compiling the module has cost, also where it failed. Nil
	// means that nobody pays.
	Charge func(Bill)
}

// Read returns the bytes of the module. It fails when they do not have the digest.
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

// Bytes returns a source of the module wasm, which belongs to no tenant. Set its Meter
// and Tenant as needed.
func Bytes(wasm []byte) Source {
	return Source{Digest: sha256.Sum256(wasm), Wasm: func() ([]byte, error) { return wasm, nil }}
}

// A Module is a compiled module. It may be used by many goroutines.
type Module interface {
	// Manifest returns the manifest in the module: what it asks for.
	Manifest() capability.Manifest
	// Instantiate makes an instance and initialises it, within the deadline of
	// ctx and the fuel of a call. What that costs is charged to the account of ctx,
	// else to cfg.Tenant, whether it succeeds or not; a tenant that has no fuel left
	// gets ErrQuota. The error is ErrABI when cfg lacks an import of the module, when the
	// guest has another ABI version, and when the module begins with more memory
	// or a larger table than its limits allow, which is found out before any
	// memory is mapped.
	Instantiate(ctx context.Context, cfg InstanceConfig) (Instance, error)
	// Close frees the module. Close its instances first.
	Close() error
}

// InstanceConfig configures an instance. The zero value is ready to use.
type InstanceConfig struct {
	// Host are the host functions that the module may import, WASI included
	// (package wasi). Those of the name "bungee" are always there. Any other import
	// is an error.
	Host []HostFuncs
	// Withheld returns why host functions of that name are not in Host, or nil. Its
	// error becomes part of the error about the missing import. The field may be nil.
	Withheld func(name string) error
	// Limits bound the instance.
	Limits Limits
	// Tenant is the owner of the instance, and its quota bounds it. Nil means that
	// the instance has no owner.
	Tenant *Tenant
	// Log receives the lines that the guest logs, each cut to 4 KiB. It runs on the
	// goroutine that uses the instance. Nil discards them.
	Log func(line string)
}

// Limits bound an instance. A zero field means the default.
type Limits struct {
	// Memory bounds the linear memory, in bytes. The default is 256 MiB.
	Memory int64
	// Table bounds the elements of its tables. The default is 1<<20; a Go guest
	// has ten thousand.
	Table int
	// Output bounds the payload of a reply, in bytes. The default is 64 MiB, the bound of the
	// guest ABI, and a larger value means the same. The text of a panic has a bound of its own, 64 KiB.
	Output int
	// Fuel bounds the fuel of one call, and of making the instance. The default is no
	// bound. It works only for a module that was loaded with [Source].Meter.
	Fuel uint64
}

// Defaults of [Limits].
const (
	DefaultMemory = 256 << 20
	DefaultTable  = 1 << 20
)

// WithDefaults returns l with the defaults in place of its zero fields.
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
	// Call runs guest function fn on request, and returns when the guest has
	// answered or was stopped. A guest is stopped at the deadline of ctx, which it
	// is told, and [CancelGrace] after ctx was cancelled, which it can see at once.
	// The Payload of the reply is valid until the next Call or Close.
	//
	// When the guest function answers with an error or a panic, Call returns a Reply
	// with that status, and no error. After a panic, and after any error but
	// ErrNotStarted, the instance is broken: each later Call returns ErrDiscarded.
	Call(ctx context.Context, fn uint32, request []byte) (Reply, error)
	// Last returns the cost of the last Call, whether it failed or not.
	Last() Bill
	// Size returns the size of its linear memory, in bytes.
	Size() uint64
	// Close frees the instance. No Call may be running.
	Close() error
}
