package wazero

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
	"github.com/bungee-xr/bungee/internal/abi"
)

// An instance implements [guest.Raw].
type instance struct {
	of   *module
	link *guest.Linkage

	memory    memory
	module    api.Module   // nil until Start
	buf, call api.Function // each has a stack of its own; what runs once is not kept
	stack     [4]uint64    // arguments and result of a call

	// Between Begin and End.
	run    *run
	budget uint64
	fuel   api.MutableGlobal // what is left of budget; nil when not metered
	cpu    time.Duration     // of the thread, at Begin
}

// Begin implements [guest.Raw].
func (i *instance) Begin(ctx context.Context, fuel uint64) {
	i.run = newRun(ctx, i)
	if !i.link.Metered {
		return
	}
	i.budget = min(fuel, math.MaxInt64)
	if fuel == 0 {
		i.budget = math.MaxInt64
	}
	i.refuel()
	runtime.LockOSThread() // so that the thread's time is the call's
	i.cpu = threadTime()
	i.memory.begin()
}

// End implements [guest.Raw].
func (i *instance) End() (u guest.Usage) {
	if i.link.Metered {
		u.CPU = threadTime() - i.cpu
		u.MemorySeconds = i.memory.end()
		runtime.UnlockOSThread()
		u.Fuel = i.used()
	}
	i.run.finish()
	i.run = nil
	return u
}

// refuel gives the guest its budget.
func (i *instance) refuel() {
	if i.fuel != nil {
		i.fuel.Set(i.budget)
	}
}

// left returns what there is of the budget, less than none when a guest was stopped
// for it.
func (i *instance) left() int64 {
	if i.fuel == nil {
		return int64(i.budget)
	}
	return int64(i.fuel.Get())
}

func (i *instance) used() uint64 { return i.budget - uint64(max(0, i.left())) }

// Start implements [guest.Raw].
func (i *instance) Start() error {
	if i.of.outside {
		return fmt.Errorf("instantiate: %w", i.link.Trap("out of bounds table access", nil, false))
	}
	i.run.values = experimental.WithMemoryAllocator(i.run.values, &i.memory)
	m, err := i.of.code.runtime.InstantiateModule(i.run, i.of.code.CompiledModule, wz.NewModuleConfig().WithName("").WithStartFunctions())
	if err = i.result(err); err != nil {
		return fmt.Errorf("instantiate: %w", err)
	}
	i.module = m
	i.buf = m.ExportedFunction(abi.ExportBuf)
	i.call = m.ExportedFunction(abi.ExportCall)
	if i.link.Metered {
		i.fuel, _ = m.ExportedGlobal(instrument.FuelGlobal).(api.MutableGlobal)
		i.refuel()
	}
	if init := m.ExportedFunction(abi.ExportInitialize); init != nil {
		if _, err := i.do(init); err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
	}
	return nil
}

// ABI implements [guest.Raw].
func (i *instance) ABI() (uint32, error) {
	v, err := i.do(i.module.ExportedFunction(abi.ExportABI))
	return uint32(v), err
}

// Buf implements [guest.Raw].
func (i *instance) Buf(n uint32) (uint32, error) {
	v, err := i.do(i.buf, uint64(n))
	return uint32(v), err
}

// Invoke implements [guest.Raw].
func (i *instance) Invoke(fn, ptr, n uint32, deadline int64) (uint64, error) {
	return i.do(i.call, uint64(fn), uint64(ptr), uint64(n), uint64(deadline))
}

// do calls f and returns its result, if it has one.
func (i *instance) do(f api.Function, args ...uint64) (uint64, error) {
	copy(i.stack[:], args)
	err := i.result(f.CallWithStack(i.run, i.stack[:]))
	return i.stack[0], err
}

// result returns the error of guest code that ended with err. Code that was stopped
// has failed even if it came to its end just then: wazero has closed the module.
func (i *instance) result(err error) error {
	stop := i.run.stopped()
	if err == nil && stop == nil {
		return nil
	}
	if stop == nil && i.left() < 0 {
		stop = executor.ErrFuel
	}
	message := "it was stopped as it ended"
	if err != nil {
		message = err.Error()
	}
	return i.link.Trap(message, stop, i.refused())
}

// refused says whether the guest was refused memory since its call began.
func (i *instance) refused() bool {
	if i.module == nil {
		return false // it trapped before there was an instance
	}
	g := i.module.ExportedGlobal(instrument.RefusedGlobal)
	return g != nil && g.Get() != 0
}

// Bytes implements [executor.Memory], between calls and for host functions.
func (i *instance) Bytes(ptr, n uint32) ([]byte, bool) {
	if !abi.Inside(ptr, n, i.Size()) {
		return nil, false
	}
	return i.memory.bytes[ptr:][:n:n], true
}

// Size implements [guest.Raw].
func (i *instance) Size() uint64 { return uint64(len(i.memory.bytes)) }

// Close implements [guest.Raw].
func (i *instance) Close() error {
	defer i.memory.free()
	if i.module == nil {
		return nil
	}
	m := i.module
	i.module = nil
	return m.Close(context.Background())
}
