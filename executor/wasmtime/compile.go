//go:build cgo

package wasmtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/executor/internal/line"
	"github.com/bungee-xr/bungee/internal/cores"
)

// The most that defaults of [Compile] give one module.
const (
	mostMemory = 1 << 30
	mostCPU    = 2 * time.Minute
)

// slice is how long a tenant's compilation is not interrupted for another tenant's: much
// less than a Go guest takes.
const slice = 250 * time.Millisecond

// patience is how many times its CPU time a compilation may run, by the clock: at low
// priority on a machine that is busy it has a tenth of a core.
const patience = 30

// usual is how long the compilation of a module of n bytes runs beside what a host does:
// twice what that of a Go guest takes on a core of a virtual machine. What pretends to be
// large is no longer let run for others than a Go guest is.
func usual(n int) time.Duration {
	return min(5*time.Second, slice+2*time.Second*time.Duration(n)>>20)
}

// withDefaults returns c with the defaults that do not depend on a module.
func (c Compile) withDefaults() Compile {
	c.AtOnce = cmp.Or(c.AtOnce, cores.N())
	c.Waiting = cmp.Or(c.Waiting, 16)
	c.TotalMemory = cmp.Or(c.TotalMemory, 2*cmp.Or(c.Memory, mostMemory))
	return c
}

// of returns the bounds of compiling a module of n bytes.
func (c Compile) of(n int) bounds {
	return bounds{
		memory: cmp.Or(c.Memory, min(mostMemory, 128<<20+64*int64(n))),
		cpu:    cmp.Or(c.CPU, min(mostCPU, 5*time.Second+4*time.Second*time.Duration(n)>>20)),
		output: cmp.Or(c.Output, 8<<20+16*int64(n)),
	}
}

// startCompilers sets up what compiles modules.
func (e *Engine) startCompilers(cfg Config) {
	command := cfg.Compiler
	if len(command) == 0 {
		command = ownCommand()
	}
	if len(command) > 0 {
		e.compilers = newCompilers(command, compilerSettings{Pool: slots(cfg.Instances) > 0, Parallel: cfg.ParallelCompile})
		e.compilers.prepare()
	} else {
		e.log.Info("modules are compiled in this process, and only their shape bounds what that takes; name a Compiler, or call CompilerMain in main")
	}
	e.line = line.New(line.Config{Places: e.limits.AtOnce, Memory: e.limits.TotalMemory, Waiting: e.limits.Waiting, Slice: slice})
}

// produce compiles the module of src, once it has a place, and leaves the result in the
// cache, where there is one.
func (e *Engine) produce(ctx context.Context, src executor.Source) (*wt.Module, *facts, error) {
	key := keyOf(src, "")
	if err := e.failed.get(key, time.Now()); err != nil {
		return nil, nil, err
	}
	// The bytes may take long to come, or there may be none.
	wasm, err := src.Wasm()
	if err != nil {
		return nil, nil, err
	}
	src.Wasm, src.Probes = func() ([]byte, error) { return wasm, nil }, nil
	most := e.limits.of(len(wasm))
	job, err := e.line.Enter(ctx, line.Ask{Tenant: src.Tenant, Memory: most.memory, Usual: usual(len(wasm)), Time: patience * most.cpu})
	if err != nil {
		return nil, nil, err
	}
	defer job.Leave()
	m, known, err := e.takeTurns(ctx, job, src, most)
	if err != nil && ctx.Err() == nil && bombed(err) {
		e.failed.put(key, err, time.Now())
	}
	return m, known, err
}

// takeTurns makes the module of src, from the beginning each time when it has been put out for
// another tenant.
func (e *Engine) takeTurns(ctx context.Context, job *line.Job, src executor.Source, most bounds) (*wt.Module, *facts, error) {
	for {
		if m, known := e.cached(src); m != nil { // another Load compiled it meanwhile
			return m, known, nil
		}
		m, known, err := e.build(job, src, most)
		if !errors.Is(err, line.ErrRoom) {
			return m, known, err
		}
		if err := job.Again(ctx); err != nil {
			return nil, nil, err
		}
	}
}

