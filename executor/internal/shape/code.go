package shape

import "github.com/bungee-xr/bungee/executor/internal/wasmbin"

// Opcodes that open and close blocks.
const (
	opBlock = 0x02
	opLoop  = 0x03
	opIf    = 0x04
	opEnd   = 0x0b
)

// instruction reads an instruction with all that follows its opcode, and returns the
// opcode. The instructions are those of WebAssembly 2.0 (Core Specification, chapter
// 5.4); any other one fails.
func instruction(r *wasmbin.Reader) byte {
	op := r.Byte()
	switch {
	case op == 0xfc:
		bulk(r)
	case op == 0xfd:
		vector(r)
	case op >= 0x28 && op <= 0x3e: // load, store: alignment and offset
		r.U32()
		r.U32()
	case op >= 0x45 && op <= 0xc4, op <= 0x01, op == 0x05, op == opEnd, op == 0x0f, op == 0x1a, op == 0x1b, op == 0xd1:
		// no more than the opcode: numbers, unreachable, nop, else, end, return, drop, select, ref.is_null
	default:
		immediate(r, op)
	}
	return op
}

// immediate reads what follows an opcode.
func immediate(r *wasmbin.Reader, op byte) {
	switch op {
	case opBlock, opLoop, opIf:
		r.Signed(5)
	case 0x0c, 0x0d, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x3f, 0x40, 0xd0, 0xd2:
		// br, br_if, call, local, global, table.get and set, memory.size and grow, ref.null, ref.func
		r.U32()
	case 0x0e: // br_table
		r.Each(func() { r.U32() })
		r.U32()
	case 0x11: // call_indirect
		r.U32()
		r.U32()
	case 0x1c: // select with types
		r.Each(func() { r.Byte() })
	case 0x41: // i32.const
		r.Signed(5)
	case 0x42: // i64.const
		r.Signed(10)
	case 0x43: // f32.const
		r.Skip(4)
	case 0x44: // f64.const
		r.Skip(8)
	default:
		r.Fail("unknown instruction")
	}
}

// bulk reads what follows 0xfc.
func bulk(r *wasmbin.Reader) {
	switch n := r.U32(); {
	case n <= 7: // saturating conversions
	case n == 9, n == 11, n == 13, n >= 15 && n <= 17: // data.drop, memory.fill, elem.drop, table.grow, size and fill
		r.U32()
	case n == 8, n == 10, n == 12, n == 14: // memory and table, init and copy
		r.U32()
		r.U32()
	default:
		r.Fail("unknown instruction")
	}
}

// vector reads what follows 0xfd.
func vector(r *wasmbin.Reader) {
	switch n := r.U32(); {
	case n <= 11, n == 92, n == 93: // loads and a store: alignment and offset
		r.U32()
		r.U32()
	case n == 12, n == 13: // v128.const, i8x16.shuffle
		r.Skip(16)
	case n >= 21 && n <= 34: // extract_lane, replace_lane
		r.Byte()
	case n >= 84 && n <= 91: // load_lane, store_lane
		r.U32()
		r.U32()
		r.Byte()
	case n > 255: // relaxed SIMD is not of WebAssembly 2.0
		r.Fail("relaxed SIMD")
	}
}
