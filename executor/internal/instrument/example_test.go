package instrument_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

func Example() {
	ctx := context.Background()
	wasm, err := os.ReadFile("testdata/control.wasm")
	if err != nil {
		fmt.Println(err)
		return
	}
	wasm, err = instrument.Rewrite(wasm, instrument.Options{Fuel: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := wz.NewRuntime(ctx)
	defer r.Close(ctx)
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		fmt.Println(err)
		return
	}
	fuel := m.ExportedGlobal(instrument.FuelGlobal).(api.MutableGlobal)
	for _, budget := range []uint64{1000, 100} {
		fuel.Set(budget)
		v, err := m.ExportedFunction("fib").Call(ctx, 7)
		fmt.Println(v, err != nil, int64(fuel.Get()))
	}
	// Output:
	// [13] false 698
	// [] true -1
}

func ExampleFeatureError() {
	shared := []byte("\x00asm\x01\x00\x00\x00\x05\x04\x01\x03\x01\x02")
	_, err := instrument.Rewrite(shared, instrument.Options{CanonicalNaN: true})
	var feature *instrument.FeatureError
	fmt.Println(errors.As(err, &feature), err)
	// Output: true module cannot be instrumented: it uses threads at offset 0xb; build it without: docs/abi.md says what a module can use
}
