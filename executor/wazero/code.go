package wazero

import (
	"context"
	"errors"

	wz "github.com/tetratelabs/wazero"
)

// A code is a compiled module in a runtime of its own: so nothing of it is shared
// between tenants, and its host functions go with it.
type code struct {
	wz.CompiledModule
	runtime wz.Runtime
	cache   wz.CompilationCache // nil for none
}

// compile compiles wasm, or takes it from cache, which the code owns, also where there
// is an error.
func compile(cache wz.CompilationCache, wasm []byte) (*code, error) {
	ctx := context.Background()
	cfg := wz.NewRuntimeConfig().WithCloseOnContextDone(true).WithDebugInfoEnabled(false)
	if cache != nil {
		cfg = cfg.WithCompilationCache(cache)
	}
	c := &code{runtime: wz.NewRuntimeWithConfig(ctx, cfg), cache: cache}
	var err error
	if c.CompiledModule, err = c.runtime.CompileModule(ctx, wasm); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close frees the code.
func (c *code) Close() error {
	ctx := context.Background()
	err := c.runtime.Close(ctx) // the compiled module with it
	if c.cache != nil {
		err = errors.Join(err, c.cache.Close(ctx))
	}
	return err
}