// bombed says whether a module that failed with err would do so again, at the same cost.
func bombed(err error) bool {
	return errors.Is(err, executor.ErrTooLarge) || errors.Is(err, line.ErrTime) || errors.As(err, new(crash))
}

// build prepares and compiles the module of src in the place of job.
func (e *Engine) build(job *line.Job, src executor.Source, most bounds) (*wt.Module, *facts, error) {
	if err := context.Cause(job.Context()); err != nil {
		return nil, nil, err
	}
	wasm, manifest, err := guest.PrepareWithin(src, e.shape)
	if err != nil {
		return nil, nil, err
	}
	code, err := e.compile(job, src, wasm, most)
	if err != nil {
		return nil, nil, err
	}
	defer e.discard(len(code))
	if e.cache != nil {
		if mapped, known := e.keep(src, code, manifest); mapped != nil {
			return mapped, known, nil
		}
	}
	m, err := wt.NewModuleDeserialize(e.engine, code)
	if err != nil {
		return nil, nil, fmt.Errorf("use what the compiler made: %q; it must be of the same version", clip(err.Error()))
	}
	return m, &facts{manifest: manifest}, nil
}

// mostGarbage is how much code may be garbage before its memory goes back to the system: that of some Go guests, or of hundreds of small modules.
const mostGarbage = 16 << 20

// discard notes that n bytes of code, which a compiler has made, are garbage. To give memory back takes some ms of a core: tenants that have small
// modules compiled all the time would take a twentieth of it.
func (e *Engine) discard(n int) {
	if e.garbage.Add(int64(n)) < mostGarbage {
		return
	}
	e.garbage.Store(0)
	debug.FreeOSMemory()
}

// compile returns the code of wasm, and charges for the time that it took.
func (e *Engine) compile(job *line.Job, src executor.Source, wasm []byte, most bounds) ([]byte, error) {
	if !e.hasCompiler() {
		begin := time.Now()
		defer func() { charge(src, time.Since(begin)) }()
		return e.compileHere(wasm)
	}
	defer e.compilers.prepare()
	c, err := e.compilers.take(job.Context())
	if err != nil {
		return nil, err
	}
	job.Attach(c)
	code, err := c.compile(job.Context(), wasm, most)
	charge(src, c.used())
	if errors.Is(err, line.ErrTime) {
		return nil, fmt.Errorf("%w: its compiler did nothing for long: %w", executor.ErrTooLarge, err)
	}
	return code, err
}

// hasCompiler says whether compilers can be started, which the first module shows. Later
// ones are compiled in processes or not at all, so that nobody gains by getting in
// their way.
func (e *Engine) hasCompiler() bool {
	e.probe.Do(func() {
		if e.compilers == nil {
			return
		}
		if err := e.compilers.probe(); err != nil {
			e.log.Warn("no compiler: modules are compiled in this process, and only their shape bounds what that takes", "why", err)
			e.compilers.close()
			return
		}
		e.works = true
	})
	return e.works
}

// charge bills the owner of src.
func charge(src executor.Source, cpu time.Duration) {
	if src.Charge != nil {
		src.Charge(executor.Bill{CPU: cpu})
	}
}

// compileHere compiles wasm in this process, on a thread that runs when others leave it a
// core.
func (e *Engine) compileHere(wasm []byte) (code []byte, err error) {
	e.here.Lock() // one at a time bounds the peak of memory
	defer e.here.Unlock()
	background(func() {
		var m *wt.Module
		if m, err = wt.NewModule(e.engine, wasm); err != nil {
			err = doesNotCompile(err.Error())
			return
		}
		code, err = m.Serialize()
		m.Close()
	})
	trim()
	return code, err
}

// keep leaves code in the cache and returns what the cache has of it in its place, nil when
// it could not be kept: a mapped file costs shared pages, code that was read private
// ones.
func (e *Engine) keep(src executor.Source, code []byte, manifest capability.Manifest) (*wt.Module, *facts) {
	wasm, err := src.Wasm()
	if err == nil {
		err = e.cache.store(src, code, manifest, capability.OnlyProbes(wasm))
	}
	if err != nil {
		e.log.Warn("compiled module not cached", "module", fmt.Sprintf("%x", src.Digest[:6]), "why", err)
	}
	return e.cached(src)
}
