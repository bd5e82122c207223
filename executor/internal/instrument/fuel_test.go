package instrument_test

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// each is a cost of one for each instruction that costs something.
var each = instrument.Costs{Move: 1, Compute: 1, Divide: 1, Memory: 1, Branch: 1, Call: 1}

// A guest is an instance of a rewritten module.
type guest struct {
	t      testing.TB
	module api.Module
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rewrite(t testing.TB, wasm []byte, opts instrument.Options) []byte {
	t.Helper()
	out, err := instrument.Rewrite(wasm, opts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// runtime returns a wazero that ends with the test, and compiles a module once.
func runtime(t testing.TB) wz.Runtime {
	cache := wz.NewCompilationCache()
	r := wz.NewRuntimeWithConfig(context.Background(), wz.NewRuntimeConfig().WithCompilationCache(cache))
	t.Cleanup(func() {
		r.Close(context.Background())
		cache.Close(context.Background())
	})
	return r
}

func start(t testing.TB, r wz.Runtime, wasm []byte) guest {
	t.Helper()
	m, err := r.InstantiateWithConfig(context.Background(), wasm, wz.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	return guest{t, m}
}

func (g guest) fuel() api.MutableGlobal {
	return g.module.ExportedGlobal(instrument.FuelGlobal).(api.MutableGlobal)
}

// run calls a function with a budget and returns what it used, its first result and
// whether it trapped.
func (g guest) run(name string, budget int64, args ...uint64) (used int64, result uint64, err error) {
	g.t.Helper()
	f := g.module.ExportedFunction(name)
	if f == nil {
		g.t.Fatalf("no function %q", name)
	}
	g.fuel().Set(uint64(budget))
	results, err := f.Call(context.Background(), args...)
	if len(results) > 0 {
		result = results[0]
	}
	return budget - int64(g.fuel().Get()), result, err
}

// cost calls a function that must not trap and returns what it used.
func (g guest) cost(name string, args ...uint64) int64 {
	g.t.Helper()
	used, _, err := g.run(name, math.MaxInt64, args...)
	if err != nil {
		g.t.Fatalf("%s%v: %v", name, args, err)
	}
	return used
}

// TestCount compares the fuel of each kind of control flow with a count by hand.
func TestCount(t *testing.T) {
	tests := []struct {
		name string
		arg  uint64
		want int64
		why  string
	}{
		{"straight", 4, 5, "two locals and constants each, two operations"},
		{"nothing", 4, 1, "a local"},
		{"if", 0, 3 + 2 + 3, "condition, arm, rest"},
		{"if", 1, 3 + 3, "the arm is not taken"},
		{"ifelse", 1, 2 + 3, "then"},
		{"ifelse", 0, 2 + 3, "else"},
		{"loop", 1, 9 + 3, "a turn and what is behind the loop"},
		{"loop", 100, 100*9 + 3, "each turn is charged"},
		{"idle", 3, 4 + 2, "no branch leads back"},
		{"table", 0, 2 + 3, "to the end of a: returns"},
		{"table", 1, 2 + 4 + 3, "to the end of b"},
		{"table", 2, 2 + 3, "to the end of c"},
		{"table", 9, 2 + 4 + 3, "the default"},
		{"out", 3, 4 + 4, "out of three frames at once"},
		{"out", 30, 2*(4+5) + 4 + 4, "two turns before"},
		{"arms", 1, 4 + 1, "then"},
		{"arms", 2, 4 + 3, "else"},
		{"early", 0, 2 + 1, "return in a block"},
		{"early", 9, 2 + 4 + 1, "return in an if"},
		{"early", 2, 2 + 4 + 3, "neither"},
		{"calls", 1, 8 + 2*(3+2*3), "callees are charged by themselves"},
		{"memory_", 1, 3 + 5 + 6, "memory, globals, select"},
		{"nested", 0, 2 + 2 + 1, "an if in an else"},
		{"nested", 2, 2 + 4 + 4 + 1, "an if in a then"},
		{"nested", 1, 2 + 4 + 1, "an arm that is empty"},
	}
	g := start(t, runtime(t), rewrite(t, file(t, "control"), instrument.Options{Fuel: true, Costs: each}))
	for _, tt := range tests {
		if got := g.cost(tt.name, tt.arg); got != tt.want {
			t.Errorf("%s(%d): got fuel %d, want %d: %s", tt.name, tt.arg, got, tt.want, tt.why)
		}
	}
}

// TestSized looks at what instructions cost by their operand.
func TestSized(t *testing.T) {
	tests := []struct {
		name   string
		arg    uint64
		want   int64 // Grow is 1000, Bulk 100, all else is free
		result uint32
		why    string
	}{
		{"fill", 0, 0, 0, "nothing"},
		{"fill", 63, 0, 0, "not a full 64 bytes"},
		{"fill", 64, 100, 0, "64 bytes"},
		{"fill", 65536, 102400, 0, "a page"},
		{"copy", 6400, 10000, 0, "100 times 64 bytes"},
		{"init", 80, 100, 0, "64 bytes and 16"},
		{"grow", 0, 0, 1, "asks for the size"},
		{"grow", 3, 3000, 1, "three pages"},
		{"grow", 100, 0, 0xffffffff, "refused: no work"},
		{"grow", 0xffffffff, 0, 0xffffffff, "refused: no work"},
		{"tablefill", 8, 100, 0, "8 elements"},
		{"tablecopy", 7, 0, 0, "less"},
		{"tableinit", 8, 100, 0, "8 elements"},
		{"tablegrow", 16, 200, 8, "16 elements"},
		{"tablegrow", 1000, 0, 0xffffffff, "refused"},
	}
	costs := instrument.Costs{Grow: 1000, Bulk: 100}
	r := runtime(t)
	wasm := rewrite(t, file(t, "sized"), instrument.Options{Fuel: true, Costs: costs})
	for _, tt := range tests {
		g := start(t, r, wasm)
		used, result, err := g.run(tt.name, 1<<40, tt.arg)
		if used != tt.want || uint32(result) != tt.result || err != nil {
			t.Errorf("%s(%d): got fuel %d and %#x, %v; want %d and %#x: %s", tt.name, tt.arg, used, result, err, tt.want, tt.result, tt.why)
		}
		if tt.want == 0 {
			continue
		}
		g = start(t, r, wasm)
		if _, _, err := g.run(tt.name, tt.want-1, tt.arg); err == nil {
			t.Errorf("%s(%d): no trap with fuel %d", tt.name, tt.arg, tt.want-1)
		}
		if g.module.Memory() != nil && tt.name == "fill" && g.memory()[0] != 0 {
			t.Errorf("%s(%d): it ran without being paid for", tt.name, tt.arg)
		}
	}
	g := start(t, r, wasm)
	if _, _, err := g.run("fill", math.MaxInt64, 0xffffffff); err == nil {
		t.Error("fill past the end: no trap")
	}
}

func (g guest) memory() []byte {
	b, _ := g.module.Memory().Read(0, g.module.Memory().Size())
	return b
}

// TestClasses looks at the ratios of the cost table (paper 003, III-B2), on loops of
// 10^6 turns.
func TestClasses(t *testing.T) {
	costs := instrument.Costs{Compute: 3, Divide: 50, Memory: 7, Branch: 2, Call: 11}
	g := start(t, runtime(t), rewrite(t, file(t, "classes"), instrument.Options{Fuel: true, Costs: costs}))
	const turns = 1_000_000
	none := g.cost("none", turns)
	for name, want := range map[string]uint16{
		"compute": costs.Compute, "divide": costs.Divide, "memory_": costs.Memory, "branch": costs.Branch, "call": costs.Call,
	} {
		if got := g.cost(name, turns) - none; got != int64(want)*turns {
			t.Errorf("%s: got %d for %d, want %d each", name, got, turns, want)
		}
	}
	if want := int64(costs.Compute+costs.Branch) * turns; none != want {
		t.Errorf("empty loop: got %d, want %d", none, want)
	}
}

// TestBudget checks that the fuel of a call is a budget that is enough for it, that
// each smaller one is not, and that nothing runs which is not paid for.
func TestBudget(t *testing.T) {
	r := runtime(t)
	wasm := rewrite(t, file(t, "control"), instrument.Options{Fuel: true, Costs: each})
	for _, name := range []string{"straight", "if", "ifelse", "loop", "table", "out", "early", "calls", "memory_", "nested", "values"} {
		full := start(t, r, wasm)
		need := full.cost(name, 9)
		before := int64(-1)
		for budget := range need {
			g := start(t, r, wasm)
			used, _, err := g.run(name, budget, 9)
			if err == nil || used <= budget {
				t.Fatalf("%s: budget %d of %d: used %d, %v; want a trap", name, budget, need, used, err)
			}
			if count := int64(g.module.ExportedGlobal("count").Get()); count != 0 && name == "memory_" && budget < need {
				t.Errorf("%s: budget %d of %d: the global was changed", name, budget, need)
			}
			if used < before {
				t.Errorf("%s: budget %d: used %d, less than %d with a smaller one", name, budget, used, before)
			}
			before = used
		}
		g := start(t, r, wasm)
		if used, _, err := g.run(name, need, 9); err != nil || used != need {
			t.Errorf("%s: budget %d: used %d, %v; want no trap", name, need, used, err)
		}
	}
}

// call runs kernel k of a guest made from the kernels and returns its fuel and result.
func (g guest) call(k kernels.Kernel, times uint32, budget int64) (used int64, reply uint64, err error) {
	g.t.Helper()
	_, ptr, err := g.run("bungee_buf", math.MaxInt64, 4)
	if err != nil {
		g.t.Fatal(err)
	}
	g.module.Memory().WriteUint32Le(uint32(ptr), times)
	used, at, err := g.run("bungee_call", budget, uint64(k.Fn), ptr, 4, 0)
	if err == nil {
		reply, _ = g.module.Memory().ReadUint64Le(uint32(at>>32) + 1)
	}
	return used, reply, err
}

// few is how often kernels repeat themselves where only the count matters.
const few = 6

// TestKernels runs real functions on as they are and rewritten, and looks at the
// budget of each.
func TestKernels(t *testing.T) {
	r := runtime(t)
	metered := rewrite(t, kernels.Wasm(), instrument.Options{Fuel: true, CanonicalNaN: true})
	loose := rewrite(t, kernels.Wasm(), instrument.Options{Fuel: true})
	for _, k := range kernels.All() {
		g := start(t, r, metered)
		need, reply, err := g.call(k, few, math.MaxInt64)
		if err != nil {
			t.Fatalf("%s: %v", k.Name, err)
		}
		want, same, err := start(t, r, loose).call(k, few, math.MaxInt64)
		if err != nil || need != want || reply != same {
			t.Errorf("%s: fuel %d and reply %d with canonical NaNs, %d and %d without, %v", k.Name, need, reply, want, same, err)
		}
		for _, budget := range []int64{0, 1, rand.Int64N(need), need - 1} {
			if used, _, err := start(t, r, metered).call(k, few, budget); err == nil || used > need {
				t.Errorf("%s: budget %d of %d: used %d, %v; want a trap", k.Name, budget, need, used, err)
			}
		}
		if used, _, err := start(t, r, metered).call(k, few, need); err != nil || used != need {
			t.Errorf("%s: budget %d: used %d, %v; want no trap", k.Name, need, used, err)
		}
	}
}
