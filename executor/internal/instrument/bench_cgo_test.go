//go:build cgo

package instrument_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// BenchmarkSplit is a memory.copy of so many bytes, as it came and split.
func BenchmarkSplit(b *testing.B) {
	wasm, err := wt.Wat2Wasm(`(module (memory 64) (func (export "copy") (param $n i32) (param $times i32)
		(loop $l
			(memory.copy (i32.const 0x200000) (i32.const 0) (local.get $n))
			(local.set $times (i32.sub (local.get $times) (i32.const 1)))
			(br_if $l (local.get $times)))))`)
	if err != nil {
		b.Fatal(err)
	}
	const times = 1000
	engine := wt.NewEngine()
	for _, size := range []int32{0, 16, 256, 4 << 10, 64 << 10, 1 << 20} {
		for _, split := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/split=%t", size, split), func(b *testing.B) {
				store := wt.NewStore(engine)
				m, err := wt.NewModule(engine, rewrite(b, wasm, instrument.Options{Split: split}))
				if err != nil {
					b.Fatal(err)
				}
				in, err := wt.NewInstance(store, m, nil)
				if err != nil {
					b.Fatal(err)
				}
				f := in.GetFunc(store, "copy")
				for b.Loop() {
					if _, err := f.Call(store, size, int32(times)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/times, "ns/copy")
			})
		}
	}
}

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
