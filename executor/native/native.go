// Package native is an [executor.Engine] that runs Go functions of its own program in
// place of modules: for a host that serves one application natively, for benchmarks
// of everything but the sandbox, and for tests in virtual time, where guests cannot run.
//
// # Limits
//
// There is no sandbox. Nothing is bounded or stopped, and a bill has calls and bytes only.
// A function that panics answers with the status of a panic, as guests do; what it has
// left half done outside its instance stays so.
package native

import (
	"bytes"
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A Func stands for a guest function. It appends its reply to dst, a status and a payload
// as in the guest ABI, and returns the result. It does not keep dst. A request of
// [pack.OwnedSize] or more belongs to it, and it keeps no smaller one. Its error is one of
// package executor.
type Func func(ctx context.Context, request, dst []byte) ([]byte, error)

// Served returns Funcs that call functions which have no error, such as
// codegen.Func.Serve and the functions of an endpoint.
func Served(functions ...func(ctx context.Context, request, dst []byte) []byte) []Func {
	served := make([]Func, len(functions))
	for i, f := range functions {
		served[i] = func(ctx context.Context, request, dst []byte) ([]byte, error) { return f(ctx, request, dst), nil }
	}
	return served
}

// Engine implements [executor.Engine]. Modules of the zero Engine have no functions.
type Engine struct {
	// Functions returns the functions of a new instance: function n of the module is
	// element n. It is called by many goroutines at once. Nil means no functions.
	Functions func() []Func
	// Check returns an error for a module that Load refuses. Nil refuses none.
	Check func(src executor.Source) error
	// Manifest is the manifest of all modules.
	Manifest capability.Manifest
}

// Load implements [executor.Engine].
func (e Engine) Load(_ context.Context, src executor.Source) (executor.Module, error) {
	if e.Check != nil {
		if err := e.Check(src); err != nil {
			return nil, err
		}
	}
	return module{e}, nil
}

// Close implements [executor.Engine].
func (Engine) Close() error { return nil }

type module struct{ engine Engine }

// Manifest implements [executor.Module].
func (m module) Manifest() capability.Manifest { return m.engine.Manifest }

// Instantiate implements [executor.Module]. It ignores the config.
func (m module) Instantiate(context.Context, executor.InstanceConfig) (executor.Instance, error) {
	i := &instance{}
	if m.engine.Functions != nil {
		i.functions = m.engine.Functions()
	}
	return i, nil
}

// Close implements [executor.Module].
func (module) Close() error { return nil }

type instance struct {
	functions []Func
	reply     []byte
	last      executor.Bill
}

// Call implements [executor.Instance].
func (i *instance) Call(ctx context.Context, fn uint32, request []byte) (executor.Reply, error) {
	i.last = executor.Bill{}
	if int(fn) >= len(i.functions) {
		return executor.Reply{}, fmt.Errorf("%w: there is no function %d", executor.ErrNotStarted, fn)
	}
	i.last = executor.Bill{Calls: 1, BytesIn: uint64(len(request))}
	if len(request) >= pack.OwnedSize {
		request = bytes.Clone(request)
	}
	var err error
	if i.reply, err = run(ctx, i.functions[fn], request, i.reply[:0]); err != nil {
		i.last.Failed = 1
		return executor.Reply{}, err
	}
	i.last.BytesOut = uint64(len(i.reply)) - 1
	return abi.ParseReply(i.reply)
}

// run calls f. A panic becomes a reply.
func run(ctx context.Context, f Func, request, dst []byte) (reply []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			reply, err = abi.AppendPanic(append(dst, byte(abi.Panic)), v), nil
		}
	}()
	return f(ctx, request, dst)
}

// Last implements [executor.Instance].
func (i *instance) Last() executor.Bill { return i.last }

// Size implements [executor.Instance]. There is no linear memory.
func (*instance) Size() uint64 { return 0 }

// Close implements [executor.Instance].
func (*instance) Close() error { return nil }
