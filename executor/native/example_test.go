package native_test

import (
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
)

// An engine whose modules have one function, which answers with its request.
func Example() {
	echo := func(_ context.Context, request, dst []byte) ([]byte, error) {
		return append(append(dst, byte(executor.StatusOK)), request...), nil
	}
	engine := native.Engine{Functions: func() []native.Func { return []native.Func{echo} }}
	ctx := context.Background()
	module, err := engine.Load(ctx, executor.Bytes(nil))
	if err != nil {
		fmt.Println(err)
		return
	}
	pool := executor.NewPool(module, executor.PoolConfig{})
	defer pool.Close()
	err = pool.Call(ctx, 0, []byte("hello"), func(a executor.Answer) error {
		fmt.Printf("%s, %d bytes in\n", a.Payload, a.Bill.BytesIn)
		return nil
	})
	fmt.Println(err)
	fmt.Println(pool.Call(ctx, 1, nil, nil))
	// Output:
	// hello, 5 bytes in
	// <nil>
	// guest function not started: there is no function 1
}
