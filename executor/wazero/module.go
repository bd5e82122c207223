package wazero

import (
	"context"
	"fmt"
	"strings"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
)

// module implements [executor.Module]. Its host functions are made once, with the
// types of its imports; they find the instance that calls them in the context.
type module struct {
	code     *code
	manifest capability.Manifest
	need     guest.Need
	outside  bool // an instance traps as it is made: see [instrument.Outside]
}

// Manifest implements [executor.Module].
func (m *module) Manifest() capability.Manifest { return m.manifest }

// Close implements [executor.Module].
func (m *module) Close() error { return m.code.Close() }

// Instantiate implements [executor.Module].
func (m *module) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	link, err := guest.NewLinkage(cfg, m.need)
	if err != nil {
		return nil, err
	}
	i := &instance{of: m, link: link}
	i.memory.limit = uint64(link.Limits.Memory)
	return guest.New(ctx, i, link)
}

// link checks what the module exports and defines what it imports.
func (m *module) link() error {
	exports, memory := exportsOf(m.code.CompiledModule)
	if err := guest.CheckExports(exports, memory); err != nil {
		return err
	}
	hosts := map[string]wz.HostModuleBuilder{}
	defined := map[[2]string]bool{}
	types := m.code.ImportedFunctions()
	for k, im := range m.need.Imports {
		// No linkage gives an import of another type, or one name in two types.
		if name := [2]string{im.Module, im.Name}; !defined[name] && !strings.Contains(im.Params+im.Results, "?") {
			defined[name] = true
			if hosts[im.Module] == nil {
				hosts[im.Module] = m.code.runtime.NewHostModuleBuilder(im.Module)
			}
			hosts[im.Module].NewFunctionBuilder().
				WithGoFunction(hostFunc(k), types[k].ParamTypes(), types[k].ResultTypes()).Export(im.Name)
		}
	}
	for name, h := range hosts {
		if _, err := h.Instantiate(context.Background()); err != nil {
			return fmt.Errorf("host functions %q: %w", name, err)
		}
	}
	return nil
}

// hostFunc returns import k as wazero calls it. A panic with an error is wazero's
// way for a host function to trap.
func hostFunc(k int) api.GoFunc {
	return func(ctx context.Context, stack []uint64) {
		i := ctx.(*run).instance
		if err := i.link.Call(k, i, stack); err != nil {
			panic(err)
		}
	}
}
