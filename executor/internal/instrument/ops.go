package instrument

// An imm is what follows an instruction's opcode.
type imm uint8

const (
	immNone imm = iota
	immBad      // no instruction that Rewrite knows
	immBlock
	immIndex  // u32
	immIndex2 // u32, u32
	immFunc
	immIndirect // type, table
	immLabel
	immTable // vector of u32, u32
	immTypes // vector of types
	immType
	immMem     // alignment, offset
	immMemLane // alignment, offset, lane
	immMemory  // index of a memory
	immMemory2
	immDataMem // data segment, index of a memory
	immSigned5
	immSigned10
	imm1
	imm4
	imm8
	imm16
	immLocal
	immGlobal
)

// A class is what an instruction costs.
type class uint8

const (
	free class = iota
	move
	compute
	divide
	memory
	branch
	call
	bulk
	classes
)

// weights returns the cost of each class.
func (c Costs) weights() [classes]uint64 {
	return [classes]uint64{
		move: uint64(c.Move), compute: uint64(c.Compute), divide: uint64(c.Divide),
		memory: uint64(c.Memory), branch: uint64(c.Branch), call: uint64(c.Call), bulk: uint64(c.Bulk),
	}
}

// A float is a type of floats, of one or of the lanes of a vector: which bits are a NaN
// depends on it.
type float uint8

const (
	noFloat float = iota
	f32
	f64
	f32x4
	f64x2
	anyFloat // of an operand: whatever it is
)

// An op is what Rewrite has to know of an instruction.
type op struct {
	imm   imm
	class class
	nan   float // its result may be a NaN whose bits are the processor's choice
	// sinks is the type of the floats that it takes, where its result does not depend on
	// the bits of a NaN among them, but for those of a NaN, which are the processor's
	// choice again. The NaN of another type is bits like all others: to f64x2.add two
	// lanes of f32x4 are one number.
	sinks      float
	plain      bool // it takes pops values and leaves pushes, and does nothing else with the stack
	pops, push uint8
	size       sized
}

// A sized instruction costs by its operand.
type sized uint8

const (
	notSized sized = iota
	memInit
	memCopy
	memFill
	tableInit
	tableCopy
	tableFill
	memGrow
	tableGrow
)

// bulk says that the instruction fills, copies or initialises as much as its last
// operand says, and cells that this counts elements of a table, not bytes.
func (z sized) bulk() bool  { return z >= memInit && z <= tableFill }
func (z sized) cells() bool { return z >= tableInit && z <= tableFill }

// A table holds the instructions of one prefix by their opcode.
type table [256]op

// ops are the instructions of one byte, bulkOps those behind 0xfc, vectorOps
// behind 0xfd (WebAssembly 2.0, section 5.4).
var ops, bulkOps, vectorOps = basicTable(), bulkTable(), vectorTable()

func newTable() *table {
	var t table
	for i := range t {
		t[i].imm = immBad
	}
	return &t
}

// set gives the instructions from first to last the description o.
func (t *table) set(first, last int, o op) {
	for i := first; i <= last; i++ {
		t[i] = o
	}
}

// these gives the instructions of codes the description o.
func (t *table) these(o op, codes ...int) {
	for _, c := range codes {
		t[c] = o
	}
}

// Shapes of instructions on the stack.
func unary(c class) op   { return op{class: c, plain: true, pops: 1, push: 1} }
func binary(c class) op  { return op{class: c, plain: true, pops: 2, push: 1} }
func ternary(c class) op { return op{class: c, plain: true, pops: 3, push: 1} }
func source(c class, i imm) op {
	return op{class: c, imm: i, plain: true, push: 1}
}
func sink(c class, i imm, pops uint8) op {
	return op{class: c, imm: i, plain: true, pops: pops}
}

// taking returns o as one that takes floats of type f and shows nothing of a NaN's bits.
func (o op) taking(f float) op {
	o.sinks = f
	return o
}

// making returns o as one that also computes floats of type f.
func (o op) making(f float) op { return o.taking(f).giving(f) }

// giving returns o as one that computes floats of type f.
func (o op) giving(f float) op {
	o.nan = f
	return o
}

func basicTable() *table {
	t := newTable()
	t.control()
	t.variables()
	t.integers()
	t.floats()
	return t
}

