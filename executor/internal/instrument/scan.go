package instrument

// An edit is code to put into a function, before what is at offset at.
type edit struct {
	cost uint64 // of charge; the function that split calls
	at   uint32
	what what
}

// A what says which code an edit puts in.
type what uint8

const (
	nothing    what = iota
	charge          // the cost of a block
	chargeBulk      // by the operand on top of the stack, before a bulk instruction
	chargeCells
	split       // has a bulk instruction left with the last part of its work
	keepSize    // keeps the operand of what grows
	chargeGrown // by what was kept, once it has grown
	chargeAdded
	forget      // that memory was refused
	noteRefused // where the result of memory.grow says so
	canonical   // canonical + float: makes a NaN canonical
)

// after is what follows an instruction that grows something.
var after = [...]what{memGrow: chargeGrown, tableGrow: chargeAdded}

// A scanner finds the edits of one function.
type scanner struct {
	reader
	m       *module
	opts    Options
	weights [classes]uint64
	first   bool // a call begins with the function

	locals uint64 // the function's own, parameters included
	edits  []edit
	frames []frame
	block  int       // the edit that charges for the code at hand; none in dead code
	number int64     // what i32.const has just left on the stack; none after other instructions
	index  [2]uint32 // in the instruction at hand, zeros where it has none
	stack  []int     // edits that make the topmost values canonical; none for other values
}

const none = -1

// A frame is a block, loop, if or else that is open, or the function.
type frame struct {
	kind byte // its opcode
	live bool // it is entered
	met  bool // a branch leads to its end, or the way out of its first arm
}

// Opcodes that change the flow.
const (
	opUnreachable = 0x00
	opBlock       = 0x02
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opBrTable     = 0x0e
	opReturn      = 0x0f
)

// scan finds the edits of the function with the given body, whose locals have been read.
func (s *scanner) scan(body reader) error {
	s.reader = body
	s.edits, s.stack, s.frames = s.edits[:0], s.stack[:0], append(s.frames[:0], frame{kind: opBlock, live: true})
	s.number = none
	s.open()
	if s.first && s.opts.Refusals {
		s.put(forget)
	}
	for s.Err() == nil && len(s.frames) > 0 {
		s.step()
	}
	s.Done("function")
	return s.Err()
}

// put adds an edit at the next instruction and returns its index.
func (s *scanner) put(w what) int {
	s.edits = append(s.edits, edit{at: uint32(s.At()), what: w})
	return len(s.edits) - 1
}

// open begins a metered block.
func (s *scanner) open() {
	s.stack = s.stack[:0]
	s.block = s.put(charge)
}

// close ends a block with nothing that runs after it.
func (s *scanner) close() {
	s.stack = s.stack[:0]
	s.block = none
}

func (s *scanner) live() bool { return s.block != none }

// step reads an instruction.
func (s *scanner) step() {
	at := s.At()
	code := s.Byte()
	o := s.lookup(code, at)
	if o.imm == immBad {
		s.refuse(code, at)
		return
	}
	operand := s.number
	s.number, s.index = none, [2]uint32{}
	s.immediate(o.imm, at)
	if s.live() {
		s.edits[s.block].cost += s.weights[o.class]
		s.sized(o.size, at, operand)
		s.value(o)
	}
	s.flow(code)
}

// sized has an instruction at offset at pay for its size, and do a lot of work bit by bit.
// operand is what it works on, none where that is not known.
func (s *scanner) sized(z sized, at int, operand int64) {
	switch {
	case z == notSized:
	case !z.bulk():
		s.before(s.opts.Fuel, edit{at: uint32(at), what: keepSize})
	case operand != none && operand <= z.small():
		s.edits[s.block].cost += uint64(operand>>z.shift()) * s.weights[bulk]
	default:
		charge := chargeBulk
		if z.cells() {
			charge = chargeCells
		}
		s.before(s.opts.Fuel, edit{at: uint32(at), what: charge})
		f, needed := s.m.splitter(&s.reader, splitter{z, s.index})
		s.before(needed && s.opts.Split, edit{at: uint32(at), what: split, cost: uint64(f)})
	}
}

// before adds an edit if it is wanted.
func (s *scanner) before(wanted bool, e edit) {
	if wanted {
		s.edits = append(s.edits, e)
	}
}

// lookup returns the instruction that begins with code.
func (s *scanner) lookup(code byte, at int) op {
	t := ops
	switch code {
	case 0xfc:
		t = bulkOps
	case 0xfd:
		t = vectorOps
	default:
		return t[code]
	}
	n := s.U32()
	switch {
	case code == 0xfd && n >= 0x100 && n < 0x120:
		s.unsupported("relaxed SIMD", at)
	case code == 0xfd && n >= 0x120 && n < 0x200:
		s.unsupported("half precision", at)
	case code == 0xfc && n == 18:
		s.unsupported("memory control", at)
	case code == 0xfc && n >= 19 && n <= 22:
		s.unsupported("wide arithmetic", at)
	}
	if n >= uint32(len(t)) {
		return op{imm: immBad}
	}
	return t[n]
}

