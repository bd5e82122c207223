package bench

import (
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/internal/wire"
)

// guestWasm is built of guest.c.
//
//go:embed testdata/guest.wasm
var guestWasm []byte

// Functions of the small guest.
const (
	fnEmpty = iota
	fnSpin
	fnBomb
	fnWork
	fnEcho
)

// workRequest has the small guest work n times.
func workRequest(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

// A guestName names a guest of the benchmark.
type guestName string

const (
	smallGuest guestName = "small" // C without a library: 0.6 KB
	cGuest     guestName = "c"     // that of package kernels: 12 KB
	goGuest    guestName = "go"    // what offloadgen made of an example: 2 MB
	goEdges    guestName = "edges" // the Go guest of package kernels
)

// wasm returns the module of that name.
func (s *stage) wasm(ctx context.Context, name guestName) ([]byte, error) {
	switch name {
	case smallGuest:
		return guestWasm, nil
	case cGuest:
		return kernels.Wasm(), nil
	}
	if wasm := s.goWasm[name]; wasm != nil {
		return wasm, nil
	}
	wasm, err := s.goGuest(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("the Go guest %q needs this repository as the current folder: %w", name, err)
	}
	s.goWasm[name] = wasm
	return wasm, nil
}

func (s *stage) goGuest(ctx context.Context, name guestName) ([]byte, error) {
	if name == goEdges {
		return kernels.BuildGo(ctx)
	}
	return readModule(s.GoModule)
}

// readModule reads a module as offloadgen writes it beside the code.
func readModule(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(io.LimitReader(z, wire.MaxModule))
}

// instanceConfig gives a guest WASI and nothing of the host's.
func instanceConfig() (executor.InstanceConfig, error) {
	w, err := wasi.Functions(wasi.Config{})
	if err != nil {
		return executor.InstanceConfig{}, err
	}
	return executor.InstanceConfig{Host: []executor.HostFuncs{w}}, nil
}

// A loaded is a module in an engine of its own.
type loaded struct {
	engine executor.Engine
	executor.Module
	conf executor.InstanceConfig
}

// load loads the guest of that name in an engine of its own, with a cache of that name.
func (b *bout) load(ctx context.Context, name guestName, meter bool) (*loaded, error) {
	wasm, err := b.wasm(ctx, name)
	if err != nil {
		return nil, err
	}
	conf, err := instanceConfig()
	if err != nil {
		return nil, err
	}
	e, err := b.open(string(name))
	if err != nil {
		return nil, err
	}
	src := executor.Bytes(wasm)
	src.Meter = meter
	m, err := e.Load(ctx, src)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return &loaded{e, m, conf}, nil
}

// instance makes an instance.
func (l *loaded) instance(ctx context.Context) (executor.Instance, error) {
	return l.Instantiate(ctx, l.conf)
}

func (l *loaded) close() error { return errors.Join(l.Close(), l.engine.Close()) }