func (t *table) control() {
	t.these(op{}, 0x00, 0x01, 0x05, 0x0b, 0x0f)         // unreachable, nop, else, end, return
	t.set(0x02, 0x03, op{imm: immBlock})                // block, loop
	t[0x04] = op{class: branch, imm: immBlock}          // if
	t.set(0x0c, 0x0d, op{class: branch, imm: immLabel}) // br, br_if
	t[0x0e] = op{class: branch, imm: immTable}          // br_table
	t[0x10] = op{class: call, imm: immFunc}             // call
	t[0x11] = op{class: call, imm: immIndirect}         // call_indirect
	t[0x1a] = sink(free, immNone, 1).taking(anyFloat)   // drop
	t[0x1b] = ternary(compute)                          // select
	t[0x1c] = ternary(compute)                          // select with a type
	t[0x1c].imm = immTypes
	t.set(0xd0, 0xd0, op{class: compute, imm: immType}) // ref.null
	t[0xd1] = unary(compute)                            // ref.is_null
	t[0xd2] = source(compute, immFunc)                  // ref.func
}

func (t *table) variables() {
	t[0x20] = source(move, immLocal)  // local.get
	t[0x21] = sink(move, immLocal, 1) // local.set
	t[0x22] = unary(move)             // local.tee
	t[0x22].imm = immLocal
	t[0x23] = source(memory, immGlobal)                 // global.get
	t[0x24] = sink(memory, immGlobal, 1)                // global.set
	t.set(0x25, 0x26, op{class: memory, imm: immIndex}) // table.get, set
	load := unary(memory)
	load.imm = immMem
	t.set(0x28, 0x35, load)
	t.set(0x36, 0x3e, sink(memory, immMem, 2)) // stores
	t[0x3f] = source(compute, immMemory)       // memory.size
	t[0x40] = op{class: memory, imm: immMemory, size: memGrow}
	t[0x41] = source(move, immSigned5)
	t[0x42] = source(move, immSigned10)
	t[0x43] = source(move, imm4)
	t[0x44] = source(move, imm8)
}

func (t *table) integers() {
	t.these(unary(compute), 0x45, 0x50)       // eqz
	t.set(0x46, 0x4f, binary(compute))        // i32 comparisons
	t.set(0x51, 0x5a, binary(compute))        // i64 comparisons
	t.set(0x67, 0x69, unary(compute))         // i32 clz, ctz, popcnt
	t.set(0x6a, 0x78, binary(compute))        // i32 add ... rotr
	t.set(0x79, 0x7b, unary(compute))         // i64 clz, ctz, popcnt
	t.set(0x7c, 0x8a, binary(compute))        // i64 add ... rotr
	t.set(0x6d, 0x70, binary(divide))         // i32 div, rem
	t.set(0x7f, 0x82, binary(divide))         // i64 div, rem
	t.these(unary(compute), 0xa7, 0xac, 0xad) // wrap, extend
	t.set(0xc0, 0xc4, unary(compute))         // sign extension
}

func (t *table) floats() {
	t.set(0x5b, 0x60, binary(compute).taking(f32)) // comparisons
	t.set(0x61, 0x66, binary(compute).taking(f64))
	t.arithmetic(0x8b, f32)
	t.arithmetic(0x99, f64)
	t.these(unary(compute).taking(f32), 0xa8, 0xa9, 0xae, 0xaf) // trunc
	t.these(unary(compute).taking(f64), 0xaa, 0xab, 0xb0, 0xb1)
	t.set(0xb2, 0xb5, unary(compute))                // f32.convert
	t[0xb6] = unary(compute).taking(f64).giving(f32) // f32.demote_f64
	t.set(0xb7, 0xba, unary(compute))                // f64.convert
	t[0xbb] = unary(compute).taking(f32).giving(f64) // f64.promote_f32
	t.set(0xbc, 0xbf, unary(compute))                // reinterpret
}

// arithmetic describes the instructions of a float type, which begin with abs at code.
func (t *table) arithmetic(code int, f float) {
	t.set(code, code+1, unary(compute))                // abs, neg
	t.set(code+2, code+5, unary(compute).making(f))    // ceil, floor, trunc, nearest
	t[code+6] = unary(divide).making(f)                // sqrt
	t.set(code+7, code+9, binary(compute).making(f))   // add, sub, mul
	t[code+10] = binary(divide).making(f)              // div
	t.set(code+11, code+12, binary(compute).making(f)) // min, max
	t[code+13] = binary(compute)                       // copysign
}

