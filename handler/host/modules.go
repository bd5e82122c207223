package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/wire"
)

type digest = [sha256.Size]byte

// A moduleKey names a module of a tenant. Two tenants with the same module share
// nothing of it.
type moduleKey struct {
	tenant string
	digest digest
}

// modules are the modules the host has, each with its pool of instances. When there
// are as many as there may be, the one that was not used for longest makes room,
// of those that nobody uses; the engine's cache has it when it is asked for again.
type modules struct {
	h *Handler

	mu     sync.Mutex
	closed bool
	loaded map[moduleKey]*module
	clock  uint64         // counts uses
	wg     sync.WaitGroup // loads
}

// A module is there once ready is closed: err is nil, or says why it is not.
type module struct {
	tenant *tenant
	ready  chan struct{}
	err    error

	mod  executor.Module
	pool *executor.Pool // for calls; the far endpoints of channels have instances of their own
	linkage

	users int    // guarded by modules.mu
	used  uint64 // the clock of the last use; guarded by modules.mu
}

func newModules(h *Handler) *modules {
	return &modules{h: h, loaded: map[moduleKey]*module{}}
}

func isNoModule(err error) bool {
	var f *wire.Fail
	return errors.As(err, &f) && f.Code == wire.CodeNoModule
}

// get returns a module of t that is loaded, and waits for at most limit while it is
// being loaded. The caller calls done when it needs the module no more.
func (ms *modules) get(ctx context.Context, t *tenant, d digest, limit time.Duration) (*module, error) {
	ms.mu.Lock()
	m := ms.loaded[moduleKey{t.Name(), d}]
	if m == nil {
		ms.mu.Unlock()
		return nil, noModule(d)
	}
	ms.useLocked(m)
	ms.mu.Unlock()
	if !m.isReady() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if err := m.wait(ctx); err != nil {
		ms.done(m)
		return nil, err
	}
	return m, nil
}

func (ms *modules) useLocked(m *module) {
	ms.clock++
	m.users++
	m.used = ms.clock
}

func (ms *modules) done(m *module) {
	ms.mu.Lock()
	m.users--
	ms.mu.Unlock()
}

// has says whether a module is loaded, or being loaded.
func (ms *modules) has(t *tenant, d digest) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.loaded[moduleKey{t.Name(), d}] != nil
}

// have loads a module from the engine's cache, unless it is there.
func (ms *modules) have(ctx context.Context, t *tenant, d digest) error {
	_, err := ms.open(ctx, t, d, func() ([]byte, error) { return nil, noModule(d) })
	return err
}

// put loads a module from its bytes, unless it is there.
func (ms *modules) put(ctx context.Context, t *tenant, d digest, wasm []byte) error {
	for {
		began, err := ms.open(ctx, t, d, func() ([]byte, error) { return wasm, nil })
		if began || !isNoModule(err) {
			return err
		}
		// We waited for the load of a UE that only asked. Now we load.
	}
}

// open makes a module ready and warms one instance of it. It waits for a load
// under way, or begins one. A failed load leaves nothing, so that it can be tried
// again.
func (ms *modules) open(ctx context.Context, t *tenant, d digest, wasm func() ([]byte, error)) (began bool, err error) {
	key := moduleKey{t.Name(), d}
	ms.mu.Lock()
	m := ms.loaded[key]
	var evicted *module
	if began = m == nil; began {
		if evicted, err = ms.roomLocked(t); err == nil {
			m = &module{tenant: ms.h.enter(t.Name()), ready: make(chan struct{})}
			ms.loaded[key] = m
			ms.useLocked(m)
			// The load belongs to all who wait for it, not to the first UE.
			ms.wg.Go(func() { ms.load(m, key, wasm) })
		}
	}
	ms.mu.Unlock()
	ms.close(evicted)
	if err != nil {
		return began, err
	}
	return began, m.wait(ctx)
}

func (m *module) isReady() bool {
	select {
	case <-m.ready:
		return true
	default:
		return false
	}
}

func (m *module) wait(ctx context.Context) error {
	select {
	case <-m.ready:
		return m.err
	case <-ctx.Done():
		return fmt.Errorf("%w: its module was being loaded: %w", executor.ErrNotStarted, context.Cause(ctx))
	}
}

