//go:build cgo

// Package wasmtime is an [executor.Engine] on wasmtime: ahead-of-time compiled
// code, a cache of it on disk, deadlines, and limits.
//
//	e, err := wasmtime.New(wasmtime.Config{CacheDir: dir})
//	m, err := e.Load(ctx, executor.Bytes(wasm))
//	pool := executor.NewPool(m, executor.PoolConfig{})
//
// Close them in the reverse order: pool, module, engine.
//
// # Compilation
//
// A module is compiled by a process of its own, which ends with it: see [CompilerMain]
// and docs/compilation.md. Whatever the module does to the compiler, this process gets
// its code or an error. Modules are checked against an [executor.Shape] before. In a
// program whose main does not call CompilerMain, and without Config.Compiler, modules
// are compiled in this process, one at a time, and their shape alone bounds that.
//
// # Cost
//
// Compiling a Go guest of 2.6 MB takes 1.6 seconds and up to 68 MB of memory, at low
// priority, while calls and loads of other modules go on. A compiler waits for the next
// module: some 20 MB of memory, most of them shared with this process. A module in the cache is mapped, so that hosts
// on one machine share its pages. A process verifies a file of the cache when it first
// loads it, and again after the file has changed: a millisecond for a Go guest.
//
// A warm call of an empty function takes 0.2 us and allocates nothing. Each call of a
// host function adds 0.06 us, and metering adds 1.1 us, most of it for reading the clock
// of the thread. To make an instance of a small guest takes 2 us with slots (see
// [Config].Instances), which is a little more than half of the time without, and 8 KB:
// 130,000 in a GiB. To make one of a Go guest takes 0.4 ms with or without slots, nearly
// all of it in the guest's own initialisation, and 380 KB: 2,700 in a GiB. (Measured on
// two cores of a virtual machine by go test -bench . )
//
// One process can have about 32,000 instances: each needs 4 GiB of an address space of
// 47 bits, and two mappings, or four for a Go guest, of the 65,530 that vm.max_map_count
// allows by default. With slots it can have 15,000 to 20,000, since slots need one
// unbroken range of addresses.
//
// # Deadlines
//
// A guest is stopped at a tick: at the first one after its deadline, and never before
// it, so at most [Config].Tick late plus the time that the machine takes to run a
// thread. When its call is cancelled, it is stopped at the first tick that is
// [executor.CancelGrace] after the tick that noticed. At a tick it also gives its
// [executor.Turn] to other calls, if it has one. Ticks stop soon after the last call that
// needs them.
//
// # Limits
//
// A host function is not stopped: it must watch its context. Instances must be closed;
// no finalizer does it. The tables of a module share [executor.Limits].Table equally; with
// slots each table has at most [executor.DefaultTable] elements. Guests have 6 MiB of
// stack, or three quarters of what the host's threads have; a thread keeps what a guest
// used of it.
// Whoever can write to the cache folder can run any code in this process: the checksums
// there guard against accidents, not against attacks.
package wasmtime

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/line"
)

// Config configures an [Engine]. The zero value is ready to use.
type Config struct {
	// CacheDir is the folder for compiled modules. It is made when it is missing.
	// It must belong to the user and be closed to others, since the code in it is
	// run. Processes can share it. Empty means no cache.
	CacheDir string
	// CacheBytes bounds the size of the folder, in bytes. Modules that were not used
	// for longest are removed first. Zero means 1 GiB.
	CacheBytes int64
	// Instances is the number of slots: address space that is reserved for instances,
	// which are faster to make in it. It bounds the instances of all modules together.
	// Zero means 4096. A negative number means no slots and no bound. When the address
	// space cannot be reserved, there are no slots, and Logger receives a record.
	Instances int
	// Tick is the precision of deadlines. Zero means 1 ms.
	Tick time.Duration
	// ParallelCompile lets a compilation use all cores: it is faster, and takes about
	// 10 MB more memory.
	ParallelCompile bool
	// Compiler is the command that starts a compiler: a program whose main calls
	// [CompilerMain], and that has this version of wasmtime. Nil means this program, if its
	// main has called CompilerMain, and else no process: modules are compiled in this one.
	Compiler []string
	// Compile bounds compilations.
	Compile Compile
	// Shape bounds modules before they are compiled.
	Shape executor.Shape
	// Logger receives a record when the cache or slots cannot be used, and when modules are
	// compiled in this process. Nil is silent.
	Logger *slog.Logger
}

