package determinism

import (
	"fmt"
	"strings"
)

// all returns each numeric, conversion, memory and vector instruction of WebAssembly 2.0
// as an operation, and some sequences.
func all() []operation {
	ops := integers("i32", i32, 0x45, 0x67)
	ops = append(ops, integers("i64", i64, 0x50, 0x79)...)
	ops = append(ops, floats("f32", f32, 0x5b, 0x8b)...)
	ops = append(ops, floats("f64", f64, 0x61, 0x99)...)
	ops = append(ops, conversions()...)
	ops = append(ops, accesses()...)
	ops = append(ops, vectors()...)
	ops = append(ops, lanes()...)
	return append(ops, sequences()...)
}

// run names instructions whose opcodes follow each other from code on.
func run(prefix, names string, code byte, out kind, in ...kind) (ops []operation) {
	for i, name := range strings.Fields(names) {
		ops = append(ops, operation{name: prefix + "." + name, in: in, out: out, code: []byte{code + byte(i)}})
	}
	return ops
}

func integers(prefix string, k kind, tests, arithmetic byte) (ops []operation) {
	ops = append(ops, run(prefix, "eqz", tests, i32, k)...)
	ops = append(ops, run(prefix, "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u", tests+1, i32, k, k)...)
	ops = append(ops, run(prefix, "clz ctz popcnt", arithmetic, k, k)...)
	return append(ops, run(prefix, "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr", arithmetic+3, k, k, k)...)
}

func floats(prefix string, k kind, tests, arithmetic byte) (ops []operation) {
	ops = append(ops, run(prefix, "eq ne lt gt le ge", tests, i32, k, k)...)
	ops = append(ops, run(prefix, "abs neg ceil floor trunc nearest sqrt", arithmetic, k, k)...)
	return append(ops, run(prefix, "add sub mul div min max copysign", arithmetic+7, k, k, k)...)
}

func conversions() (ops []operation) {
	ops = append(ops, run("i32", "wrap_i64", 0xa7, i32, i64)...)
	ops = append(ops, run("i32", "trunc_f32_s trunc_f32_u", 0xa8, i32, f32)...)
	ops = append(ops, run("i32", "trunc_f64_s trunc_f64_u", 0xaa, i32, f64)...)
	ops = append(ops, run("i64", "extend_i32_s extend_i32_u", 0xac, i64, i32)...)
	ops = append(ops, run("i64", "trunc_f32_s trunc_f32_u", 0xae, i64, f32)...)
	ops = append(ops, run("i64", "trunc_f64_s trunc_f64_u", 0xb0, i64, f64)...)
	ops = append(ops, run("f32", "convert_i32_s convert_i32_u", 0xb2, f32, i32)...)
	ops = append(ops, run("f32", "convert_i64_s convert_i64_u", 0xb4, f32, i64)...)
	ops = append(ops, run("f32", "demote_f64", 0xb6, f32, f64)...)
	ops = append(ops, run("f64", "convert_i32_s convert_i32_u", 0xb7, f64, i32)...)
	ops = append(ops, run("f64", "convert_i64_s convert_i64_u", 0xb9, f64, i64)...)
	ops = append(ops, run("f64", "promote_f32", 0xbb, f64, f32)...)
	ops = append(ops, run("i32", "reinterpret_f32", 0xbc, i32, f32)...)
	ops = append(ops, run("i64", "reinterpret_f64", 0xbd, i64, f64)...)
	ops = append(ops, run("f32", "reinterpret_i32", 0xbe, f32, i32)...)
	ops = append(ops, run("f64", "reinterpret_i64", 0xbf, f64, i64)...)
	ops = append(ops, run("i32", "extend8_s extend16_s", 0xc0, i32, i32)...)
	ops = append(ops, run("i64", "extend8_s extend16_s extend32_s", 0xc2, i64, i64)...)
	for i, in := range []kind{f32, f32, f64, f64} {
		sign := []string{"s", "u"}[i%2]
		ops = append(ops, operation{name: fmt.Sprintf("i32.trunc_sat_%v_%s", in, sign), in: []kind{in}, out: i32, code: []byte{0xfc, byte(i)}},
			operation{name: fmt.Sprintf("i64.trunc_sat_%v_%s", in, sign), in: []kind{in}, out: i64, code: []byte{0xfc, byte(i + 4)}})
	}
	return ops
}

