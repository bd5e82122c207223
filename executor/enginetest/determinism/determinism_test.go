package determinism_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest/determinism"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
	"github.com/bungee-xr/bungee/executor/wazero"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write testdata/hashes.txt")

func Test(t *testing.T) {
	determinism.Run(t, func(t testing.TB) executor.Engine {
		e, err := wazero.New(wazero.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

// TestCorpus checks that there is enough of it, and a hash for each case.
func TestCorpus(t *testing.T) {
	pairs, names := 0, map[string]bool{}
	for _, c := range determinism.Corpus() {
		pairs += len(c.Requests)
		if names[c.Key()] {
			t.Errorf("two cases are called %q", c.Key())
		}
		names[c.Key()] = true
		if determinism.Stored()[c.Key()] == "" && !*update {
			t.Errorf("no hash of %q; run go test -run TestInterpreter -update", c.Key())
		}
	}
	if len(names) < 200 || pairs < 10_000 {
		t.Errorf("%d functions on %d inputs", len(names), pairs)
	}
	if n := len(determinism.Stored()); n != len(names) && !*update {
		t.Errorf("%d hashes of %d cases", n, len(names))
	}
}

// bare is an instance in wazero, without the executor.
type bare struct {
	ctx context.Context
	in  api.Module
}

func (b bare) Call(fn uint32, request []byte) (reply []byte, fuel uint64, trap bool, err error) {
	tank := b.in.ExportedGlobal(instrument.FuelGlobal).(api.MutableGlobal)
	before := tank.Get()
	ptr, err := b.in.ExportedFunction("bungee_buf").Call(b.ctx, uint64(len(request)))
	if err != nil {
		return nil, 0, false, err
	}
	b.in.Memory().Write(uint32(ptr[0]), request)
	at, err := b.in.ExportedFunction("bungee_call").Call(b.ctx, uint64(fn), ptr[0], uint64(len(request)), 0)
	fuel = before - tank.Get()
	if err != nil {
		return nil, fuel, true, nil
	}
	reply, ok := b.in.Memory().Read(uint32(at[0]>>32), uint32(at[0]))
	if !ok || len(reply) == 0 || reply[0] != 0 {
		return nil, fuel, false, errors.New("no reply")
	}
	return reply[1:], fuel, false, nil
}

func (b bare) Memory() []byte {
	m, _ := b.in.Memory().Read(0, b.in.Memory().Size())
	return m
}

func (b bare) Close() error { return b.in.Close(b.ctx) }

// canonical rewrites a module as the corpus has it, loose without canonical NaNs.
func canonical(m *determinism.Module) ([]byte, error) { return m.Rewritten() }

func loose(m *determinism.Module) ([]byte, error) {
	return instrument.Rewrite(m.Wasm, instrument.Options{Fuel: true})
}

// starter returns a function that makes instances of what rewrite makes of c's module.
func starter(t testing.TB, r wz.Runtime, rewrite func(*determinism.Module) ([]byte, error)) starters {
	compiled := map[*determinism.Module]wz.CompiledModule{}
	return func(c determinism.Case) func() (determinism.Machine, error) {
		if compiled[c.Module] == nil {
			wasm, err := rewrite(c.Module)
			if err != nil {
				t.Fatal(err)
			}
			if compiled[c.Module], err = r.CompileModule(t.Context(), wasm); err != nil {
				t.Fatal(err)
			}
		}
		return func() (determinism.Machine, error) {
			in, err := r.InstantiateModule(t.Context(), compiled[c.Module], wz.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
			return bare{t.Context(), in}, err
		}
	}
}

// TestInterpreter runs the corpus where nothing is optimised.
func TestInterpreter(t *testing.T) {
	r := wz.NewRuntimeWithConfig(t.Context(), wz.NewRuntimeConfigInterpreter())
	defer r.Close(context.Background())
	start := starter(t, r, canonical)
	var lines strings.Builder
	for _, c := range determinism.Corpus() {
		if race && c.Module.Name == "kernels" {
			continue // they would take minutes; the tests without -race run them
		}
		sum, err := determinism.Hash(c, start(c))
		if err != nil {
			t.Error(err)
			continue
		}
		if fmt.Fprintf(&lines, "%x %s\n", sum, c.Key()); *update {
			continue
		}
		if err := c.Compare(sum); err != nil {
			t.Error(err)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/hashes.txt", []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHundred runs a function a hundred times.
func TestHundred(t *testing.T) {
	r := wz.NewRuntime(t.Context())
	defer r.Close(context.Background())
	hundred(t, starter(t, r, canonical))
}

// hundred runs a function with many calls and branches, whose hash has its fuel in
// it, a hundred times on machines of start.
func hundred(t *testing.T, start starters) {
	t.Helper()
	for _, c := range determinism.Corpus() {
		if c.Name != "fib" {
			continue
		}
		for n := range 100 {
			sum, err := determinism.Hash(c, start(c))
			if err == nil {
				err = c.Compare(sum)
			}
			if err != nil {
				t.Fatalf("run %d: %v", n, err)
			}
		}
	}
}

// TestRuns runs the operations ten times, on other numbers of threads. The kernels
// are run twice: they take longer.
func TestRuns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	r := wz.NewRuntime(t.Context())
	defer r.Close(context.Background())
	start := starter(t, r, canonical)
	for n := range 10 {
		runtime.GOMAXPROCS(1 + n%4)
		for _, c := range determinism.Corpus() {
			if c.Module.Name == "kernels" && n%5 != 0 {
				continue
			}
			sum, err := determinism.Hash(c, start(c))
			if err == nil {
				err = c.Compare(sum)
			}
			if err != nil {
				t.Errorf("run %d: %v", n, err)
			}
		}
	}
}
