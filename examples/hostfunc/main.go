// Hostfunc runs a guest that calls a host function of the operator's own: it reads the
// thermometers of the room that the edge host stands in.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o guest.wasm ./examples/hostfunc/guest
//	go run ./examples/hostfunc guest.wasm
//
// docs/hostfunctions.md says how an edge host offers such a function to the modules of
// its tenants.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/executor/wazero"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: hostfunc guest.wasm")
		os.Exit(2)
	}
	wasm, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal("hostfunc: ", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, wasm, os.Stdout); err != nil {
		log.Fatal("hostfunc: ", err)
	}
}

// readIn are the parameters of acme_thermo.read: the address and the length of a room's
// name.
type readIn struct{ Room string }

// read returns the temperature of a room in degrees Celsius, or absent for a room that it
// does not know. The guest can handle that value; an error would trap it.
func read(_ context.Context, in readIn) (float64, error) {
	if c, ok := thermometers[in.Room]; ok {
		return c, nil
	}
	return absent, nil
}

// absent is no temperature: it is below absolute zero.
const absent = -1000

// thermometers stand for the operator's devices.
var thermometers = map[string]float64{"hall": 21.5, "server room": 27.5}

// run calls the guest in wasm for some rooms and writes what it answers to out.
func run(ctx context.Context, wasm []byte, out io.Writer) error {
	engine, err := wazero.New(wazero.Config{})
	if err != nil {
		return err
	}
	defer engine.Close()
	module, err := engine.Load(ctx, executor.Bytes(wasm))
	if err != nil {
		return err
	}
	defer module.Close()
	system, err := wasi.Functions(wasi.Config{})
	if err != nil {
		return err
	}
	thermo := executor.Functions("acme_thermo", executor.Typed("read", read))
	pool := executor.NewPool(module, executor.PoolConfig{
		Instance: executor.InstanceConfig{Host: []executor.HostFuncs{system, thermo}},
	})
	defer pool.Close()
	for _, room := range []string{"hall", "server room", "attic"} {
		err := pool.Call(ctx, 0, []byte(room), func(a executor.Answer) error {
			_, err := fmt.Fprintf(out, "%s (host functions called: %d)\n", a.Payload, a.Bill.HostCalls)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
