//go:build cgo

package determinism_test

import (
	"context"
	"math"
	"os/exec"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
	wz "github.com/tetratelabs/wazero"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest/determinism"
	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
	"github.com/bungee-xr/bungee/executor/wasmtime"
	"github.com/bungee-xr/bungee/executor/wazero"
)

func TestWasmtime(t *testing.T) {
	determinism.Run(t, func(t testing.TB) executor.Engine {
		e, err := wasmtime.New(wasmtime.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

// TestLevels runs the corpus at each of wasmtime's optimisation levels.
func TestLevels(t *testing.T) {
	for name, level := range map[string]wt.OptLevel{"none": wt.OptLevelNone, "speed": wt.OptLevelSpeed, "size": wt.OptLevelSpeedAndSize} {
		t.Run(name, func(t *testing.T) {
			cfg := wt.NewConfig()
			cfg.SetCraneliftOptLevel(level)
			start := compiler(t, wt.NewEngineWithConfig(cfg), canonical)
			for _, c := range determinism.Corpus() {
				sum, err := determinism.Hash(c, start(c))
				if err == nil {
					err = c.Compare(sum)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestHundredWasmtime(t *testing.T) {
	hundred(t, compiler(t, wt.NewEngine(), canonical))
}

// TestNaNBetweenEngines shows instructions whose NaNs differ between wazero and
// wasmtime, and that they do not once they are canonical.
func TestNaNBetweenEngines(t *testing.T) {
	r := wz.NewRuntime(t.Context())
	defer r.Close(context.Background())
	e := wt.NewEngine()
	differ(t, starter(t, r, loose), compiler(t, e, loose), starter(t, r, canonical), compiler(t, e, canonical))
}

// TestGoGuest runs a guest with a runtime of its own on both engines. What the Go
// toolchain makes is not stored, as each version makes another.
func TestGoGuest(t *testing.T) {
	if race {
		t.Skip("compiling a Go guest takes a minute under the race detector; without it: go test -run TestGoGuest ./executor/enginetest/determinism")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no Go toolchain in PATH to build a guest with; with one: go test -run TestGoGuest ./executor/enginetest/determinism")
	}
	wasm, err := kernels.BuildGo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var sums [][32]byte
	for _, engine := range []func() (executor.Engine, error){
		func() (executor.Engine, error) { return wazero.New(wazero.Config{}) },
		func() (executor.Engine, error) { return wasmtime.New(wasmtime.Config{}) },
	} {
		e, err := engine()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			sum, err := determinism.HashOn(t.Context(), e, wasm, 0, make([]byte, 4*kernels.Pixels), nil)
			if err != nil {
				t.Fatal(err)
			}
			sums = append(sums, sum)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	for i, sum := range sums[1:] {
		if sum != sums[0] {
			t.Errorf("run %d: got hash %.8x, want %.8x", i+1, sum, sums[0])
		}
	}
}

// compiler returns a function that makes instances of what rewrite makes of c's module.
func compiler(t testing.TB, e *wt.Engine, rewrite func(*determinism.Module) ([]byte, error)) starters {
	compiled := map[*determinism.Module]*wt.Module{}
	return func(c determinism.Case) func() (determinism.Machine, error) {
		if compiled[c.Module] == nil {
			wasm, err := rewrite(c.Module)
			if err != nil {
				t.Fatal(err)
			}
			if compiled[c.Module], err = wt.NewModule(e, wasm); err != nil {
				t.Fatal(err)
			}
		}
		return func() (determinism.Machine, error) {
			store := wt.NewStore(e)
			in, err := wt.NewInstance(store, compiled[c.Module], nil)
			if err != nil {
				store.Close()
				return nil, err
			}
			n := native{store, in}
			if init := in.GetFunc(store, "_initialize"); init != nil {
				_, err = init.Call(store)
			}
			return n, err
		}
	}
}

// native is an instance in wasmtime, without the executor.
type native struct {
	store *wt.Store
	in    *wt.Instance
}

func (n native) fuel() int64 {
	e := n.in.GetExport(n.store, instrument.FuelGlobal)
	if e == nil {
		return math.MaxInt64
	}
	return e.Global().Get(n.store).I64()
}

func (n native) Call(fn uint32, request []byte) (reply []byte, fuel uint64, trap bool, err error) {
	before := n.fuel()
	ptr, err := n.in.GetFunc(n.store, "bungee_buf").Call(n.store, int32(len(request)))
	if err != nil {
		return nil, 0, false, err
	}
	copy(n.Memory()[uint32(ptr.(int32)):], request)
	at, err := n.in.GetFunc(n.store, "bungee_call").Call(n.store, int32(fn), ptr, int32(len(request)), int64(0))
	fuel = uint64(before - n.fuel())
	if err != nil {
		return nil, fuel, true, nil
	}
	from := at.(int64) >> 32
	return n.Memory()[from+1 : from+at.(int64)&math.MaxUint32], fuel, false, nil
}

func (n native) Memory() []byte {
	return n.in.GetExport(n.store, "memory").Memory().UnsafeData(n.store)
}

func (n native) Close() error {
	n.store.Close()
	return nil
}
