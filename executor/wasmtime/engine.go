//go:build cgo

// Package wasmtime is an [executor.Engine] on wasmtime: ahead-of-time compiled
// code, a cache of it on disk, deadlines, and limits.
//
//	e, err := wasmtime.New(wasmtime.Config{CacheDir: dir})
//	m, err := e.Load(ctx, executor.Bytes(wasm))
//	pool := executor.NewPool(m, executor.PoolConfig{})
//
// Close what was made in the reverse order: pool, module, engine.
//
// # Cost
//
// Compiling a Go guest of 2.6 MB takes 1.6 seconds and 68 MB of memory at its
// peak, which is given back. One module is compiled at a time, on a thread of low
// priority, so that calls and loads of other modules go on. From the cache a module
// is mapped, so that hosts on one machine share its pages. A process reads a file of
// the cache through when it loads it for the first time, and again once it has
// changed: a millisecond for a Go guest.
//
// A warm call of an empty function takes 0.2 us and allocates nothing; a host function
// adds 0.06 us, and metering 1.1 us, most of which is the clock of the thread. An
// instance of a small guest takes 2 us with slots, a little more than half of what it
// takes mapped by itself, and 8 KB: 130,000 in a GiB. A Go guest takes 0.4 ms either
// way, nearly all of it to initialise itself, and 380 KB: 2,700 in a GiB. (On two cores
// of a virtual machine; go test -bench . measures it.) One process has at most 32,000
// instances, since each needs 4 GiB of an address space of 47 bits and two mappings,
// or four for a Go guest, of the 65,530 that vm.max_map_count allows by default; with
// slots 15,000 to 20,000, which need their address space in one piece.
//
// # Deadlines
//
// Guest code is asked at each tick whether it may go on: it is stopped at the first
// tick after its deadline, and never before, [Config].Tick later at most plus what the
// machine takes to run a thread; and at the first one [executor.CancelGrace] after a
// tick that found it cancelled. Where its call has an [executor.Turn], it gives way
// there. Ticks come only while a call runs that wants them, and for a few more.
//
// # Limits
//
// A host function is not stopped: it must watch its context. Instances must be closed;
// no finalizer does it. Modules have what WebAssembly 2.0 has, without threads and
// relaxed SIMD, and at most four tables, which share [executor.Limits].Table equally; with
// slots each has at most [executor.DefaultTable] elements. Guests have 512 KiB of the
// stack of a thread. Who may write to the cache folder may run what he likes: the
// checksums there are against accidents.
package wasmtime

import (
	"context"
	"log/slog"
	"sync"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor"
)

// Config configures an [Engine]. The zero value is ready to use.
type Config struct {
	// CacheDir is the folder for compiled modules. It is made when it is
	// missing. It must be the user's own and closed to others, since what is
	// in it is run. Processes may share it. Empty means no cache.
	CacheDir string
	// CacheBytes is how much the folder may hold. What was used least recently is
	// removed beyond it. Zero means 1 GiB.
	CacheBytes int64
	// Instances is how many instances, of all modules, there can be at once, for which
	// address space is set aside: it makes them cheaper to make. Zero means 4096.
	// A negative number sets nothing aside, and any number of instances is mapped
	// one by one; so it is, with a record of it, where the space cannot be had.
	Instances int
	// Tick is the precision of deadlines. Zero means 1 ms.
	Tick time.Duration
	// ParallelCompile lets a compilation use all cores: done sooner, at about
	// 10 MB more of memory.
	ParallelCompile bool
	// Logger receives a record where the cache could not be used. Nil is silent.
	Logger *slog.Logger
}

// Engine compiles and runs modules with wasmtime. It implements
// [executor.Engine].
type Engine struct {
	engine *wt.Engine
	clock  *clock
	cache  *cache // nil: there is none
	log    *slog.Logger
	gate   chan struct{} // capacity 1: one compilation at a time bounds the peak of memory
}

// making is held while an engine is made: wasmtime ends the process when address space
// that was there has gone to another engine meanwhile.
var making sync.Mutex

// New makes an engine. It fails when the cache folder is open to others.
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
	return &Engine{
		engine: engine,
		clock:  startClock(engine, cfg.Tick),
		cache:  cache,
		log:    cfg.Logger,
		gate:   make(chan struct{}, 1),
	}, nil
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
	e.engine.Close()
	return nil
}

// clip bounds what wasmtime says: its messages may quote the module.
func clip(s string) string { return s[:min(len(s), 1<<10)] }