func bulkTable() *table {
	t := newTable()
	t.these(unary(compute).taking(f32), 0, 1, 4, 5) // trunc_sat
	t.these(unary(compute).taking(f64), 2, 3, 6, 7)
	t[8] = op{class: memory, imm: immDataMem, size: memInit}
	t[9] = op{class: compute, imm: immIndex} // data.drop
	t[10] = op{class: memory, imm: immMemory2, size: memCopy}
	t[11] = op{class: memory, imm: immMemory, size: memFill}
	t[12] = op{class: memory, imm: immIndex2, size: tableInit}
	t[13] = op{class: compute, imm: immIndex} // elem.drop
	t[14] = op{class: memory, imm: immIndex2, size: tableCopy}
	t[15] = op{class: memory, imm: immIndex, size: tableGrow}
	t[16] = source(compute, immIndex) // table.size
	t[17] = op{class: memory, imm: immIndex, size: tableFill}
	return t
}

func vectorTable() *table {
	t := newTable()
	t.set(0x0e, 0xff, binary(compute))
	t.these(op{imm: immBad}, 0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb,
		0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee)
	t.vectorMemory()
	t.lanes()
	t.vectorUnary()
	t.vectorFloats()
	return t
}

func (t *table) vectorMemory() {
	load := unary(memory)
	load.imm = immMem
	t.set(0x00, 0x0a, load)
	t.set(0x5c, 0x5d, load)           // load_zero
	t[0x0b] = sink(memory, immMem, 2) // store
	lane := binary(memory)
	lane.imm = immMemLane
	t.set(0x54, 0x57, lane)                        // load_lane
	t.set(0x58, 0x5b, sink(memory, immMemLane, 2)) // store_lane
}

func (t *table) lanes() {
	t[0x0c] = source(move, imm16) // v128.const
	t[0x0d] = binary(compute)     // shuffle
	t[0x0d].imm = imm16
	t.set(0x0f, 0x14, unary(compute)) // splat
	extract, replace := unary(compute), binary(compute)
	extract.imm, replace.imm = imm1, imm1
	t.these(extract, 0x15, 0x16, 0x18, 0x19, 0x1b, 0x1d, 0x1f, 0x21)
	t.these(replace, 0x17, 0x1a, 0x1c, 0x1e, 0x20, 0x22)
}

func (t *table) vectorUnary() {
	t[0x52] = ternary(compute)          // bitselect
	t.these(unary(compute), 0x4d, 0x53) // not, any_true
	t.set(0x60, 0x64, unary(compute))   // i8x16 abs, neg, popcnt, all_true, bitmask
	t.set(0x7c, 0x81, unary(compute))   // extadd_pairwise, i16x8 abs, neg
	t.set(0x87, 0x8a, unary(compute))   // extend
	t.set(0xa7, 0xaa, unary(compute))
	t.set(0xc7, 0xca, unary(compute))
	t.these(unary(compute), 0x83, 0x84, 0xa0, 0xa1, 0xa3, 0xa4, 0xc0, 0xc1, 0xc3, 0xc4)
}

func (t *table) vectorFloats() {
	t.set(0x41, 0x46, binary(compute).taking(f32x4)) // comparisons
	t.set(0x47, 0x4c, binary(compute).taking(f64x2))
	t[0x5e] = unary(compute).taking(f64x2).giving(f32x4) // demote
	t[0x5f] = unary(compute).taking(f32x4).giving(f64x2) // promote
	for _, c := range []int{0x67, 0x68, 0x69, 0x6a} {
		t[c] = unary(compute).making(f32x4) // ceil, floor, trunc, nearest
	}
	for _, c := range []int{0x74, 0x75, 0x7a, 0x94} {
		t[c] = unary(compute).making(f64x2)
	}
	t.vectorArithmetic(0xe0, f32x4)
	t.vectorArithmetic(0xec, f64x2)
	t.these(unary(compute).taking(f32x4), 0xf8, 0xf9) // trunc_sat
	t.these(unary(compute).taking(f64x2), 0xfc, 0xfd)
	t.these(unary(compute), 0xfa, 0xfb, 0xfe, 0xff) // convert
}

// vectorArithmetic describes the instructions of a float vector, which begin with
// abs at code. pmin and pmax give one of their operands as it is.
func (t *table) vectorArithmetic(code int, f float) {
	t.set(code, code+1, unary(compute))              // abs, neg
	t[code+3] = unary(divide).making(f)              // sqrt
	t.set(code+4, code+6, binary(compute).making(f)) // add, sub, mul
	t[code+7] = binary(divide).making(f)             // div
	t.set(code+8, code+9, binary(compute).making(f)) // min, max
	t.set(code+10, code+11, binary(compute))         // pmin, pmax
}
