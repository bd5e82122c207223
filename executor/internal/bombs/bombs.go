// Package bombs makes modules for tests: small ones that take an engine long, or much
// memory, to compile, each in another way. All are valid WebAssembly and Bungee guests,
// so only a bound can refuse them.
package bombs

import "encoding/binary"

// A Bomb is a module and why it is hard to compile.
type Bomb struct {
	Name string
	Wasm []byte
}

// All returns the bombs: nested loops first, then their brothers.
func All() []Bomb {
	return []Bomb{
		{"NestedLoops", ManyLocals(10, 2000)},
		{"PlainLoops", Loops(2000)},
		{"ManyNestedLoops", ManyLoops(64, 60)},
		{"DeepBlocks", func_(repeat(200_000, 0x02, 0x40), repeat(200_000, 0x0b))},
		{"HugeTable", func_([]byte{0x02, 0x40, 0x41, 0, 0x0e}, vector(1_000_000, 0), []byte{0, 0x0b})},
		{"ManyTables", ManyTables(3000, 300)},
		{"ManyLocals", ManyLocals(300, 300)},
		{"WideBlocks", WideBlocks(1000, 3000)},
		{"WideCalls", WideCalls(1000, 3000)},
		{"ManyFunctions", Functions(400_000)},
		{"GiantData", Data(48 << 20)},
		{"ManyTypes", Types(900_000)},
		{"ManyImports", Imports(90_000)},
		{"ManyExports", Exports(90_000)},
		{"ManyGlobals", Globals(900_000)},
		{"ManySegments", Segments(90_000)},
		{"LongFunction", func_(repeat(1_000_000, 0x41, 0, 0x28, 2, 0, 0x1a))},
	}
}

// Loops is one function of n nested loops. Each has a way out and a way back.
func Loops(n int) []byte { return func_(loops(n)) }

func loops(n int) []byte {
	body := repeat(n, 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6a, 0x22, 0, 0x0d, 0) // loop; local 0 += 1; br_if 0
	return append(body, repeat(n, 0x0b)...)
}

// ManyLoops is m functions of n nested loops.
func ManyLoops(m, n int) []byte {
	b := newModule()
	for range m {
		b.function(typeNothing, locals(1), loops(n))
	}
	return b.bytes()
}

// ManyTables is n nested blocks around m branch tables that lead to the end of each.
func ManyTables(n, m int) []byte {
	body := repeat(n, 0x02, 0x40)
	table := []byte{0x20, 0, 0x0e}
	table = binary.AppendUvarint(table, uint64(n))
	for k := range n {
		table = binary.AppendUvarint(table, uint64(k))
	}
	table = append(table, 0)
	for range m {
		body = append(body, 0x02, 0x40)
		body = append(body, table...)
		body = append(body, 0x0b)
	}
	return func_(body, repeat(n, 0x0b))
}

// ManyLocals is a number of nested loops around code that changes each of n locals: each
// loop keeps track of all. 2000 loops around 10 locals are 14 KB, and take a compiler
// 11 s, or 29 s where they are metered.
func ManyLocals(n, loops int) []byte {
	var use []byte
	for k := range n {
		local := binary.AppendUvarint(nil, uint64(k))
		use = append(append(use, 0x20), local...)
		use = append(use, 0x41, 1, 0x6a, 0x21)
		use = append(use, local...)
	}
	body := repeat(loops, 0x03, 0x40)
	body = append(body, use...)
	for range loops {
		body = append(body, 0x20, 0, 0x0d, 0, 0x0b)
	}
	b := newModule()
	b.function(typeNothing, locals(n), body)
	return b.bytes()
}

// WideBlocks is n loops, one in the other, each of which takes width values.
func WideBlocks(width, n int) []byte {
	b := newModule()
	wide := b.typ(repeat(width, 0x7f), nil)
	var body []byte
	for range n {
		body = append(body, repeat(width, 0x41, 0)...)
		body = append(body, 0x03)
		body = append(body, signed(wide)...)
		body = append(body, repeat(width, 0x1a)...)
		body = append(body, 0x0b)
		if len(body) > 6<<20 {
			break
		}
	}
	b.function(typeNothing, locals(1), body)
	return b.bytes()
}

// WideCalls is a function of n calls, whose width results all stay on the stack.
func WideCalls(width, n int) []byte {
	b := newModule()
	wide := b.typ(nil, repeat(width, 0x7f))
	source := b.function(wide, locals(0), repeat(width, 0x41, 0))
	var body []byte
	for range n {
		body = append(body, 0x10)
		body = binary.AppendUvarint(body, uint64(source))
	}
	b.function(typeNothing, locals(0), append(body, 0x0f)) // return
	return b.bytes()
}

// Functions is n functions of nothing.
func Functions(n int) []byte {
	b := newModule()
	for range n {
		b.function(typeNothing, locals(0), nil)
	}
	return b.bytes()
}

// Data is a segment of n bytes that are not zero.
func Data(n int) []byte {
	b := newModule()
	b.pages = n/(64<<10) + 1
	b.data = [][]byte{repeat(n, 1)}
	return b.bytes()
}

// Segments is n segments of one byte.
func Segments(n int) []byte {
	b := newModule()
	b.data = make([][]byte, n)
	for k := range b.data {
		b.data[k] = []byte{1}
	}
	return b.bytes()
}

// Types is n types more than are needed, each another.
func Types(n int) []byte {
	b := newModule()
	for k := range n {
		b.typ(distinct(k), nil)
	}
	return b.bytes()
}

// distinct returns the parameters of type k.
func distinct(k int) []byte {
	var params []byte
	for k++; k > 0; k /= 4 {
		params = append(params, 0x7f-byte(k%4))
	}
	return params
}

// Imports is n functions that no host gives.
func Imports(n int) []byte {
	b := newModule()
	b.imports = n
	return b.bytes()
}

// Exports is n more exports of one function.
func Exports(n int) []byte {
	b := newModule()
	b.exports = n
	return b.bytes()
}

// Globals is n globals.
func Globals(n int) []byte {
	b := newModule()
	b.globals = n
	return b.bytes()
}

// func_ is one function of the given code.
func func_(code ...[]byte) []byte {
	b := newModule()
	var body []byte
	for _, c := range code {
		body = append(body, c...)
	}
	b.function(typeNothing, locals(1), body)
	return b.bytes()
}

// repeat returns n times what.
func repeat(n int, what ...byte) []byte {
	all := make([]byte, 0, n*len(what))
	for range n {
		all = append(all, what...)
	}
	return all
}

// vector returns n times what, with their number before it.
func vector(n int, what ...byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(n)), repeat(n, what...)...)
}

// locals declares n locals of i32.
func locals(n int) []byte {
	if n == 0 {
		return []byte{0}
	}
	return append(binary.AppendUvarint([]byte{1}, uint64(n)), 0x7f)
}

// signed returns a type's index as a block has it: signed, of 33 bits.
func signed(v int) []byte {
	var all []byte
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 {
			return append(all, b)
		}
		all = append(all, b|0x80)
	}
}
