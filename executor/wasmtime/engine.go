//go:build cgo

// Package wasmtime is an [executor.Engine] on wasmtime: ahead-of-time compiled
// code, a cache of it on disk, deadlines and memory limits.
//
//	e, err := wasmtime.New(wasmtime.Config{CacheDir: dir})
//	m, err := e.Load(ctx, wasm)
//	pool := executor.NewPool(m, executor.PoolConfig{})
//
// Close what was made in the reverse order: pool, module, engine.
//
// # Cost
//
// Compiling a Go guest of 2.6 MB takes 1.6 seconds and 68 MB of memory at its
// peak, which is given back; one module is compiled at a time. From the cache
// the same module is loaded in a millisecond, most of which is its checksum,
// and mapped, so that hosts on one machine share its pages. [Engine.Load] hashes
// the module in another 1.5 ms, which [Engine.LoadDigest] need not.
//
// # Deadlines
//
// Guest code is stopped at the first tick of an epoch after its deadline, and
// never before: [Config].Tick later at most, plus what the machine takes to run
// a thread. Ticks come only while a call with a deadline runs.
//
// # Limits
//
// WASI is wasmtime's own, with no file, argument, environment or network in it;
// what a guest writes to its standard error and output is discarded. A guest
// that sleeps through WASI is stopped only once it wakes up. A host function is
// not stopped: it must watch its context. The cache never shrinks; its files
// may be removed at any time.
package wasmtime

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"runtime/debug"
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
	// Tick is the precision of deadlines. Zero means 1 ms.
	Tick time.Duration
	// ParallelCompile lets a compilation use all cores: done sooner, at about
	// 10 MB more of memory, and in the way of running calls.
	ParallelCompile bool
	// Logger receives a record where the cache could not be used. Nil is silent.
	Logger *slog.Logger
}

// maxStack is the most stack a guest may use, of the 8 MB that a thread has.
// Go guests keep their own in linear memory.
const maxStack = 512 << 10

// Engine compiles and runs modules with wasmtime. It implements
// [executor.Engine] and [executor.DigestLoader].
type Engine struct {
	engine *wt.Engine
	wasi   *wt.Linker // defines WASI and nothing else
	clock  *clock
	cache  *cache
	log    *slog.Logger
	gate   chan struct{} // capacity 1: one compilation at a time bounds the peak of memory
}

// New makes an engine. It fails when the cache folder is open to others.
func New(cfg Config) (*Engine, error) {
	if cfg.Tick <= 0 {
		cfg.Tick = time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cache, err := openCache(cfg.CacheDir, cfg.Logger)
	if err != nil {
		return nil, err
	}
	engine := wt.NewEngineWithConfig(settings(cfg))
	wasi := wt.NewLinker(engine)
	if err := wasi.DefineWasi(); err != nil {
		wasi.Close()
		engine.Close()
		return nil, fmt.Errorf("define WASI: %w", err)
	}
	return &Engine{
		engine: engine,
		wasi:   wasi,
		clock:  startClock(engine, cfg.Tick),
		cache:  cache,
		log:    cfg.Logger,
		gate:   make(chan struct{}, 1),
	}, nil
}

// settings returns wasmtime's configuration. What changes the compiled code is
// part of [cacheSalt] too.
func settings(cfg Config) *wt.Config {
	c := wt.NewConfig()
	c.SetEpochInterruption(true)
	c.SetWasmSIMD(true)
	c.SetWasmMultiMemory(false)
	c.SetWasmMemory64(false)
	c.SetWasmThreads(false)
	c.SetMaxWasmStack(maxStack)
	c.SetCraneliftOptLevel(wt.OptLevelSpeed)
	c.SetParallelCompilation(cfg.ParallelCompile)
	return c
}

// Load implements [executor.Engine].
func (e *Engine) Load(ctx context.Context, wasm []byte) (executor.Module, error) {
	return e.LoadDigest(ctx, sha256.Sum256(wasm), func() ([]byte, error) { return wasm, nil })
}

// LoadDigest implements [executor.DigestLoader].
func (e *Engine) LoadDigest(ctx context.Context, digest [sha256.Size]byte, wasm func() ([]byte, error)) (executor.Module, error) {
	if m := e.cached(digest); m != nil {
		return e.check(m)
	}
	select {
	case e.gate <- struct{}{}:
		defer func() { <-e.gate }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if m := e.cached(digest); m != nil { // another Load compiled it meanwhile
		return e.check(m)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	b, err := wasm()
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(b); got != digest {
		return nil, fmt.Errorf("module has digest %x, not %x as asked for", got, digest)
	}
	m, err := e.compile(digest, b)
	if err != nil {
		return nil, err
	}
	return e.check(m)
}

// compile compiles wasm and leaves the result in the cache, where there is one.
func (e *Engine) compile(digest [sha256.Size]byte, wasm []byte) (*wt.Module, error) {
	m, err := wt.NewModule(e.engine, wasm)
	trim()
	if err != nil {
		return nil, fmt.Errorf("%w: it does not compile: %q", executor.ErrABI, clip(err.Error()))
	}
	if e.cache == nil {
		return m, nil
	}
	if err := e.cache.store(digest, m); err != nil {
		e.log.Warn("compiled module not cached", "digest", fmt.Sprintf("%x", digest), "err", err)
		return m, nil
	}
	return e.remap(digest, m), nil
}

// remap returns what the cache has in place of m, which was just compiled: a
// mapped file costs shared pages, a compiled module private ones.
func (e *Engine) remap(digest [sha256.Size]byte, m *wt.Module) *wt.Module {
	mapped := e.cached(digest)
	if mapped == nil {
		return m
	}
	m.Close()
	trim()
	debug.FreeOSMemory() // the serialised module: 8 MB of garbage, once a compilation
	return mapped
}

// cached returns the module of the cache, nil when it has none that is sound.
func (e *Engine) cached(digest [sha256.Size]byte) *wt.Module {
	if e.cache == nil {
		return nil
	}
	return e.cache.load(e.engine, digest)
}

// check makes a Module of m, or closes it when it is no guest.
func (e *Engine) check(m *wt.Module) (executor.Module, error) {
	exports, memory := exportsOf(m)
	if err := executor.CheckExports(exports, memory); err != nil {
		m.Close()
		return nil, err
	}
	return &module{engine: e, module: m, imports: importsOf(m)}, nil
}

// Close implements [executor.Engine].
func (e *Engine) Close() error {
	e.clock.stop()
	e.wasi.Close()
	e.engine.Close()
	return nil
}

// clip bounds what wasmtime says: its messages may quote the module.
func clip(s string) string { return s[:min(len(s), 1<<10)] }
