// Package wazero is an [executor.Engine] on wazero: it needs no cgo, so it runs
// wherever Go does, and is meant for tests and for hosts without a C compiler.
//
//	e, err := wazero.New(wazero.Config{})
//	m, err := e.Load(ctx, executor.Bytes(wasm))
//	pool := executor.NewPool(m, executor.PoolConfig{})
//
// Close them in the reverse order: pool, module, engine.
//
// # Limits
//
// Guests run 1.5 to 4 times slower than on wasmtime, and short loops up to 8 times
// slower, since they check the deadline in every iteration. Host functions are not
// stopped at the deadline. A guest is never suspended, so it keeps its core until its
// call ends. Deep recursion can take 100 MB of the host's memory, which no
// [executor.Limits] count, before it traps.
//
// The tables of a module can grow to [executor.DefaultTable] elements together, even
// where [executor.Limits].Table is less, since the bound is fixed at compile time. A
// module that begins with more than that limit is refused.
//
// On Linux and macOS an instance sets aside addresses for all that its memory may grow to, so
// that to grow copies nothing. Elsewhere each eighth by which it grows copies the rest.
//
// Load reads the bytes of the module even when its compiled code is in the cache.
package wazero

import (
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// Config configures an [Engine]. The zero value is ready to use.
type Config struct {
	// CacheDir is the folder for compiled modules. It is made when it is missing.
	// It must belong to the user and be closed to others, since the code in it is
	// run. Engines and processes can share it. Empty means no cache.
	CacheDir string
	// CacheBytes bounds the size of the folder, in bytes. Modules that were not used
	// for longest are removed first. Zero means 1 GiB.
	CacheBytes int64
}

// Engine compiles and runs modules with wazero.
type Engine struct{ cache *cache }

// New makes an engine. It fails when the cache folder cannot be used, such as when other
// users have access to it.
func New(cfg Config) (*Engine, error) {
	c, err := openCache(cfg)
	if err != nil {
		return nil, fmt.Errorf("cache of compiled modules: %w", err)
	}
	return &Engine{c}, nil
}

// Load implements [executor.Engine].
func (e *Engine) Load(ctx context.Context, src executor.Source) (executor.Module, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	wasm, manifest, err := guest.Prepare(src)
	if err != nil {
		return nil, err
	}
	if err := instrument.Check(wasm); err != nil { // wazero trusts the counts in it
		return nil, fmt.Errorf("%w: %w", executor.ErrABI, err)
	}
	wasm, found, err := bound(wasm, executor.DefaultTable)
	if err != nil {
		return nil, fmt.Errorf("%w: it does not compile: %w", executor.ErrABI, err)
	}
	code, err := e.cache.compile(src, wasm)
	if err != nil {
		return nil, fmt.Errorf("%w: it does not compile: %q", executor.ErrABI, clip(err.Error()))
	}
	m := &module{code: code, manifest: manifest, outside: instrument.Outside(wasm), need: needOf(code.CompiledModule, found, src.Meter, manifest.Deterministic)}
	if err := m.link(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close implements [executor.Engine].
func (e *Engine) Close() error { return nil }

// clip bounds what wazero says: its messages may quote the module.
func clip(s string) string { return s[:min(len(s), 1<<10)] }
