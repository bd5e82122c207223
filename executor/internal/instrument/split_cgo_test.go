//go:build cgo

package instrument_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
	wz "github.com/tetratelabs/wazero"

	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// Sizes of what bulk instructions work on in the module of bulkModule: more than two chunks
// of memory and of tables, and segments that are larger than a chunk and small.
const (
	bulkMemory   = 4 << 16
	bulkCells    = 20_000
	bulkData     = 150_000
	bulkElements = 18_000
)

// bulkOps are its functions, all but drops of three numbers.
var bulkOps = []string{
	"fill", "filltoo", "copy", "init", "initsmall", "drop",
	"tablefill", "tablenull", "tablecopy", "tableother", "tableback", "tableinit", "tabledrop", "externfill",
}

// bulkModule returns a module with a function for each bulk instruction, and one that
// tells what is in its tables.
func bulkModule(t testing.TB) []byte {
	t.Helper()
	var data strings.Builder
	for k := range bulkData {
		fmt.Fprintf(&data, `\%02x`, byte(k*k>>8^k))
	}
	const args = "(local.get 0) (local.get 1) (local.get 2)"
	function := func(name, code string) string {
		return fmt.Sprintf("(func (export %q) (param i32 i32 i32) %s)", name, code)
	}
	wasm, err := wt.Wat2Wasm(fmt.Sprintf(`(module
		(type $answer (func (result i32)))
		(memory (export "memory") %[1]d)
		(table $t %[2]d 30000 funcref) (table $u %[2]d funcref) (table $x 5000 externref)
		(func $a (result i32) (i32.const 1)) (func $b (result i32) (i32.const 2)) (func $c (result i32) (i32.const 3))
		(data $big "%[3]s") (data $small "0123456789")
		(elem $e func %[4]s) (elem declare func $b)`, bulkMemory>>16, bulkCells, data.String(), strings.Repeat("$a $b $c ", bulkElements/3)) +
		function("fill", "(memory.fill "+args+")") + function("filltoo", "(drop (table.size $x)) (memory.fill "+args+")") + function("copy", "(memory.copy "+args+")") +
		function("init", "(memory.init $big "+args+")") + function("initsmall", "(memory.init $small "+args+")") + function("drop", "(data.drop $big)") +
		function("tablefill", "(table.fill $t (local.get 0) (ref.func $b) (local.get 2))") +
		function("tablenull", "(table.fill $t (local.get 0) (ref.null func) (local.get 2))") +
		function("externfill", "(table.fill $x (local.get 0) (ref.null extern) (local.get 2))") +
		function("tablecopy", "(table.copy $t $t "+args+")") +
		function("tableother", "(table.copy $u $t "+args+")") + function("tableback", "(table.copy $t $u "+args+")") +
		function("tableinit", "(table.init $t $e "+args+")") + function("tabledrop", "(elem.drop $e)") +
		cells("$t") + cells("$u") + ")")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// cells is a function that returns a hash of what the functions in a table answer.
func cells(table string) string {
	return fmt.Sprintf(`(func (export %q) (result i64) (local $i i32) (local $h i64)
		(loop $l
			(local.set $h (i64.mul (local.get $h) (i64.const 31)))
			(if (i32.eqz (ref.is_null (table.get %[1]s (local.get $i))))
				(then (local.set $h (i64.add (local.get $h) (i64.extend_i32_u (call_indirect %[1]s (type $answer) (local.get $i)))))))
			(local.set $i (i32.add (local.get $i) (i32.const 1)))
			(br_if $l (i32.lt_u (local.get $i) (table.size %[1]s))))
		(local.get $h))`, table)
}

// A bulkGuest is an instance of bulkModule.
type bulkGuest interface {
	// do runs a function and returns the first line of why it trapped.
	do(op string, args [3]uint32) (trap string)
	cells(table string) uint64
	bytes() []byte
}

type wazeroGuest struct{ guest }

func (g wazeroGuest) do(op string, a [3]uint32) string {
	_, err := g.module.ExportedFunction(op).Call(g.t.Context(), uint64(a[0]), uint64(a[1]), uint64(a[2]))
	return cause(err, 0)
}

func (g wazeroGuest) cells(table string) uint64 { return g.bits(table) }
func (g wazeroGuest) bytes() []byte             { return g.memory() }

// cause returns a line of an error.
func cause(err error, line int) string {
	if err == nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return lines[(line+len(lines))%len(lines)]
}

type wasmtimeGuest struct{ native }

func (g wasmtimeGuest) do(op string, a [3]uint32) string {
	if err := g.store.SetFuel(1 << 62); err != nil {
		g.t.Fatal(err)
	}
	_, err := g.in.GetFunc(g.store, op).Call(g.store, int32(a[0]), int32(a[1]), int32(a[2]))
	return cause(err, -1)
}

func (g wasmtimeGuest) cells(table string) uint64 {
	_, v := g.call(table)
	return uint64(v.(int64))
}

func (g wasmtimeGuest) bytes() []byte {
	return g.in.GetExport(g.store, "memory").Memory().UnsafeData(g.store)
}

// bulkPlaces are where things begin and end: small amounts, chunks, sizes, and what overflows.
func bulkPlaces() []uint32 {
	all := []uint32{0, 1 << 31, 1<<32 - 1, 1<<32 - bulkMemory}
	for _, n := range []uint32{128, 1 << 10, 8 << 10, 64 << 10, 128 << 10, 5000, bulkMemory, bulkCells, bulkData, bulkElements, 10} {
		all = append(all, n-1, n, n+1)
	}
	return all
}

// randomBulk returns arguments that are near places, most of them in bounds of most.
func randomBulk(r *rand.Rand, places []uint32, most uint32) (args [3]uint32) {
	for k := range args {
		if args[k] = r.Uint32N(most); r.IntN(3) == 0 {
			args[k] = places[r.IntN(len(places))]
		}
	}
	return args
}

// sameBulk runs ops on all guests, as they came and rewritten, and compares what they leave
// behind: in memory after each one, in tables after some, the last of them in any case.
func sameBulk(t *testing.T, guests []bulkGuest, ops []string, args [][3]uint32) (traps int) {
	t.Helper()
	for k, op := range ops {
		want := guests[0].do(op, args[k])
		if want != "" {
			traps++
		}
		for _, g := range guests[1:] {
			if got := g.do(op, args[k]); got != want {
				t.Fatalf("%s%d: got trap %q, want %q; after %v of %v", op, args[k], got, want, ops[:k], args[:k])
			}
			if !bytes.Equal(g.bytes(), guests[0].bytes()) {
				t.Fatalf("%s%d: other memory; after %v of %v", op, args[k], ops[:k], args[:k])
			}
		}
		if k%8 != 7 && k != len(ops)-1 {
			continue // to look at each element takes long
		}
		for _, table := range []string{"$t", "$u"} {
			want := guests[0].cells(table)
			for _, g := range guests[1:] {
				if got := g.cells(table); got != want {
					t.Fatalf("%s%d: other elements in %s; after %v of %v", op, args[k], table, ops[:k], args[:k])
				}
			}
		}
	}
	return traps
}

// splitWays are the options that bulk instructions are rewritten with.
var splitWays = []instrument.Options{{}, {Split: true}, {Split: true, Fuel: true, Refusals: true}}

// wazeroGuests returns a function that makes instances of bulkModule, as it came and rewritten.
func wazeroGuests(t testing.TB) func(t testing.TB) []bulkGuest {
	r, wasm := runtime(t), bulkModule(t)
	var compiled []wz.CompiledModule
	for _, o := range splitWays {
		m, err := r.CompileModule(t.Context(), rewrite(t, wasm, o))
		if err != nil {
			t.Fatal(err)
		}
		compiled = append(compiled, m)
	}
	return func(t testing.TB) (all []bulkGuest) {
		for _, m := range compiled {
			in, err := r.InstantiateModule(t.Context(), m, wz.NewModuleConfig().WithName(""))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, wazeroGuest{guest{t, in}})
		}
		return all
	}
}

