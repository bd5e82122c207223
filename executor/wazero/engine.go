// Package wazero is an [executor.Engine] on wazero: it needs no cgo, so it runs
// wherever Go does, and is meant for tests and for hosts without a C compiler.
//
//	e, err := wazero.New(wazero.Config{})
//	m, err := e.Load(ctx, wasm)
//	pool := executor.NewPool(m, executor.PoolConfig{})
//
// Close what was made in the reverse order: pool, module, engine.
//
// # Limits
//
// Guests run 1.5 to 4 times slower than on wasmtime, and up to 8 times slower
// where a loop is short, since every turn of it looks whether its deadline has
// come. Host functions are not stopped at the deadline; a guest's sleep is.
package wazero

import (
	"context"
	"errors"
	"fmt"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Config configures an [Engine]. The zero value is ready to use.
type Config struct {
	// CacheDir is the folder for compiled modules. It is made when it is
	// missing. It must be the user's own and closed to others, since what is
	// in it is run. Empty means no cache.
	CacheDir string
}

// Engine compiles and runs modules with wazero.
type Engine struct {
	runtime wz.Runtime
	cache   wz.CompilationCache
	wasi    api.Module
}

// New makes an engine. It fails when the cache folder cannot be used.
func New(cfg Config) (*Engine, error) {
	ctx := context.Background()
	cache, err := openCache(cfg.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("cache of compiled modules: %w", err)
	}
	r := wz.NewRuntimeWithConfig(ctx, wz.NewRuntimeConfig().
		WithCompilationCache(cache).
		WithCloseOnContextDone(true).
		WithDebugInfoEnabled(false))
	e := &Engine{runtime: r, cache: cache}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		e.Close()
		return nil, fmt.Errorf("define WASI: %w", err)
	}
	e.wasi = r.Module(executor.WASI)
	return e, nil
}

func openCache(dir string) (wz.CompilationCache, error) {
	if dir == "" {
		return wz.NewCompilationCache(), nil
	}
	if err := executor.PrivateDir(dir); err != nil {
		return nil, err
	}
	return wz.NewCompilationCacheWithDir(dir)
}

// Load implements [executor.Engine].
func (e *Engine) Load(ctx context.Context, wasm []byte) (executor.Module, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m, err := e.runtime.CompileModule(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("%w: it does not compile: %q", executor.ErrABI, clip(err.Error()))
	}
	exports, memory := exportsOf(m)
	if err := executor.CheckExports(exports, memory != nil); err != nil {
		m.Close(ctx)
		return nil, err
	}
	return &module{engine: e, compiled: m, imports: importsOf(m), memory: uint64(memory.Min()) << 16}, nil
}

// Close implements [executor.Engine].
func (e *Engine) Close() error {
	ctx := context.Background()
	return errors.Join(e.runtime.Close(ctx), e.cache.Close(ctx))
}

// exportsOf returns the functions m exports, and its memory, nil when that is
// not exported.
func exportsOf(m wz.CompiledModule) ([]executor.FuncType, api.MemoryDefinition) {
	var funcs []executor.FuncType
	for name, f := range m.ExportedFunctions() {
		funcs = append(funcs, executor.FuncType{
			Name: name, Params: letters(f.ParamTypes()), Results: letters(f.ResultTypes()),
		})
	}
	return funcs, m.ExportedMemories()[abi.ExportMemory]
}

// importsOf returns what m imports. A memory gets a type that no host function
// has.
func importsOf(m wz.CompiledModule) []executor.FuncType {
	var all []executor.FuncType
	for _, f := range m.ImportedFunctions() {
		module, name, _ := f.Import()
		all = append(all, executor.FuncType{
			Module: module, Name: name, Params: letters(f.ParamTypes()), Results: letters(f.ResultTypes()),
		})
	}
	for _, mem := range m.ImportedMemories() {
		module, name, _ := mem.Import()
		all = append(all, executor.FuncType{Module: module, Name: name, Params: "?"})
	}
	return all
}

// letters returns types as [executor.FuncType] has them.
func letters(types []api.ValueType) string {
	b := make([]byte, len(types))
	for i, t := range types {
		b[i] = letter(t)
	}
	return string(b)
}

func letter(t api.ValueType) byte {
	switch t {
	case api.ValueTypeI32:
		return 'i'
	case api.ValueTypeI64:
		return 'l'
	case api.ValueTypeF32:
		return 'f'
	case api.ValueTypeF64:
		return 'd'
	}
	return '?'
}

// valueTypes is the reverse of letters, for host functions.
func valueTypes(letters string) []api.ValueType {
	types := make([]api.ValueType, len(letters))
	for i, c := range letters {
		types[i] = api.ValueTypeI32
		if c == 'l' {
			types[i] = api.ValueTypeI64
		}
	}
	return types
}

// clip bounds what wazero says: its messages may quote the module.
func clip(s string) string { return s[:min(len(s), 1<<10)] }
