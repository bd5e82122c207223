package executor_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wazero"
)

// A pool shares instances of a module between calls. This guest's function 0
// answers with its request.
func Example() {
	ctx := context.Background()
	wasm, err := os.ReadFile("enginetest/testdata/basic.wasm")
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := wazero.New(wazero.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	module, err := engine.Load(ctx, executor.Bytes(wasm))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer module.Close()
	pool := executor.NewPool(module, executor.PoolConfig{Size: 2})
	defer pool.Close()

	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = pool.Call(ctx, 0, []byte("ping"), func(a executor.Answer) error {
		fmt.Printf("%d %s\n", a.Status, a.Payload)
		return nil
	})
	fmt.Println(err)
	// Output:
	// 0 ping
	// <nil>
}

// HostFuncs can give each instance functions of its own. This guest's function
// 1 has a host function overwrite the request.
func ExampleHostFuncs() {
	fill := executor.HostFunc{
		Name:   "fill",
		Params: "ii", // pointer, length
		Call: func(_ context.Context, mem executor.Memory, stack []uint64) error {
			b, ok := mem.Bytes(uint32(stack[0]), uint32(stack[1]))
			if !ok {
				return fmt.Errorf("pointer %#x is outside the memory", stack[0])
			}
			copy(b, "from the host")
			return nil
		},
	}
	nothing := func(context.Context, executor.Memory, []uint64) error { return nil }
	host := executor.HostFuncs{Name: "test", New: func() ([]executor.HostFunc, func()) {
		return []executor.HostFunc{
			fill,
			{Name: "sum", Params: "iil", Results: "l", Call: nothing},
			{Name: "fail", Call: nothing}, {Name: "crash", Call: nothing}, {Name: "wait", Call: nothing},
		}, nil
	}}
	fmt.Println(callHost(host))
	// Output: from the host
}

// An account collects what its calls cost, and its tenant what all of its accounts do.
// This guest's function 4 traps, which is on the bill too.
func ExampleAccount() {
	withGuest("basic", func(ctx context.Context, module executor.Module) error {
		tenant := executor.NewTenant("acme", capability.Quota{Instances: 2})
		pool := executor.NewPool(module, executor.PoolConfig{Instance: executor.InstanceConfig{Tenant: tenant}})
		defer pool.Close()

		account := &executor.Account{Tenant: tenant, Name: "headset 7"}
		ctx = executor.WithCall(ctx, &executor.Call{Account: account})
		use := func(executor.Answer) error { return nil }
		_ = pool.Call(ctx, 0, []byte("ping"), use)
		_ = pool.Call(ctx, 4, []byte("ping"), use)
		b := tenant.Bill()
		fmt.Printf("%d calls, %d failed, %d bytes in, %d out\n", b.Calls, b.Failed, b.BytesIn, b.BytesOut)
		return nil
	})
	// Output: 2 calls, 1 failed, 8 bytes in, 4 out
}

// callHost calls function 1 of the guest host.
func callHost(host executor.HostFuncs) (answer string) {
	withGuest("host", func(ctx context.Context, module executor.Module) error {
		in, err := module.Instantiate(ctx, executor.InstanceConfig{Host: []executor.HostFuncs{host}})
		if err != nil {
			return err
		}
		defer in.Close()
		r, err := in.Call(ctx, 1, make([]byte, 13))
		answer = string(r.Payload)
		return err
	})
	return answer
}

// withGuest loads a guest of enginetest for use, and prints what fails.
func withGuest(name string, use func(context.Context, executor.Module) error) {
	ctx := context.Background()
	wasm, err := os.ReadFile("enginetest/testdata/" + name + ".wasm")
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := wazero.New(wazero.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	module, err := engine.Load(ctx, executor.Bytes(wasm))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer module.Close()
	if err := use(ctx, module); err != nil {
		fmt.Println(err)
	}
}