func (k kind) String() string {
	return map[kind]string{i32: "i32", i64: "i64", f32: "f32", f64: "f64", v128: "v128", address: "address"}[k]
}

// accesses are loads and stores, at addresses that are aligned for none, and outside.
func accesses() (ops []operation) {
	load := func(names string, code byte, out kind) {
		for i, name := range strings.Fields(names) {
			ops = append(ops, operation{name: out.String() + "." + name, in: []kind{address}, out: out, code: []byte{code + byte(i), 0, 0}})
		}
	}
	store := func(names string, code byte, in kind) {
		for i, name := range strings.Fields(names) {
			ops = append(ops, operation{name: in.String() + "." + name, in: []kind{address, in}, code: []byte{code + byte(i), 0, 0}})
		}
	}
	load("load", 0x28, i32)
	load("load", 0x29, i64)
	load("load", 0x2a, f32)
	load("load", 0x2b, f64)
	load("load8_s load8_u load16_s load16_u", 0x2c, i32)
	load("load8_s load8_u load16_s load16_u load32_s load32_u", 0x30, i64)
	store("store", 0x36, i32)
	store("store", 0x37, i64)
	store("store", 0x38, f32)
	store("store", 0x39, f64)
	store("store8 store16", 0x3a, i32)
	store("store8 store16 store32", 0x3c, i64)
	vload := func(name string, code byte) {
		ops = append(ops, operation{name: "v128." + name, in: []kind{address}, out: v128, code: []byte{0xfd, code, 0, 0}})
	}
	for i, name := range strings.Fields("load load8x8_s load8x8_u load16x4_s load16x4_u load32x2_s load32x2_u load8_splat load16_splat load32_splat load64_splat") {
		vload(name, byte(i))
	}
	vload("load32_zero", 0x5c)
	vload("load64_zero", 0x5d)
	return append(ops, operation{name: "v128.store", in: []kind{address, v128}, code: []byte{0xfd, 0x0b, 0, 0}})
}

// vectors are the instructions on whole vectors, named by the specification's opcode.
func vectors() (ops []operation) {
	add := func(out kind, in []kind, codes ...int) {
		for _, c := range codes {
			ops = append(ops, operation{name: fmt.Sprintf("simd.%#02x", c), in: in, out: out, code: append([]byte{0xfd}, leb(c)...)})
		}
	}
	two, one := []kind{v128, v128}, []kind{v128}
	add(v128, two, 0x0e)                // swizzle
	add(v128, two, span(0x23, 0x4c)...) // comparisons
	add(v128, one, 0x4d, 0x5e, 0x5f)    // not, demote, promote
	add(v128, two, span(0x4e, 0x51)...) // and, andnot, or, xor
	add(v128, []kind{v128, v128, v128}, 0x52)
	add(i32, one, 0x53, 0x63, 0x64, 0x83, 0x84, 0xa3, 0xa4, 0xc3, 0xc4) // any_true, all_true, bitmask
	add(v128, []kind{v128, i32}, 0x6b, 0x6c, 0x6d, 0x8b, 0x8c, 0x8d, 0xab, 0xac, 0xad, 0xcb, 0xcc, 0xcd)
	add(v128, one, 0x60, 0x61, 0x62, 0x67, 0x68, 0x69, 0x6a, 0x74, 0x75, 0x7a, 0x7c, 0x7d, 0x7e, 0x7f, 0x80, 0x81,
		0x87, 0x88, 0x89, 0x8a, 0x94, 0xa0, 0xa1, 0xa7, 0xa8, 0xa9, 0xaa, 0xc0, 0xc1, 0xc7, 0xc8, 0xc9, 0xca,
		0xe0, 0xe1, 0xe3, 0xec, 0xed, 0xef)
	add(v128, one, span(0xf8, 0xff)...) // conversions
	add(v128, two, 0x65, 0x66, 0x7b, 0x82, 0x85, 0x86, 0x95, 0x9b, 0xb5, 0xd1, 0xd5, 0xce)
	for _, s := range [][2]int{{0x6e, 0x73}, {0x76, 0x79}, {0x8e, 0x93}, {0x96, 0x99}, {0x9c, 0x9f}, {0xae, 0xae},
		{0xb1, 0xb1}, {0xb6, 0xba}, {0xbc, 0xbf}, {0xd6, 0xdf}, {0xe4, 0xeb}, {0xf0, 0xf7}} {
		add(v128, two, span(s[0], s[1])...)
	}
	return ops
}

