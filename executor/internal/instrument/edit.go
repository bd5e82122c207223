package instrument

import "slices"

// temporaries is how many locals a function may get.
const temporaries = 6

// Locals that edits use.
const (
	tempFuel = iota
	tempSize
	tempGrown
	tempF32
	tempF64
	tempV128
)

var tempTypes = [temporaries]byte{typeI64, typeI32, typeI32, typeF32, typeF64, typeV128}

// temps are the locals that each edit uses.
var temps = [...][]int{
	charge: {tempFuel}, chargeBulk: {tempFuel, tempSize}, chargeCells: {tempFuel, tempSize},
	split: {}, keepSize: {tempSize}, chargeGrown: {tempFuel, tempSize, tempGrown}, chargeAdded: {tempFuel, tempSize, tempGrown},
	noteRefused:           {tempGrown},
	canonical + what(f32): {tempF32}, canonical + what(f64): {tempF64},
	canonical + what(f32x4): {tempV128}, canonical + what(f64x2): {tempV128},
}

// A writer writes a function with its edits.
type writer struct {
	m     *module
	costs Costs

	out  []byte
	used [temporaries]bool
	temp [temporaries]uint32 // indices of those used
	nan  [f64x2 + 1][]byte   // code of the canonical edits, made when needed
}

// begin starts a function that has n locals of its own.
func (w *writer) begin(n uint32, edits []edit) {
	w.out, w.used, w.nan = w.out[:0], [temporaries]bool{}, [f64x2 + 1][]byte{}
	for _, e := range edits {
		if e.what == charge && e.cost == 0 {
			continue
		}
		for _, t := range temps[e.what] {
			w.used[t] = true
		}
	}
	for t, used := range w.used {
		if used {
			w.temp[t] = n
			n++
		}
	}
}

// declare writes the declarations of the locals: the function's own, in groups, and
// those that are used.
func (w *writer) declare(groups uint32, own []byte) {
	n := groups
	for _, used := range w.used {
		if used {
			n++
		}
	}
	w.out = append(appendUnsigned(w.out, n), own...)
	for t, used := range w.used {
		if used {
			w.out = append(w.out, 1, tempTypes[t])
		}
	}
}

// Opcodes that edits consist of.
const (
	opCall      = 0x10
	opGet       = 0x20
	opSet       = 0x21
	opTee       = 0x22
	opGlobalGet = 0x23
	opGlobalSet = 0x24
	opI32Const  = 0x41
	opI64Const  = 0x42
	opF32Const  = 0x43
	opF64Const  = 0x44
	opI32Eq     = 0x46
	opI32Ne     = 0x47
	opI64LtS    = 0x53
	opF32Ne     = 0x5c
	opF64Ne     = 0x62
	opI64Sub    = 0x7d
	opI64Mul    = 0x7e
	opI64ShrU   = 0x88
	opI64Extend = 0xad // from an unsigned i32
	opVector    = 0xfd // then one of these
	opV128Const = 0x0c
	opF32x4Eq   = 0x41
	opF64x2Eq   = 0x47
	opBitselect = 0x52
)

// edit writes the code of e.
func (w *writer) edit(e edit) {
	switch e.what {
	case nothing:
	case charge:
		if e.cost > 0 {
			w.charge(func() { w.constant(int64(e.cost)) })
		}
	case chargeBulk:
		w.chargeOperand(memFill.shift())
	case chargeCells:
		w.chargeOperand(tableFill.shift())
	case split:
		w.out = appendUnsigned(append(w.out, opCall), uint32(e.cost))
	case keepSize:
		w.local(opTee, tempSize)
	case chargeGrown:
		w.chargeResult(w.costs.Grow, 0)
	case chargeAdded:
		w.chargeResult(w.costs.Bulk, 3)
	case forget:
		w.refused(0)
	case noteRefused:
		w.noteRefused()
	default:
		w.canonical(float(e.what - canonical))
	}
}

