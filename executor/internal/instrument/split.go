package instrument

import "slices"

// How much of its work a bulk instruction does at once. A processor fills a page of memory that
// it has not seen in a microsecond, so that a chunk of bytes takes 20 us at most, and one of
// table elements 200 us.
const (
	// smallBytes is what is no more work than some other instructions are.
	smallBytes = 1 << 10
	chunkBytes = 64 << 10
	// cellShift is the logarithm of the bytes of a table's element.
	cellShift = 3
)

// small returns how much an instruction may do without being split.
func (z sized) small() int64 { return smallBytes >> z.scale() }

// chunk returns how much of its work an instruction does at once.
func (z sized) chunk() int64 { return chunkBytes >> z.scale() }

// shift returns the logarithm of what Costs.Bulk is for.
func (z sized) shift() int64 { return 6 - z.scale() }

func (z sized) scale() int64 {
	if z.cells() {
		return cellShift
	}
	return 0
}

// A splitter is a function that does the work of a bulk instruction but for its last chunk,
// in a loop, where engines look at the time. It takes the three operands of the instruction, and
// returns those with which it is to do the rest: its own where there is little to do, or
// where it will trap, so that nothing is written before that.
type splitter struct {
	size  sized
	index [2]uint32 // the immediates
}

// splitter returns the function that splits what k says, as which all such instructions are
// read from r. None is needed to copy a segment that is small: to copy more is a trap.
func (m *module) splitter(r *reader, k splitter) (function uint32, needed bool) {
	switch {
	case k.size == memInit && int64(k.index[0]) >= int64(len(m.data)),
		k.size == tableInit && int64(k.index[0]) >= int64(len(m.elements)):
		r.fail("no segment %d", k.index[0])
	case k.size == tableFill && int64(k.index[0]) >= int64(len(m.tables)):
		r.fail("no table %d", k.index[0])
	case k.size == memInit && int64(m.data[k.index[0]]) <= k.size.small(),
		k.size == tableInit && int64(m.elements[k.index[0]]) <= k.size.small():
	default:
		return m.functions() + m.numberOf(k), true
	}
	return 0, false
}

// numberOf returns which splitter k is, of those that the module gets.
func (m *module) numberOf(k splitter) uint32 {
	n, ok := m.numbers[k]
	if !ok {
		n = uint32(len(m.splitters))
		m.numbers[k] = n
		m.splitters = append(m.splitters, k)
	}
	return n
}

// Types of splitters, by that of the second operand.
var splitterTypes = [...]byte{typeI32, typeFunc, typeExtern}

// splitterType returns which of splitterTypes k has.
func (m *module) splitterType(k splitter) int {
	if k.size != tableFill {
		return 0
	}
	return slices.Index(splitterTypes[:], m.tables[k.index[0]])
}

// splitterTypeCodes returns the added types.
func splitterTypeCodes() (all [][]byte) {
	for _, t := range splitterTypes {
		all = append(all, []byte{0x60, 3, typeI32, t, typeI32, 3, typeI32, t, typeI32})
	}
	return all
}

// The locals of a splitter: where to, where from or what with, and how much.
const (
	to = iota
	from
	rest
)

// A body is the code of a function, while it is written.
type body struct{ code []byte }

func (b *body) op(code ...byte) { b.code = append(b.code, code...) }

func (b *body) number(v int64) { b.code = appendSigned(append(b.code, opI32Const), v) }

// wide leaves an unsigned local as an i64.
func (b *body) wide(local byte) { b.op(opGet, local, opI64Extend) }

// enough leaves the label where there is no more than most to do.
func (b *body) enough(most int64, label byte) {
	b.op(opGet, rest)
	b.number(most)
	b.op(opI32LeU, opBrIf, label)
}