// refuse fails for an instruction that is not known.
func (s *scanner) refuse(code byte, at int) {
	switch code {
	case 0x06, 0x07, 0x08, 0x09, 0x0a, 0x18, 0x19, 0x1f:
		s.unsupported("exceptions", at)
	case 0x12, 0x13:
		s.unsupported("tail calls", at)
	case 0x14, 0x15, 0xd3, 0xd4, 0xd5, 0xd6:
		s.unsupported("typed references", at)
	case 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6:
		s.unsupported("stack switching", at)
	case 0xfb:
		s.unsupported("garbage collection", at)
	case 0xfe:
		s.unsupported("threads", at)
	}
	s.failAt(at, "unknown instruction %#x", code)
}

// immediate reads what follows an opcode.
func (s *scanner) immediate(i imm, at int) {
	switch i {
	case immNone:
	case immBlock:
		s.blockType(len(s.m.params))
	case immIndex:
		s.index[0] = s.U32()
	case immIndex2:
		s.index = [2]uint32{s.U32(), s.U32()}
	case immFunc:
		s.m.function(&s.reader)
	case immIndirect:
		s.m.typeIndex(&s.reader)
		s.U32()
	case immTable:
		s.Each(s.branch)
		s.branch()
	case immTypes:
		s.Each(func() { s.valueType() })
	case immType:
		s.valueType()
	case immMem, immMemLane:
		s.memarg(i, at)
	case immMemory, immMemory2, immDataMem:
		s.memoryIndices(i, at)
	case immSigned5:
		s.number = int64(uint32(s.Signed(5)))
	case immSigned10:
		s.Signed(10)
	case immLabel:
		s.branch()
	case imm1, imm4, imm8, imm16:
		s.Skip(widths[i])
	case immLocal:
		if n := s.U32(); uint64(n) >= s.locals {
			s.fail("no local %d", n)
		}
	case immGlobal:
		s.m.global(&s.reader)
	}
}

var widths = [...]int{imm1: 1, imm4: 4, imm8: 8, imm16: 16}

// branch reads a label, which a branch leads to.
func (s *scanner) branch() {
	label := s.U32()
	if int64(label) >= int64(len(s.frames)) {
		s.fail("no label %d", label)
		return
	}
	if f := &s.frames[len(s.frames)-1-int(label)]; s.live() && f.kind != opLoop {
		f.met = true
	}
}

// memarg reads the alignment and the offset of a memory access, and its lane.
func (s *scanner) memarg(i imm, at int) {
	if s.U32() >= 1<<6 {
		s.unsupported("several memories", at)
	}
	s.U32()
	if i == immMemLane {
		s.Byte()
	}
}

func (s *scanner) memoryIndices(i imm, at int) {
	if i == immDataMem {
		s.index[0] = s.U32()
	}
	memory := s.U32()
	if i == immMemory2 {
		memory |= s.U32()
	}
	if memory != 0 {
		s.unsupported("several memories", at)
	}
}

// drops says whether o shows nothing of the bits that the edit w of its operand is for.
func (o op) drops(w what) bool {
	return o.sinks == anyFloat || o.sinks != noFloat && w == canonical+what(o.sinks)
}

// value follows what instruction o does to the stack, to leave NaNs as they are where
// only sinks take them.
func (s *scanner) value(o op) {
	if !o.plain {
		s.stack = s.stack[:0]
		if o.size >= memGrow && s.opts.Fuel {
			s.put(after[o.size])
		}
		if o.size == memGrow && s.opts.Refusals {
			s.put(noteRefused)
		}
		return
	}
	for range min(int(o.pops), len(s.stack)) {
		e := s.stack[len(s.stack)-1]
		s.stack = s.stack[:len(s.stack)-1]
		if e != none && o.drops(s.edits[e].what) {
			s.edits[e].what = nothing
		}
	}
	switch {
	case o.nan != noFloat && s.opts.CanonicalNaN:
		s.stack = append(s.stack, s.put(canonical+what(o.nan)))
	case o.push > 0:
		s.stack = append(s.stack, none)
	}
}

// flow follows the instruction code where it ends a metered block or closes a frame.
func (s *scanner) flow(code byte) {
	switch code {
	case opBlock, opLoop, opIf:
		s.frames = append(s.frames, frame{kind: code, live: s.live()})
		if s.live() && code != opBlock {
			s.open()
		}
	case opElse:
		s.flowElse()
	case opEnd:
		s.flowEnd()
	case opBrIf:
		if s.live() {
			s.open()
		}
	case opBr, opBrTable, opReturn, opUnreachable:
		s.close()
	}
}

func (s *scanner) flowElse() {
	f := &s.frames[len(s.frames)-1]
	if f.kind != opIf {
		s.fail("else without if")
		return
	}
	f.kind, f.met = opElse, f.met || s.live()
	if f.live {
		s.open()
	}
}

// flowEnd closes a frame. What comes then is a block of its own where it can be
// reached in more than one way.
func (s *scanner) flowEnd() {
	f := s.frames[len(s.frames)-1]
	s.frames = s.frames[:len(s.frames)-1]
	switch {
	case f.kind == opIf && f.live, f.met:
		s.open()
	case f.kind == opElse && s.live():
		s.open()
	}
}