// charge takes the i64 that amount leaves from the fuel.
func (w *writer) charge(amount func()) {
	w.global(opGlobalGet, FuelGlobal)
	amount()
	w.op(opI64Sub)
	w.local(opTee, tempFuel)
	w.global(opGlobalSet, FuelGlobal)
	w.local(opGet, tempFuel)
	w.constant(0)
	w.op(opI64LtS, opIf, typeEmpty, opUnreachable, opEnd)
}

// chargeOperand charges Bulk for each 1<<shift of the operand of a bulk instruction.
func (w *writer) chargeOperand(shift int64) {
	w.local(opTee, tempSize)
	w.charge(func() { w.amount(w.costs.Bulk, shift) })
}

// chargeResult charges for each 1<<shift of what was kept, unless the instruction
// has answered -1.
func (w *writer) chargeResult(cost uint16, shift int64) {
	w.local(opTee, tempGrown)
	w.charge(func() {
		w.amount(cost, shift)
		w.local(opGet, tempGrown)
		w.op(opI32Const, 0x7f, opI32Ne, opI64Extend, opI64Mul)
	})
}

// noteRefused notes that memory.grow has answered -1, and leaves its answer.
func (w *writer) noteRefused() {
	w.local(opTee, tempGrown)
	w.local(opGet, tempGrown)
	w.op(opI32Const, 0x7f, opI32Eq, opIf, typeEmpty)
	w.refused(1)
	w.op(opEnd)
}

// refused sets the global that says whether memory was refused.
func (w *writer) refused(v byte) {
	w.op(opI32Const, v)
	w.global(opGlobalSet, RefusedGlobal)
}

// amount leaves the kept size, shifted, times cost. It is below 1<<48.
func (w *writer) amount(cost uint16, shift int64) {
	w.local(opGet, tempSize)
	w.op(opI64Extend)
	w.constant(shift)
	w.op(opI64ShrU)
	w.constant(int64(cost))
	w.op(opI64Mul)
}

// canonical makes the NaN on the stack canonical: a value that is not equal to
// itself.
func (w *writer) canonical(f float) {
	if w.nan[f] != nil {
		w.out = append(w.out, w.nan[f]...)
		return
	}
	from := len(w.out)
	switch f {
	case f32:
		w.unlessNumber(tempF32, opF32Ne, opF32Const, 0, 0, 0xc0, 0x7f)
	case f64:
		w.unlessNumber(tempF64, opF64Ne, opF64Const, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f)
	case f32x4:
		w.unlessNumbers(opF32x4Eq, 0, 0, 0xc0, 0x7f)
	case f64x2:
		w.unlessNumbers(opF64x2Eq, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f)
	}
	w.nan[f] = slices.Clone(w.out[from:])
}

// unlessNumber puts the constant nan in the place of the value on the stack where
// that is not equal to itself. A branch that is not taken costs less than a select,
// which the next instruction would have to wait for.
func (w *writer) unlessNumber(temp int, notEqual byte, nan ...byte) {
	w.local(opTee, temp)
	w.local(opGet, temp)
	w.op(notEqual, opIf, typeEmpty)
	w.op(nan...)
	w.local(opSet, temp)
	w.op(opEnd)
	w.local(opGet, temp)
}

// unlessNumbers does so for each lane of the vector on the stack.
func (w *writer) unlessNumbers(equal byte, nan ...byte) {
	w.local(opTee, tempV128)
	w.op(opVector, opV128Const)
	w.op(slices.Repeat(nan, 16/len(nan))...)
	w.local(opGet, tempV128)
	w.local(opGet, tempV128)
	w.op(opVector, equal, opVector, opBitselect)
}

func (w *writer) op(code ...byte) { w.out = append(w.out, code...) }

func (w *writer) constant(v int64) { w.out = appendSigned(append(w.out, opI64Const), v) }

func (w *writer) local(code byte, temp int) {
	w.out = appendUnsigned(append(w.out, code), w.temp[temp])
}

// global gets or sets an added global.
func (w *writer) global(code byte, name string) {
	w.out = appendUnsigned(append(w.out, code), w.m.added(name))
}
