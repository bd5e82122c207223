package shape_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/internal/bombs"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
	"github.com/bungee-xr/bungee/executor/internal/shape"
	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
)

// What is no bomb passes the defaults, with room: a Go guest among it.
func TestOrdinaryModulesPass(t *testing.T) {
	paths, err := filepath.Glob("../../enginetest/testdata/*.wasm")
	if err != nil || len(paths) == 0 {
		t.Fatal("no modules", err)
	}
	all := map[string][]byte{"kernels": kernels.Wasm()}
	for _, p := range paths {
		if all[p], err = os.ReadFile(p); err != nil {
			t.Fatal(err)
		}
	}
	tight := executor.Shape{Functions: 20_000, FunctionBytes: 400_000, Locals: 2000, Loops: 16, Values: 16, Types: 1000, Globals: 1000, Exports: 1000}
	for name, wasm := range all {
		if err := shape.Check(wasm, tight); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each bound is exact.
func TestBounds(t *testing.T) {
	loops := bombs.Loops(5)
	tests := []struct {
		what  string
		wasm  []byte
		bound func(*executor.Shape) *int
		most  int // that the module just has
	}{
		{"bytes", loops, func(s *executor.Shape) *int { return &s.Bytes }, len(loops)},
		{"functions", bombs.Functions(5), func(s *executor.Shape) *int { return &s.Functions }, 3 + 5},
		{"bytes of code in a function", loops, func(s *executor.Shape) *int { return &s.FunctionBytes }, codeBytes(t, loops)},
		{"locals in a function", bombs.ManyLocals(7, 1), func(s *executor.Shape) *int { return &s.Locals }, 7},
		{"loops, one in the other", loops, func(s *executor.Shape) *int { return &s.Loops }, 5},
		{"blocks, one in the other", loops, func(s *executor.Shape) *int { return &s.Blocks }, 5},
		{"results in a type", bombs.WideCalls(9, 2), func(s *executor.Shape) *int { return &s.Values }, 9},
		{"parameters in a type", bombs.WideBlocks(9, 2), func(s *executor.Shape) *int { return &s.Values }, 9},
		{"types", bombs.Types(6), func(s *executor.Shape) *int { return &s.Types }, 4 + 6},
		{"imports", bombs.Imports(5), func(s *executor.Shape) *int { return &s.Imports }, 5},
		{"exports", bombs.Exports(5), func(s *executor.Shape) *int { return &s.Exports }, 4 + 5},
		{"globals", bombs.Globals(5), func(s *executor.Shape) *int { return &s.Globals }, 5},
		{"segments of data", bombs.Segments(5), func(s *executor.Shape) *int { return &s.Segments }, 5},
	}
	for _, tt := range tests {
		var most executor.Shape
		*tt.bound(&most) = tt.most
		if err := shape.Check(tt.wasm, most); err != nil {
			t.Errorf("%d %s, of which %d may be: %v", tt.most, tt.what, tt.most, err)
		}
		*tt.bound(&most) = tt.most - 1
		if err := shape.Check(tt.wasm, most); !errors.Is(err, executor.ErrTooLarge) || !strings.Contains(err.Error(), " "+tt.what+";") {
			t.Errorf("%d %s, of which %d may be: got %v", tt.most, tt.what, tt.most-1, err)
		}
	}
}

// codeBytes returns the length of the longest function.
func codeBytes(t *testing.T, wasm []byte) (most int) {
	t.Helper()
	sections, err := wasmbin.Sections(wasm)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		if s.ID == wasmbin.Code {
			r := wasmbin.NewReader(s.Body)
			r.Each(func() { most = max(most, len(r.Bytes())) })
		}
	}
	return most
}

// Which bombs the shape alone holds. The others are for the bounds of the compiler.
func TestBombs(t *testing.T) {
	held := map[string]string{
		"NestedLoops": "loops", "PlainLoops": "loops", "ManyLocals": "loops", "DeepBlocks": "blocks", "WideBlocks": "parameters", "WideCalls": "results",
		"LongFunction": "bytes of code", "ManyFunctions": "functions", "ManyTypes": "types", "ManyImports": "imports", "ManyExports": "exports",
		"ManyGlobals": "globals",
	}
	for _, b := range bombs.All() {
		err := shape.Check(b.Wasm, executor.Shape{})
		word, want := held[b.Name]
		if want != errors.Is(err, executor.ErrTooLarge) || want && !strings.Contains(err.Error(), word) {
			t.Errorf("%s, %d bytes: got %v; want it refused for its %q: %t", b.Name, len(b.Wasm), err, word, want)
		}
	}
}

func TestMalformedIsNoMatterOfShape(t *testing.T) {
	whole := bombs.Loops(3)
	for n := range whole {
		if err := shape.Check(whole[:n], executor.Shape{}); err != nil {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	if err := shape.Check(whole[:len(whole)-1], executor.Shape{Types: 1}); err == nil {
		t.Error("a module that ends too early has too many types at its head; got no error")
	}
}

// What is malformed can be as small as two bytes, and there can be as much of it as a module
// has: nothing is made of each error that nobody reads.
func TestMalformedCostsNothing(t *testing.T) {
	for name, wasm := range map[string][]byte{"sections": emptySections(10_000), "functions": shortFunctions(10_000)} {
		allocs := testing.AllocsPerRun(3, func() {
			if err := shape.Check(wasm, executor.Shape{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		if allocs > 100 {
			t.Errorf("10,000 malformed %s: %v allocations, want no more than a list of sections takes", name, allocs)
		}
	}
}

// emptySections returns a module with n sections of types that do not say how many.
func emptySections(n int) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Repeat([]byte{wasmbin.Type, 0}, n)...)
}

// shortFunctions returns a module with n functions that have five groups of locals in no bytes.
func shortFunctions(n int) []byte {
	code := append(binary.AppendUvarint(nil, uint64(n)), bytes.Repeat([]byte{1, 5}, n)...)
	return wasmbin.Join([]wasmbin.Section{{ID: wasmbin.Code, Body: code}})
}

// BenchmarkCheckMalformed is what a check takes of a megabyte of which every two bytes fail.
func BenchmarkCheckMalformed(b *testing.B) {
	for name, wasm := range map[string][]byte{"sections": emptySections(1 << 19), "functions": shortFunctions(1 << 19)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(wasm)))
			for b.Loop() {
				if err := shape.Check(wasm, executor.Shape{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheck is what a check takes of a megabyte.
func BenchmarkCheck(b *testing.B) {
	wasm := kernels.Wasm()
	b.SetBytes(int64(len(wasm)))
	for b.Loop() {
		if err := shape.Check(wasm, executor.Shape{}); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzCheck checks that whatever the bytes are the answer is nil or ErrTooLarge, and that
// code which instrument reads to its end is followed to its end: one loop around all code
// of a function is seen, wherever its end is.
func FuzzCheck(f *testing.F) {
	for _, b := range [][]byte{bombs.Loops(2), bombs.WideCalls(2, 2), bombs.Segments(2), bombs.ManyTables(2, 2), kernels.Wasm()} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if err := shape.Check(wasm, executor.Shape{Loops: 2, Locals: 10}); err != nil && !errors.Is(err, executor.ErrTooLarge) {
			t.Errorf("got %v, want %v", err, executor.ErrTooLarge)
		}
		if instrument.Check(wasm) != nil {
			return
		}
		sections, _ := wasmbin.Sections(wasm)
		for k, s := range sections {
			if s.ID == wasmbin.Code {
				sections[k].Body = withLoops(s.Body)
				if err := shape.Check(wasmbin.Join(sections), executor.Shape{Loops: 1, FunctionBytes: 1 << 30}); err == nil {
					t.Error("two loops behind the code of each function are not seen")
				}
			}
		}
	})
}

// withLoops returns a section of code with a loop in a loop behind the code of each
// function, and one function more that has nothing else.
func withLoops(code []byte) []byte {
	r := wasmbin.NewReader(code)
	loops := []byte{0x03, 0x40, 0x03, 0x40, 0x0b, 0x0b, 0x0b}
	var last []byte
	r.Each(func() { last = r.Bytes() })
	if len(last) == 0 {
		last = []byte{0, 0x0b}
	}
	body := append(append([]byte{}, last[:len(last)-1]...), loops...)
	return append(binary.AppendUvarint([]byte{1}, uint64(len(body))), body...)
}
