package wazero

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// module implements [executor.Module].
type module struct {
	engine   *Engine
	compiled wz.CompiledModule
	imports  []executor.FuncType
	memory   uint64 // bytes at the start
}

// Close implements [executor.Module].
func (m *module) Close() error { return m.compiled.Close(context.Background()) }

// Instantiate implements [executor.Module].
func (m *module) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	i := &instance{link: executor.NewLinkage(cfg), limit: uint64(cfg.MemoryLimit), log: cfg.Log}
	if cfg.MemoryLimit <= 0 {
		i.limit = executor.DefaultMemoryLimit
	}
	if err := i.start(ctx, m); err != nil {
		i.Close()
		return nil, err
	}
	return executor.NewGuest(ctx, i)
}

// An instance implements [executor.Raw].
type instance struct {
	link  *executor.Linkage
	limit uint64 // bytes of memory
	log   func(string)

	hosts          map[string]api.Module // host modules, by name
	codes          []wz.CompiledModule   // of hosts
	module         api.Module
	abi, buf, call api.Function

	// Of the call that runs, for host functions.
	ctx     context.Context
	hostErr error // what made the guest trap
}

// start links and initialises the instance.
func (i *instance) start(ctx context.Context, m *module) error {
	if m.memory > i.limit {
		return fmt.Errorf("%w: it begins with %d bytes of memory; the limit is %d", executor.ErrABI, m.memory, i.limit)
	}
	if err := i.bind(ctx, m); err != nil {
		return err
	}
	err := i.enter(ctx, func(ctx context.Context) (err error) {
		ctx = experimental.WithImportResolver(ctx, func(name string) api.Module { return i.hosts[name] })
		ctx = experimental.WithMemoryAllocator(ctx, allocator(i.limit))
		i.module, err = m.engine.runtime.InstantiateModule(ctx, m.compiled, i.config())
		return err
	})
	if err != nil {
		return fmt.Errorf("instantiate: %w", err)
	}
	i.abi = i.module.ExportedFunction(abi.ExportABI)
	i.buf = i.module.ExportedFunction(abi.ExportBuf)
	i.call = i.module.ExportedFunction(abi.ExportCall)
	if init := i.module.ExportedFunction(abi.ExportInitialize); init != nil {
		if _, err := i.run(ctx, init); err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
	}
	return nil
}

// config returns a WASI with clocks, random numbers and standard error in it.
func (i *instance) config() wz.ModuleConfig {
	return wz.NewModuleConfig().
		WithName("").
		WithStartFunctions().
		WithStderr(stderr{i}).
		WithRandSource(rand.Reader).
		WithSysWalltime().
		WithSysNanotime().
		WithNanosleep(i.sleep)
}

// sleep ends with the call that it is part of.
func (i *instance) sleep(ns int64) {
	t := time.NewTimer(time.Duration(ns))
	defer t.Stop()
	select {
	case <-t.C:
	case <-i.ctx.Done():
	}
}

// stderr gives what a guest writes to its log.
type stderr struct{ i *instance }

// Write implements [io.Writer].
func (s stderr) Write(b []byte) (int, error) {
	if s.i.log != nil {
		s.i.log(string(b[:min(len(b), abi.MaxLog)]))
	}
	return len(b), nil
}

// bind makes the host modules that the module imports.
func (i *instance) bind(ctx context.Context, m *module) error {
	err := i.link.Check(m.imports, func(im executor.FuncType) bool {
		f, ok := m.engine.wasi.ExportedFunctionDefinitions()[im.Name]
		return ok && letters(f.ParamTypes()) == im.Params && letters(f.ResultTypes()) == im.Results
	})
	if err != nil {
		return err
	}
	byName := map[string][]executor.HostFunc{}
	for _, im := range m.imports {
		if im.Module != executor.WASI {
			f, _ := i.link.Lookup(im.Module, im.Name)
			byName[im.Module] = append(byName[im.Module], f)
		}
	}
	i.hosts = map[string]api.Module{}
	for name, funcs := range byName {
		host, err := i.host(ctx, m.engine.runtime, name, funcs)
		if err != nil {
			return fmt.Errorf("host module %q: %w", name, err)
		}
		i.hosts[name] = host
	}
	return nil
}

