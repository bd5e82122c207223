//go:build cgo

package wasmtime_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

func Example() {
	// This guest's function 0 answers with its request.
	wasm, err := os.ReadFile("../enginetest/testdata/basic.wasm")
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := wasmtime.New(wasmtime.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	module, err := engine.Load(ctx, executor.Bytes(wasm))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer module.Close()
	instance, err := module.Instantiate(ctx, executor.InstanceConfig{Limits: executor.Limits{Memory: 1 << 20}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer instance.Close()
	reply, err := instance.Call(ctx, 0, []byte("ping"))
	fmt.Printf("%s %v\n", reply.Payload, err)
	// Output: ping <nil>
}