// TestSplit runs random bulk instructions on modules as they came and split, on both engines.
func TestSplit(t *testing.T) {
	wasm := bulkModule(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	engines := map[string]func(testing.TB) []bulkGuest{"wazero": wazeroGuests(t)}
	engines["wasmtime"] = func(testing.TB) (all []bulkGuest) {
		for _, o := range splitWays {
			all = append(all, wasmtimeGuest{wasmtime(t, rewrite(t, wasm, o))})
		}
		return all
	}
	for name, guests := range engines {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			traps, runs := 0, 0
			for range 12 {
				var ops []string
				var args [][3]uint32
				for range 80 {
					op := bulkOps[random.IntN(len(bulkOps))]
					if strings.HasSuffix(op, "drop") && random.IntN(8) > 0 {
						continue
					}
					most := uint32(bulkMemory)
					if strings.HasPrefix(op, "table") {
						most = bulkCells
					}
					ops, args = append(ops, op), append(args, randomBulk(random, bulkPlaces(), most))
				}
				traps += sameBulk(t, guests(t), ops, args)
				runs += len(ops)
			}
			if traps < runs/10 || traps > runs*9/10 {
				t.Errorf("%d of %d instructions trapped; want some of both", traps, runs)
			}
		})
	}
}

// TestSplitOverlap copies memory and tables onto themselves, by every distance near a chunk, in
// both directions.
func TestSplitOverlap(t *testing.T) {
	guests := wazeroGuests(t)(t)
	const base, tableBase = 60_000, 3000
	ops, args := []string{"init", "tableinit"}, [][3]uint32{{0, 0, bulkData}, {0, 0, 16_000}}
	for _, by := range []uint32{0, 1, 7, 1023, 1024, 1025, 8191, 8192, 8193, 32_768, 59_999} {
		ops = append(ops, "copy", "copy")
		args = append(args, [3]uint32{base + by, base, 130_000}, [3]uint32{base - by, base, 130_000})
		by = min(by, tableBase)
		ops = append(ops, "tablecopy", "tablecopy")
		args = append(args, [3]uint32{tableBase + by, tableBase, 13_000}, [3]uint32{tableBase - by, tableBase, 13_000})
	}
	if traps := sameBulk(t, guests, ops, args); traps != 0 {
		t.Errorf("%d of %d instructions trapped; want none", traps, len(ops))
	}
}