func span(first, last int) (codes []int) {
	for c := first; c <= last; c++ {
		codes = append(codes, c)
	}
	return codes
}

// lanes are the instructions with lanes in them.
func lanes() (ops []operation) {
	for i, k := range []kind{i32, i32, i32, i64, f32, f64} {
		ops = append(ops, operation{name: fmt.Sprintf("simd.%#02x splat", 0x0f+i), in: []kind{k}, out: v128, code: []byte{0xfd, byte(0x0f + i)}})
	}
	lane := func(code byte, name string, out kind, in ...kind) {
		ops = append(ops, operation{name: fmt.Sprintf("simd.%#02x %s", code, name), in: in, out: out, code: []byte{0xfd, code, 1}})
	}
	for i, k := range []kind{i32, i32, i64, f32, f64} { // i16x8 and those after it
		code := []byte{0x18, 0x1b, 0x1d, 0x1f, 0x21}[i]
		lane(code, "extract", k, v128)
		lane([]byte{0x1a, 0x1c, 0x1e, 0x20, 0x22}[i], "replace", v128, v128, k)
	}
	lane(0x15, "extract", i32, v128)
	lane(0x16, "extract", i32, v128)
	lane(0x17, "replace", v128, v128, i32)
	lane(0x19, "extract", i32, v128)
	shuffle := []byte{0xfd, 0x0d, 31, 0, 17, 2, 4, 6, 30, 16, 1, 1, 9, 8, 25, 24, 15, 15}
	return append(ops, operation{name: "simd.0x0d shuffle", in: []kind{v128, v128}, out: v128, code: shuffle})
}

// sequences are ways for a NaN to go through several instructions.
func sequences() []operation {
	return []operation{
		{name: "f32 multiply, add", in: []kind{f32, f32}, out: f32, code: []byte{0x94, 0x43, 0, 0, 0x80, 0xff, 0x92}},
		{name: "f64 divide, negate", in: []kind{f64, f64}, out: f64, code: []byte{0xa3, 0x9a}},
		{name: "f64 demote, promote", in: []kind{f64}, out: f64, code: []byte{0xb6, 0xbb}},
		{name: "f32 add, bits", in: []kind{f32, f32}, out: i32, code: []byte{0x92, 0xbc}},
		{name: "f32x4 multiply, minimum", in: []kind{v128, v128}, out: v128, code: []byte{0xfd, 0xe6, 1, 0xfd, 0x0c, 0, 0, 0, 0, 0, 0, 0x80, 0x7f, 0, 0, 0xc0, 0xff, 0, 0, 0, 0x80, 0xfd, 0xe8, 1}},
		{name: "f32x4 divide, f64x2 less", in: []kind{v128, v128, v128}, out: v128, code: []byte{0xfd, 0xe7, 1, 0xfd, 0x49}},
		{name: "f64x2 divide, f32x4 truncate", in: []kind{v128, v128}, out: v128, code: []byte{0xfd, 0xf3, 1, 0xfd, 0xf8, 1}},
	}
}
