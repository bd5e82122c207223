//go:build cgo

package instrument_test

import (
	"encoding/binary"
	"math"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// native is an instance in wasmtime, with wasmtime's own fuel.
type native struct {
	t     *testing.T
	store *wt.Store
	in    *wt.Instance
}

func wasmtime(t *testing.T, wasm []byte) native {
	t.Helper()
	cfg := wt.NewConfig()
	cfg.SetConsumeFuel(true)
	store := wt.NewStore(wt.NewEngineWithConfig(cfg))
	m, err := wt.NewModule(store.Engine, wasm)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.SetFuel(math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	in, err := wt.NewInstance(store, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return native{t, store, in}
}

// call returns wasmtime's fuel of a call, and its result.
func (n native) call(name string, args ...any) (uint64, any) {
	n.t.Helper()
	if err := n.store.SetFuel(math.MaxInt64); err != nil {
		n.t.Fatal(err)
	}
	v, err := n.in.GetFunc(n.store, name).Call(n.store, args...)
	if err != nil {
		n.t.Fatalf("%s%v: %v", name, args, err)
	}
	left, err := n.store.GetFuel()
	if err != nil {
		n.t.Fatal(err)
	}
	return math.MaxInt64 - left, v
}

// fuel returns the fuel of a call that the module counts.
func (n native) fuel(name string, args ...any) (int64, any) {
	n.t.Helper()
	g := n.in.GetExport(n.store, instrument.FuelGlobal).Global()
	if err := g.Set(n.store, wt.ValI64(math.MaxInt64)); err != nil {
		n.t.Fatal(err)
	}
	_, v := n.call(name, args...)
	return math.MaxInt64 - g.Get(n.store).I64(), v
}

// An oracle is a module as it came, and twice as one that counts: all that costs
// something, and calls.
type oracle struct {
	t                   *testing.T
	plain, count, calls native
}

func newOracle(t *testing.T, wasm []byte) oracle {
	return oracle{t, wasmtime(t, wasm),
		wasmtime(t, rewrite(t, wasm, instrument.Options{Fuel: true, Costs: each})),
		wasmtime(t, rewrite(t, wasm, instrument.Options{Fuel: true, Costs: instrument.Costs{Call: 1}, CanonicalNaN: true, Refusals: true}))}
}

// compare compares the count with wasmtime's own: one for each instruction that
// costs something, and one for each function that is entered, which is a call here.
func (o oracle) compare(what, name string, args ...any) {
	o.t.Helper()
	want, result := o.plain.call(name, args...)
	count, same := o.count.fuel(name, args...)
	calls, again := o.calls.fuel(name, args...)
	if same != result || again != result {
		o.t.Errorf("%s%v: got %v and %v, want %v", what, args, same, again, result)
	}
	if count+calls+1 != int64(want) {
		o.t.Errorf("%s%v: %d instructions and %d calls; wasmtime counts %d for both", what, args, count, calls, want)
	}
}

// TestOracle compares what is counted with what wasmtime counts.
func TestOracle(t *testing.T) {
	o := newOracle(t, file(t, "control"))
	for _, name := range []string{"straight", "if", "ifelse", "loop", "idle", "table", "out", "arms", "early", "values", "calls", "fib", "memory_", "nested"} {
		for arg := int32(1); arg < 13; arg++ {
			o.compare(name, name, arg)
		}
	}
	o = newOracle(t, kernels.Wasm())
	for _, k := range kernels.All() {
		var ptr any
		for _, n := range []native{o.plain, o.count, o.calls} {
			_, ptr = n.call("bungee_buf", int32(4))
			binary.LittleEndian.PutUint32(n.in.GetExport(n.store, "memory").Memory().UnsafeData(n.store)[ptr.(int32):], few)
		}
		o.compare(k.Name, "bungee_call", int32(k.Fn), ptr, int32(4), int64(0))
	}
}