// TestSplitAtTheEnd fills and copies up to the last byte and element, and one more.
func TestSplitAtTheEnd(t *testing.T) {
	guests := wazeroGuests(t)(t)
	for _, tt := range []struct {
		op   string
		args [3]uint32
		trap bool
		why  string
	}{
		{"fill", [3]uint32{0, 7, bulkMemory}, false, "all of it"},
		{"fill", [3]uint32{1, 8, bulkMemory}, true, "one byte past the end; none is written"},
		{"fill", [3]uint32{bulkMemory, 8, 0}, false, "nothing, at the end"},
		{"fill", [3]uint32{bulkMemory + 1, 8, 0}, true, "nothing, past the end"},
		{"fill", [3]uint32{1<<32 - 1, 8, 1<<32 - 1}, true, "the sum overflows"},
		{"copy", [3]uint32{1, 0, bulkMemory}, true, "to past the end"},
		{"copy", [3]uint32{0, 1, bulkMemory}, true, "from past the end"},
		{"init", [3]uint32{0, 0, bulkData}, false, "all of the segment"},
		{"init", [3]uint32{0, 1, bulkData}, true, "one byte more than it has"},
		{"drop", [3]uint32{}, false, ""},
		{"init", [3]uint32{0, 0, bulkData}, true, "the segment is empty then"},
		{"init", [3]uint32{0, 0, 0}, false, "nothing of an empty segment"},
		{"tableinit", [3]uint32{bulkCells - bulkElements, 0, bulkElements}, false, "up to the last element"},
		{"tableinit", [3]uint32{bulkCells - bulkElements + 1, 0, bulkElements}, true, "one past it"},
		{"tablecopy", [3]uint32{0, 1, bulkCells}, true, "one past it"},
		{"tablenull", [3]uint32{0, 0, bulkCells}, false, "all of it"},
		{"tablefill", [3]uint32{1, 0, bulkCells}, true, "one past it"},
		{"tabledrop", [3]uint32{}, false, ""},
		{"tableinit", [3]uint32{0, 0, bulkElements}, true, "the segment is empty then"},
	} {
		if traps := sameBulk(t, guests, []string{tt.op}, [][3]uint32{tt.args}); traps != 0 != tt.trap {
			t.Errorf("%s%d: trapped is %t, want %t: %s", tt.op, tt.args, traps != 0, tt.trap, tt.why)
		}
	}
}

// FuzzSplit runs bulk instructions that its bytes say on a module as it came and split.
func FuzzSplit(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 2, 0})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 240, 73, 2, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0})
	f.Add([]byte{10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 70, 0, 0, 7, 0, 16, 0, 0, 255, 15, 0, 0, 0, 48, 0, 0})
	start := wazeroGuests(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var ops []string
		var args [][3]uint32
		const size = 1 + 3*4
		for ; len(b) >= size && len(ops) < 20; b = b[size:] {
			ops = append(ops, bulkOps[int(b[0])%len(bulkOps)])
			args = append(args, [3]uint32{binary.LittleEndian.Uint32(b[1:]), binary.LittleEndian.Uint32(b[5:]), binary.LittleEndian.Uint32(b[9:])})
		}
		guests := start(t)
		sameBulk(t, guests, ops, args)
		for _, g := range guests {
			g.(wazeroGuest).module.Close(t.Context())
		}
	})
}