// host makes a host module for this instance alone.
func (i *instance) host(ctx context.Context, r wz.Runtime, name string, funcs []executor.HostFunc) (api.Module, error) {
	b := r.NewHostModuleBuilder(name)
	for _, f := range funcs {
		b.NewFunctionBuilder().WithGoModuleFunction(i.goFunc(f), valueTypes(f.Params), valueTypes(f.Results)).Export(f.Name)
	}
	code, err := b.Compile(ctx)
	if err != nil {
		return nil, err
	}
	i.codes = append(i.codes, code)
	return r.InstantiateModule(ctx, code, wz.NewModuleConfig().WithName(""))
}

// goFunc returns f as wazero calls it. A panic with an error is wazero's way
// for a host function to trap.
func (i *instance) goFunc(f executor.HostFunc) api.GoModuleFunc {
	return func(_ context.Context, m api.Module, stack []uint64) {
		if err := f.Run(i.ctx, caller{m}, stack); err != nil {
			i.hostErr = err
			panic(err)
		}
	}
}

// A caller is the memory of the instance that called a host function.
type caller struct{ m api.Module }

// Bytes implements [executor.Memory].
func (c caller) Bytes(ptr, n uint32) ([]byte, bool) { return c.m.Memory().Read(ptr, n) }

// Bytes implements [executor.Memory] between calls.
func (i *instance) Bytes(ptr, n uint32) ([]byte, bool) { return i.module.Memory().Read(ptr, n) }

// ABI implements [executor.Raw].
func (i *instance) ABI(ctx context.Context) (uint32, error) {
	v, err := i.run(ctx, i.abi)
	return uint32(v), err
}

// Buf implements [executor.Raw].
func (i *instance) Buf(ctx context.Context, n uint32) (uint32, error) {
	v, err := i.run(ctx, i.buf, uint64(n))
	return uint32(v), err
}

// Invoke implements [executor.Raw].
func (i *instance) Invoke(ctx context.Context, fn, ptr, n uint32, deadline int64) (uint64, error) {
	return i.run(ctx, i.call, uint64(fn), uint64(ptr), uint64(n), uint64(deadline))
}

// run calls f and returns its result, 0 when it has none.
func (i *instance) run(ctx context.Context, f api.Function, args ...uint64) (v uint64, err error) {
	err = i.enter(ctx, func(ctx context.Context) error {
		r, err := f.Call(ctx, args...)
		if len(r) == 1 {
			v = r[0]
		}
		return err
	})
	return v, err
}

// enter runs guest code through f, in a context that ends at the deadline of
// ctx but not when ctx is cancelled: the guest is asked to end then.
func (i *instance) enter(ctx context.Context, f func(context.Context) error) error {
	i.ctx, i.hostErr = ctx, nil
	bounded := context.WithoutCancel(ctx)
	if d, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		bounded, stop = context.WithDeadline(bounded, d)
		defer stop()
	}
	err := f(bounded)
	i.ctx = nil
	if err == nil {
		return nil
	}
	return executor.Trap(err.Error(), i.hostErr, stopped(err) || errors.Is(i.hostErr, context.DeadlineExceeded))
}

// stopped says whether err is that of a guest stopped at its deadline.
func stopped(err error) bool {
	var exit *sys.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == sys.ExitCodeDeadlineExceeded
}

// Close implements [executor.Raw].
func (i *instance) Close() error {
	ctx := context.Background()
	var errs []error
	if i.module != nil {
		errs = append(errs, i.module.Close(ctx))
	}
	for _, m := range i.hosts {
		errs = append(errs, m.Close(ctx))
	}
	for _, c := range i.codes {
		errs = append(errs, c.Close(ctx))
	}
	i.module, i.hosts, i.codes = nil, nil, nil
	i.link.Close()
	return errors.Join(errs...)
}
