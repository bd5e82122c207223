//go:build cgo

package instrument_test

import (
	"encoding/binary"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
)

// BenchmarkPriceWasmtime is BenchmarkPrice on wasmtime.
func BenchmarkPriceWasmtime(b *testing.B) {
	engine := wt.NewEngine()
	price(b, func(wasm []byte) func(k kernels.Kernel, times uint32) {
		store := wt.NewStore(engine)
		m, err := wt.NewModule(engine, wasm)
		if err != nil {
			b.Fatal(err)
		}
		in, err := wt.NewInstance(store, m, nil)
		if err != nil {
			b.Fatal(err)
		}
		ptr, err := in.GetFunc(store, "bungee_buf").Call(store, int32(4))
		if err != nil {
			b.Fatal(err)
		}
		call, memory := in.GetFunc(store, "bungee_call"), in.GetExport(store, "memory").Memory()
		return func(k kernels.Kernel, times uint32) {
			binary.LittleEndian.PutUint32(memory.UnsafeData(store)[ptr.(int32):], times)
			if _, err := call.Call(store, int32(k.Fn), ptr, int32(4), int64(0)); err != nil {
				b.Fatalf("%s: %v", k.Name, err)
			}
		}
	})
}
