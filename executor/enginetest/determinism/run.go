package determinism

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
)

// Run checks that the engine which newEngine makes computes what is stored.
func Run(t *testing.T, newEngine func(t testing.TB) executor.Engine) {
	e := newEngine(t)
	modules := map[*Module]executor.Module{}
	for _, c := range Corpus() {
		if modules[c.Module] != nil {
			continue
		}
		m, err := load(t.Context(), e, c.Module.Wasm)
		if err != nil {
			t.Fatalf("%s: %v", c.Module.Name, err)
		}
		modules[c.Module] = m
	}
	for _, c := range Corpus() {
		sum, err := Hash(c, func() (Machine, error) { return instantiate(t.Context(), modules[c.Module]) })
		if err == nil {
			err = c.Compare(sum)
		}
		if err != nil {
			t.Error(err)
		}
	}
	var errs []error
	for _, m := range modules {
		errs = append(errs, m.Close())
	}
	if err := errors.Join(append(errs, e.Close())...); err != nil {
		t.Error(err)
	}
}

// HashOn returns the hash of a case that is not in the corpus, on engine e.
func HashOn(ctx context.Context, e executor.Engine, wasm []byte, fn uint32, requests ...[]byte) (sum [sha256.Size]byte, err error) {
	m, err := load(ctx, e, wasm)
	if err != nil {
		return sum, err
	}
	c := Case{Module: &Module{Name: "guest"}, Name: "function", Fn: fn, Requests: requests}
	sum, err = Hash(c, func() (Machine, error) { return instantiate(ctx, m) })
	return sum, errors.Join(err, m.Close())
}

// load loads a module as one that asks to be deterministic, and that is metered.
func load(ctx context.Context, e executor.Engine, wasm []byte) (executor.Module, error) {
	wasm, err := capability.Append(wasm, capability.Manifest{Deterministic: true})
	if err != nil {
		return nil, err
	}
	src := executor.Bytes(wasm)
	src.Meter = true
	return e.Load(ctx, src)
}

// A machine is a Machine in an engine.
type machine struct {
	ctx context.Context
	in  executor.Instance
}

// instantiate makes an instance in a world without clock and random numbers.
func instantiate(ctx context.Context, m executor.Module) (Machine, error) {
	host, err := wasi.Functions(wasi.Config{})
	if err != nil {
		return nil, err
	}
	in, err := m.Instantiate(ctx, executor.InstanceConfig{Host: []executor.HostFuncs{host}})
	if err != nil {
		return nil, err
	}
	return machine{ctx, in}, nil
}

func (m machine) Call(fn uint32, request []byte) (reply []byte, fuel uint64, trap bool, err error) {
	r, err := m.in.Call(m.ctx, fn, request)
	if trap = errors.Is(err, executor.ErrTrap); trap {
		err = nil
	}
	return r.Payload, m.in.Last().Fuel, trap, err
}

func (m machine) Memory() []byte {
	return m.in.(interface{ Memory() []byte }).Memory()
}

func (m machine) Close() error { return m.in.Close() }
