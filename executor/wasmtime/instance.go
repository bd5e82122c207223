//go:build cgo

package wasmtime

import (
	"context"
	"errors"
	"fmt"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// maxTable is the most elements of all tables of an instance: functions that
// may be called indirectly. A Go guest has about ten thousand.
const maxTable = 1 << 20

// module implements [executor.Module].
type module struct {
	engine  *Engine
	module  *wt.Module
	imports []executor.FuncType
}

// Close implements [executor.Module].
func (m *module) Close() error {
	m.module.Close()
	return nil
}

// Instantiate implements [executor.Module].
func (m *module) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	i := &instance{clock: m.engine.clock, store: newStore(m.engine.engine, cfg), link: executor.NewLinkage(cfg)}
	if err := i.start(ctx, m); err != nil {
		i.Close()
		return nil, err
	}
	return executor.NewGuest(ctx, i)
}

// newStore makes a store within the limits of cfg and with an empty WASI.
func newStore(engine *wt.Engine, cfg executor.InstanceConfig) *wt.Store {
	limit := cfg.MemoryLimit
	if limit <= 0 {
		limit = executor.DefaultMemoryLimit
	}
	s := wt.NewStore(engine)
	s.Limiter(limit, maxTable, 1, 16, 1)
	s.SetWasi(wt.NewWasiConfig())
	return s
}

// An instance is a store with one instance of a module in it: wasmtime aborts
// the process when parts of two stores meet, so nothing of it leaves this type.
// It implements [executor.Raw].
type instance struct {
	clock *clock
	store *wt.Store
	link  *executor.Linkage

	memory         *wt.Memory
	abi, buf, call *wt.Func

	// Of the call that runs, for host functions.
	ctx     context.Context
	hostErr error // what made the guest trap
}

// start links and initialises the instance.
func (i *instance) start(ctx context.Context, m *module) error {
	imports, err := i.bind(m)
	if err != nil {
		return err
	}
	var in *wt.Instance
	err = i.enter(ctx, func() (err error) {
		in, err = wt.NewInstance(i.store, m.module, imports)
		return err
	})
	if err != nil {
		return fmt.Errorf("instantiate: %w", err)
	}
	i.memory = in.GetExport(i.store, abi.ExportMemory).Memory()
	i.abi = in.GetFunc(i.store, abi.ExportABI)
	i.buf = in.GetFunc(i.store, abi.ExportBuf)
	i.call = in.GetFunc(i.store, abi.ExportCall)
	if init := in.GetFunc(i.store, abi.ExportInitialize); init != nil {
		if _, err := i.run(ctx, init); err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
	}
	return nil
}

// bind returns what the module imports, made in the instance's store.
func (i *instance) bind(m *module) ([]wt.AsExtern, error) {
	wasi := map[string]*wt.Extern{}
	err := i.link.Check(m.imports, func(im executor.FuncType) bool {
		wasi[im.Name] = m.engine.wasi.Get(i.store, im.Module, im.Name)
		return wasi[im.Name] != nil
	})
	if err != nil {
		return nil, err
	}
	bound := make([]wt.AsExtern, len(m.imports))
	for k, im := range m.imports {
		if im.Module == executor.WASI {
			bound[k] = wasi[im.Name].Func()
			continue
		}
		f, _ := i.link.Lookup(im.Module, im.Name)
		bound[k] = i.host(f)
	}
	return bound, nil
}

// host makes a function of the store that runs f.
func (i *instance) host(f executor.HostFunc) *wt.Func {
	return wt.NewFunc(i.store, funcType(f), func(c *wt.Caller, params []wt.Val) ([]wt.Val, *wt.Trap) {
		stack := make([]uint64, max(len(f.Params), len(f.Results)))
		for k, v := range params {
			stack[k] = word(v)
		}
		if err := f.Run(i.ctx, caller{c}, stack); err != nil {
			i.hostErr = err
			return nil, wt.NewTrap("host function")
		}
		results := make([]wt.Val, len(f.Results))
		for k := range results {
			results[k] = value(f.Results[k], stack[k])
		}
		return results, nil
	})
}

func word(v wt.Val) uint64 {
	if v.Kind() == wt.KindI32 {
		return uint64(uint32(v.I32()))
	}
	return uint64(v.I64())
}

func value(letter byte, w uint64) wt.Val {
	if letter == 'i' {
		return wt.ValI32(int32(w))
	}
	return wt.ValI64(int64(w))
}

// A caller is the memory of the instance that called a host function.
type caller struct{ c *wt.Caller }

// Bytes implements [executor.Memory].
func (c caller) Bytes(ptr, n uint32) ([]byte, bool) {
	e := c.c.GetExport(abi.ExportMemory)
	if e == nil {
		return nil, false
	}
	return slice(e.Memory().UnsafeData(c.c), ptr, n)
}

func slice(data []byte, ptr, n uint32) ([]byte, bool) {
	if !executor.Inside(ptr, n, uint64(len(data))) {
		return nil, false
	}
	return data[ptr:][:n:n], true
}

// Bytes implements [executor.Memory] between calls.
func (i *instance) Bytes(ptr, n uint32) ([]byte, bool) {
	return slice(i.memory.UnsafeData(i.store), ptr, n)
}

// ABI implements [executor.Raw].
func (i *instance) ABI(ctx context.Context) (uint32, error) {
	v, err := i.run(ctx, i.abi)
	return uint32(v), err
}

// Buf implements [executor.Raw].
func (i *instance) Buf(ctx context.Context, n uint32) (uint32, error) {
	v, err := i.run(ctx, i.buf, int32(n))
	return uint32(v), err
}

// Invoke implements [executor.Raw].
func (i *instance) Invoke(ctx context.Context, fn, ptr, n uint32, deadline int64) (uint64, error) {
	return i.run(ctx, i.call, int32(fn), int32(ptr), int32(n), deadline)
}

// run calls f and returns its result, 0 when it has none.
func (i *instance) run(ctx context.Context, f *wt.Func, args ...any) (v uint64, err error) {
	err = i.enter(ctx, func() error {
		r, err := f.Call(i.store, args...)
		switch r := r.(type) {
		case int32:
			v = uint64(uint32(r))
		case int64:
			v = uint64(r)
		}
		return err
	})
	return v, err
}

// enter runs guest code through f, until the deadline of ctx.
func (i *instance) enter(ctx context.Context, f func() error) error {
	i.ctx, i.hostErr = ctx, nil
	end := i.clock.begin(ctx, i.store)
	err := f()
	end()
	i.ctx = nil
	if err == nil {
		return nil
	}
	return executor.Trap(err.Error(), i.hostErr, stopped(err) || errors.Is(i.hostErr, context.DeadlineExceeded))
}

// stopped says whether err is that of a guest stopped by its epoch.
func stopped(err error) bool {
	var trap *wt.Trap
	if !errors.As(err, &trap) {
		return false
	}
	code := trap.Code()
	return code != nil && *code == wt.Interrupt
}

// Close implements [executor.Raw].
func (i *instance) Close() error {
	i.store.Close()
	i.link.Close()
	return nil
}
