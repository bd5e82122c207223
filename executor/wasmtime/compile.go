//go:build cgo

package wasmtime

import (
	"context"
	"fmt"
	"runtime/debug"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
)

// produce compiles the module of src, once no other is being compiled, and leaves the
// result in the cache, where there is one.
func (e *Engine) produce(ctx context.Context, src executor.Source) (*wt.Module, *facts, error) {
	// The bytes may take long to come, or there may be none.
	wasm, err := src.Wasm()
	if err != nil {
		return nil, nil, err
	}
	src.Wasm = func() ([]byte, error) { return wasm, nil }
	select {
	case e.gate <- struct{}{}:
		defer func() { <-e.gate }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if m, known := e.cached(src); m != nil { // another Load compiled it meanwhile
		return m, known, nil
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	wasm, manifest, err := guest.Prepare(src)
	if err != nil {
		return nil, nil, err
	}
	m, err := e.compile(wasm)
	if err != nil {
		return nil, nil, err
	}
	if e.cache != nil {
		if mapped, known := e.keep(src, m, manifest); mapped != nil {
			return mapped, known, nil
		}
	}
	return m, &facts{manifest: manifest}, nil
}

// compile compiles wasm on a thread that runs when others leave it a core.
func (e *Engine) compile(wasm []byte) (m *wt.Module, err error) {
	background(func() { m, err = wt.NewModule(e.engine, wasm) })
	trim()
	if err != nil {
		return nil, fmt.Errorf("%w: it does not compile: %q", executor.ErrABI, clip(err.Error()))
	}
	return m, nil
}

// keep leaves m in the cache and returns what the cache has of it in its place, nil when
// it could not be kept: a mapped file costs shared pages, a module just compiled
// private ones.
func (e *Engine) keep(src executor.Source, m *wt.Module, manifest capability.Manifest) (*wt.Module, *facts) {
	if err := e.cache.store(src, m, manifest); err != nil {
		e.log.Warn("compiled module not cached", "digest", fmt.Sprintf("%x", src.Digest), "err", err)
	}
	mapped, known := e.cached(src)
	if mapped == nil {
		return nil, nil
	}
	m.Close()
	trim()
	debug.FreeOSMemory() // the serialised module: 8 MB of garbage, once a compilation
	return mapped, known
}
