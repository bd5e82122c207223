//go:build cgo

package wasmtime

// #include "guest.h"
import "C"

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"unsafe"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
)

// module implements [executor.Module].
type module struct {
	// Set by newModule, then constant.
	clock  *clock
	module *wt.Module
	linked *C.bungee_module // nil when it imports what is no function
	facts  *facts
	need   guest.Need

	// How many tables it has. An instance of more than one tells only when it is
	// refused, so that the first of them is made twice.
	tables atomic.Uint64

	closed atomic.Bool
}

// newModule makes a Module of m, of which facts are known, or closes m when it is no guest.
func newModule(e *Engine, m *wt.Module, src executor.Source, known *facts) (*module, error) {
	need, err := known.needOf(m, src)
	if err != nil {
		m.Close()
		return nil, err
	}
	loaded := &module{
		clock:  e.clock,
		module: m,
		linked: C.bungee_link((*C.wasm_engine)(pointer(e.engine)), (*C.wasmtime_module)(pointer(m))),
		facts:  known,
		need:   need,
	}
	known.give(loaded.linked)
	loaded.tables.Store(1)
	return loaded, nil
}

// pointer returns the C object behind a *wt.Engine, *wt.Config or *wt.Module, which
// must not be closed. TestPrivateFields fails where wasmtime-go keeps it elsewhere.
func pointer(object any) unsafe.Pointer {
	return reflect.ValueOf(object).Elem().FieldByName("_ptr").UnsafePointer()
}

var errClosed = errors.New("module is closed")

// Manifest implements [executor.Module].
func (m *module) Manifest() capability.Manifest { return m.facts.manifest }

// Close implements [executor.Module].
func (m *module) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	m.facts.take(m.linked)
	if m.linked != nil {
		C.bungee_unlink(m.linked)
	}
	m.module.Close()
	return nil
}

// Instantiate implements [executor.Module].
func (m *module) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if m.closed.Load() {
		return nil, errClosed
	}
	link, err := guest.NewLinkage(cfg, m.need)
	if err != nil {
		return nil, err
	}
	return guest.New(ctx, &instance{module: m, link: link}, link)
}