// body returns the function k.
func (m *module) body(k splitter) []byte {
	b := &body{}
	b.op(0) // locals of its own
	b.op(opBlock, typeEmpty)
	b.enough(k.size.small(), 0)
	m.bounds(b, k)
	if k.size == memCopy || k.size == tableCopy {
		b.op(opBlock, typeEmpty, opGet, to, opGet, from, opI32LeU, opBrIf, 0)
		b.loop(k, 2, b.backwards)
		b.op(opEnd)
	}
	b.loop(k, 1, b.forwards)
	b.op(opEnd, opGet, to, opGet, from, opGet, rest, opEnd)
	return b.code
}

// bounds leaves the outer block where a range is out of bounds. Both ends of a range fit an
// i64.
func (m *module) bounds(b *body, k splitter) {
	within := func(local byte, size func()) {
		b.wide(local)
		b.wide(rest)
		b.op(opI64Add)
		size()
		b.op(opI64GtU, opBrIf, 0)
	}
	memory := func() { b.op(opMemorySize, 0, opI64Extend, opI64Const, 16, opI64Shl) }
	table := func(index uint32) func() {
		return func() {
			b.op(opBulk, opTableSize)
			b.code = append(appendUnsigned(b.code, index), opI64Extend)
		}
	}
	segment := func(n uint32) func() {
		return func() { b.code = appendSigned(append(b.code, opI64Const), int64(n)) }
	}
	switch k.size {
	case memFill:
		within(to, memory)
	case memCopy:
		within(to, memory)
		within(from, memory)
	case memInit: // traps by itself where the segment has been dropped
		within(to, memory)
		within(from, segment(m.data[k.index[0]]))
	case tableFill:
		within(to, table(k.index[0]))
	case tableCopy:
		within(to, table(k.index[0]))
		within(from, table(k.index[1]))
	case tableInit:
		within(to, table(k.index[1]))
		within(from, segment(m.elements[k.index[0]]))
	}
}

// loop repeats what step does, until it leaves label.
func (b *body) loop(k splitter, label byte, step func(splitter)) {
	b.op(opLoop, typeEmpty)
	b.enough(k.size.chunk(), label)
	step(k)
	b.op(opBr, 0, opEnd)
}

// forwards does the first chunk of what is left.
func (b *body) forwards(k splitter) {
	b.op(opGet, to, opGet, from)
	b.number(k.size.chunk())
	b.instruction(k)
	b.add(to, opI32Add, k)
	if k.size != memFill && k.size != tableFill {
		b.add(from, opI32Add, k)
	}
	b.add(rest, opI32Sub, k)
}

// backwards does the last chunk of what is left.
func (b *body) backwards(k splitter) {
	b.add(rest, opI32Sub, k)
	b.op(opGet, to, opGet, rest, opI32Add)
	b.op(opGet, from, opGet, rest, opI32Add)
	b.number(k.size.chunk())
	b.instruction(k)
}

// add adds a chunk to a local, or takes it from it.
func (b *body) add(local, op byte, k splitter) {
	b.op(opGet, local)
	b.number(k.size.chunk())
	b.op(op, opSet, local)
}

// instruction writes the instruction that k splits.
func (b *body) instruction(k splitter) {
	b.op(opBulk, bulkCodes[k.size])
	b.code = appendUnsigned(b.code, k.index[0])
	if k.size != memFill && k.size != tableFill {
		b.code = appendUnsigned(b.code, k.index[1])
	}
}

var bulkCodes = [...]byte{memInit: 8, memCopy: 10, memFill: 11, tableInit: 12, tableCopy: 14, tableFill: 17}

// Opcodes of splitters that nothing else is made of.
const (
	opMemorySize = 0x3f
	opI32LeU     = 0x4d
	opI64GtU     = 0x56
	opI32Add     = 0x6a
	opI32Sub     = 0x6b
	opI64Add     = 0x7c
	opI64Shl     = 0x86
	opBulk       = 0xfc // then one of bulkCodes or this
	opTableSize  = 0x10
)