// roomLocked counts one more module of t. It may take out one that is not used, which
// the caller closes, also when it fails.
func (ms *modules) roomLocked(t *tenant) (evicted *module, err error) {
	switch {
	case ms.closed:
		return nil, &wire.Fail{Code: wire.CodeDraining}
	case len(ms.loaded) >= ms.h.cfg.Modules:
		evicted = ms.evictLocked(func(*module) bool { return true })
		if evicted == nil {
			return nil, &wire.Fail{Code: wire.CodeOverloaded, Text: fmt.Sprintf("the host keeps %d modules, and all are in use", ms.h.cfg.Modules)}
		}
	}
	err = t.HoldModule()
	if err != nil && evicted == nil {
		if evicted = ms.evictLocked(func(m *module) bool { return m.tenant.Tenant == t.Tenant }); evicted != nil {
			err = t.HoldModule()
		}
	}
	if err != nil {
		return evicted, denied(err)
	}
	return evicted, nil
}

// evictLocked takes out the module that was not used for longest, of those that
// nobody uses and may have; nil when there is none.
func (ms *modules) evictLocked(may func(*module) bool) *module {
	var oldest *module
	var key moduleKey
	for k, m := range ms.loaded {
		if m.users == 0 && may(m) && (oldest == nil || m.used < oldest.used) {
			oldest, key = m, k
		}
	}
	if oldest != nil {
		delete(ms.loaded, key)
		oldest.tenant.ReleaseModule()
	}
	return oldest
}

func (ms *modules) load(m *module, key moduleKey, wasm func() ([]byte, error)) {
	m.err = m.make(ms.h, key.digest, wasm)
	ms.mu.Lock()
	m.users--
	if m.err != nil {
		delete(ms.loaded, key)
		m.tenant.ReleaseModule()
	}
	ms.mu.Unlock()
	close(m.ready)
	if m.err != nil {
		ms.h.leave(m.tenant)
	}
	if !isNoModule(m.err) {
		ms.h.cfg.Logger.Info("module", "tenant", key.tenant, "digest", fmt.Sprintf("%x", key.digest[:6]), "err", m.err)
	}
}

// make compiles a module, or takes it from the cache, and makes one instance of it:
// it is deployed then, and has not been called.
func (m *module) make(h *Handler, d digest, wasm func() ([]byte, error)) error {
	ctx := context.Background()
	mod, err := h.cfg.Engine.Load(ctx, executor.Source{
		Digest: d, Wasm: wasm, Tenant: m.tenant.Name(), Meter: m.tenant.rules.Meter,
	})
	if err != nil {
		return badModule(err)
	}
	if err := m.open(h, mod, d); err != nil {
		mod.Close()
		return badModule(err)
	}
	m.mod = mod
	return nil
}

// open makes the pool of mod.
func (m *module) open(h *Handler, mod executor.Module, d digest) (err error) {
	if m.linkage, err = h.link(m.tenant, mod.Manifest(), d); err != nil {
		return err
	}
	pool := executor.NewPool(mod, executor.PoolConfig{Size: h.cfg.Calls, Instance: m.instance, Turns: h.turns})
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.CallLimit) // of the guest's own initialisation
	defer cancel()
	if err := pool.Warm(ctx, 1); err != nil {
		pool.Close()
		return err
	}
	m.pool = pool
	return nil
}

func noModule(d digest) error {
	return &wire.Fail{Code: wire.CodeNoModule, Text: fmt.Sprintf("%x", d)}
}

func badModule(err error) error {
	if isNoModule(err) {
		return err
	}
	if fail := denied(err); fail != nil {
		return fail
	}
	return &wire.Fail{Code: wire.CodeBadModule, Text: err.Error()}
}

// close frees a module that is not in ms any more, nil for none. Nobody uses it.
func (ms *modules) close(m *module) {
	if m == nil {
		return
	}
	m.pool.Close()
	m.mod.Close()
	ms.h.leave(m.tenant)
}

// closeAll frees all modules. No call is running any more.
func (ms *modules) closeAll() {
	ms.mu.Lock()
	ms.closed = true
	ms.mu.Unlock()
	ms.wg.Wait()
	for k, m := range ms.loaded {
		delete(ms.loaded, k)
		m.tenant.ReleaseModule()
		ms.close(m)
	}
}