// Compile bounds what compilers take. A zero field means the default. The defaults for
// one module are in proportion to its size: what is small and takes long is no module
// that anybody needs. For 20 MB they are the bounds of 1 GiB and 85 s.
type Compile struct {
	// AtOnce is how many modules are compiled at once. Tenants that have had less go
	// first, and a compilation that takes longer than is usual is paused for them. The
	// default is GOMAXPROCS.
	AtOnce int
	// Waiting is how many modules of one tenant may wait; a further one is ErrQuota. The
	// default is 16.
	Waiting int
	// Memory bounds the memory of one compilation, in bytes. The default is 128 MiB and
	// 64 bytes for each byte of the module, and at most 1 GiB.
	Memory int64
	// TotalMemory bounds the sum of these bounds over all compilations that have begun. When
	// a tenant that has had less finds none left, another's compilation ends and is begun
	// anew later. The default is twice what one may have at most.
	TotalMemory int64
	// CPU bounds the processor time of one compilation. The default is 5 s and 4 s for
	// each MiB of the module, and at most 2 minutes. A compilation that does nothing ends
	// after thirty times as long.
	CPU time.Duration
	// Output bounds the code of one module, in bytes. The default is 8 MiB and 16 bytes
	// for each byte of the module.
	Output int64
}

// Engine compiles and runs modules with wasmtime. It implements
// [executor.Engine].
type Engine struct {
	engine *wt.Engine
	clock  *clock
	cache  *cache // nil: there is none
	log    *slog.Logger
	shape  executor.Shape
	limits Compile
	line   *line.Line // of modules to compile
	failed *failures  // modules that are not tried again at once

	garbage   atomic.Int64 // bytes of code since memory was given back
	compilers *compilers   // nil: modules are compiled in this process
	probe     sync.Once    // of compilers
	works     bool         // set by probe
	here      sync.Mutex   // held to compile in this process
}

// making is held while an engine is made: wasmtime ends the process when address space
// that was there has gone to another engine meanwhile.
var making sync.Mutex

// New makes an engine. It fails when other users have access to the cache folder, or could put
// another one in its place.
func New(cfg Config) (*Engine, error) {
	if cfg.Tick <= 0 {
		cfg.Tick = time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	making.Lock()
	defer making.Unlock()
	cache, err := openCache(cfg)
	if err != nil {
		return nil, err
	}
	engine := wt.NewEngineWithConfig(settings(cfg))
	e := &Engine{
		engine: engine,
		clock:  startClock(engine, cfg.Tick),
		cache:  cache,
		log:    cfg.Logger,
		shape:  cfg.Shape,
		limits: cfg.Compile.withDefaults(),
		failed: newFailures(),
	}
	e.startCompilers(cfg)
	return e, nil
}

// Load implements [executor.Engine].
func (e *Engine) Load(ctx context.Context, src executor.Source) (executor.Module, error) {
	m, known := e.cached(src)
	if m == nil {
		var err error
		if m, known, err = e.produce(ctx, src); err != nil {
			return nil, err
		}
	}
	loaded, err := newModule(e, m, src, known)
	if err != nil {
		return nil, err
	}
	return loaded, nil
}

// cached returns the module of the cache, nil when it has none that is sound.
func (e *Engine) cached(src executor.Source) (*wt.Module, *facts) {
	if e.cache == nil {
		return nil, nil
	}
	return e.cache.load(e.engine, src)
}

// Close implements [executor.Engine].
func (e *Engine) Close() error {
	e.clock.stop()
	if e.compilers != nil {
		e.compilers.close()
	}
	e.engine.Close()
	e.cache.close()
	return nil
}

// clip bounds what wasmtime says: its messages may quote the module.
func clip(s string) string { return s[:min(len(s), 1<<10)] }
