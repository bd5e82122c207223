package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/wire"
)

type digest = [sha256.Size]byte

// modules are the modules the host has, each with its pool of instances.
type modules struct {
	cfg *Config

	mu     sync.Mutex
	closed bool
	byName map[digest]*module
	wg     sync.WaitGroup // loads
}

// A module is there once ready is closed: err is nil, or says why it is not.
type module struct {
	ready chan struct{}
	mod   executor.Module
	conf  executor.InstanceConfig
	pool  *executor.Pool // for calls; the far endpoints of channels have instances of their own
	err   error
}

func newModules(cfg *Config) *modules {
	return &modules{cfg: cfg, byName: map[digest]*module{}}
}

func isNoModule(err error) bool {
	var f *wire.Fail
	return errors.As(err, &f) && f.Code == wire.CodeNoModule
}

// get returns a module that is loaded, or being loaded.
func (ms *modules) get(ctx context.Context, d digest) (*module, error) {
	ms.mu.Lock()
	m := ms.byName[d]
	ms.mu.Unlock()
	if m == nil {
		return nil, noModule(d)
	}
	return m, m.wait(ctx)
}

// loaded says whether a module is loaded, or being loaded.
func (ms *modules) loaded(d digest) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.byName[d] != nil
}

// have loads a module from the engine's cache, unless it is there.
func (ms *modules) have(ctx context.Context, d digest) error {
	_, err := ms.open(ctx, d, func() ([]byte, error) { return nil, noModule(d) })
	return err
}

// put loads a module from its bytes, unless it is there.
func (ms *modules) put(ctx context.Context, d digest, wasm []byte) error {
	for {
		began, err := ms.open(ctx, d, func() ([]byte, error) { return wasm, nil })
		if began || !isNoModule(err) {
			return err
		}
		// We waited for the load of a UE that only asked. Now we load.
	}
}

// open makes a module ready and warms one instance of it. It waits for a load
// under way, or begins one. A failed load leaves nothing, so that it can be tried
// again.
func (ms *modules) open(ctx context.Context, d digest, wasm func() ([]byte, error)) (began bool, err error) {
	ms.mu.Lock()
	m := ms.byName[d]
	if began = m == nil; began {
		if err := ms.roomLocked(); err != nil {
			ms.mu.Unlock()
			return began, err
		}
		m = &module{ready: make(chan struct{})}
		ms.byName[d] = m
		// The load belongs to all who wait for it, not to the first UE.
		ms.wg.Go(func() { ms.load(m, d, wasm) })
	}
	ms.mu.Unlock()
	return began, m.wait(ctx)
}

func (m *module) wait(ctx context.Context) error {
	select {
	case <-m.ready:
		return m.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// instance makes an instance that calls do not share.
func (m *module) instance(ctx context.Context) (executor.Instance, error) {
	return m.mod.Instantiate(ctx, m.conf)
}

func (ms *modules) roomLocked() error {
	switch {
	case ms.closed:
		return &wire.Fail{Code: wire.CodeDraining}
	case len(ms.byName) >= ms.cfg.Modules:
		return &wire.Fail{Code: wire.CodeOverloaded, Text: fmt.Sprintf("the host keeps %d modules, no more", ms.cfg.Modules)}
	}
	return nil
}

func (ms *modules) load(m *module, d digest, wasm func() ([]byte, error)) {
	m.err = m.make(ms.cfg, d, wasm)
	if m.err != nil {
		ms.mu.Lock()
		delete(ms.byName, d)
		ms.mu.Unlock()
	}
	close(m.ready)
	if !isNoModule(m.err) {
		ms.cfg.Logger.Info("module", "digest", fmt.Sprintf("%x", d[:6]), "err", m.err)
	}
}

func (m *module) make(cfg *Config, d digest, wasm func() ([]byte, error)) error {
	ctx := context.Background()
	mod, err := executor.Load(ctx, cfg.Engine, d, wasm)
	if err != nil {
		return badModule(err)
	}
	guest := cfg.Logger.With("module", fmt.Sprintf("%x", d[:6]))
	conf := executor.InstanceConfig{
		Host:        cfg.Functions,
		MemoryLimit: cfg.MemoryLimit,
		Log:         func(line string) { guest.Info("guest", "says", line) },
	}
	pool := executor.NewPool(mod, executor.PoolConfig{Size: cfg.Calls, Instance: conf})
	ctx, cancel := context.WithTimeout(ctx, cfg.CallLimit) // of the guest's own initialisation
	defer cancel()
	if err := pool.Warm(ctx, 1); err != nil {
		pool.Close()
		mod.Close()
		return badModule(err)
	}
	m.mod, m.conf, m.pool = mod, conf, pool
	return nil
}

func noModule(d digest) error {
	return &wire.Fail{Code: wire.CodeNoModule, Text: fmt.Sprintf("%x", d)}
}

func badModule(err error) error {
	if isNoModule(err) {
		return err
	}
	return &wire.Fail{Code: wire.CodeBadModule, Text: err.Error()}
}

// close frees all modules. No call is running any more.
func (ms *modules) close() {
	ms.mu.Lock()
	ms.closed = true
	ms.mu.Unlock()
	ms.wg.Wait()
	for d, m := range ms.byName {
		m.pool.Close()
		m.mod.Close()
		delete(ms.byName, d)
	}
}
