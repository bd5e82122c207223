// Package wazero is an [executor.Engine] on wazero: it needs no cgo, so it runs
// wherever Go does, and is meant for tests and for hosts without a C compiler.
//
//	e, err := wazero.New(wazero.Config{})
//	m, err := e.Load(ctx, executor.Bytes(wasm))
//	pool := executor.NewPool(m, executor.PoolConfig{})
//
// Close what was made in the reverse order: pool, module, engine.
//
// # Limits
//
// Guests run 1.5 to 4 times slower than on wasmtime, and up to 8 times slower
// where a loop is short, since every turn of it looks whether its deadline has
// come. Host functions are not stopped at the deadline. A guest is never suspended,
// so it keeps its core until its call ends. Deep recursion may take 100 MB of the host's
// memory, beside [executor.Limits], before it traps.
//
// A module's tables grow to [executor.DefaultTable] elements together, whatever
// [executor.Limits] says: the engine fixes that when it compiles. A module that begins
// with more than its instance's limit is refused all the same.
//
// Load needs the module's bytes even where the compiled code is in the cache.
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
	// CacheDir is the folder for compiled modules. It is made when it is
	// missing. It must be the user's own and closed to others, since what is
	// in it is run. Engines and processes may share it. Empty means no cache.
	CacheDir string
	// CacheBytes is how much the folder may hold. What was used least recently is
	// removed beyond it. Zero means 1 GiB.
	CacheBytes int64
}

// Engine compiles and runs modules with wazero.
type Engine struct{ cache *cache }

// New makes an engine. It fails when the cache folder cannot be used, as when
// others have access to it.
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
	m := &module{code: code, manifest: manifest, need: needOf(code.CompiledModule, found, src.Meter, manifest.Deterministic)}
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
