package instrument

import (
	"bytes"
	"slices"
)

// Identifiers of sections.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secTag
)

// order is the place of each section in a module: the data count is before
// the code, tags are before the globals.
var order = [...]int{
	secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secTag: 6, secGlobal: 7,
	secExport: 8, secStart: 9, secElement: 10, secDataCount: 11, secCode: 12, secData: 13,
}

// Kinds of imports and exports.
const (
	kindFunc = iota
	kindTable
	kindMemory
	kindGlobal
	kindTag
)

// A module is what Rewrite has to know of one.
type module struct {
	wasm      []byte
	opts      Options
	sections  []section
	params    []uint32 // how many each type has
	imported  uint32   // functions
	funcs     []uint32 // types of those that the module defines
	tables    []byte   // types of their elements
	cells     []uint32 // elements that the tables begin with
	outside   bool     // an active segment of elements reaches beyond its table
	data      []uint32 // bytes of each segment
	elements  []uint32 // of each segment, how many
	first     int64    // the function with which a call begins; none where there is no such
	globals   uint32   // imported ones, too
	memories  uint32
	allLocals uint64 // of all functions
	splitters []splitter
	numbers   map[splitter]uint32 // of splitters
}

type section struct {
	id   byte
	from int    // offset of the section's identifier
	body reader // of what follows the size
}

var (
	magic     = []byte("\x00asm\x01\x00\x00\x00")
	component = []byte("\x00asm\x0d\x00\x01\x00")
)

// maxSize bounds modules and their code, in bytes: sizes have 32 bits.
const maxSize = 1 << 30

// parse reads all of wasm but its code.
func parse(wasm []byte, opts Options) (*module, error) {
	m := &module{wasm: wasm, opts: opts, first: none, numbers: map[splitter]uint32{}}
	r := reader{b: wasm}
	switch {
	case len(wasm) > maxSize:
		r.fail("more than %d bytes", maxSize)
	case bytes.HasPrefix(wasm, component):
		r.unsupported("the component model", 4)
	case !bytes.HasPrefix(wasm, magic):
		r.fail("no WebAssembly module")
	}
	r.at = min(len(magic), len(wasm))
	last := 0
	for r.err == nil && r.more() {
		s := section{from: r.at}
		s.id = r.byte()
		s.body = r.part(r.u32())
		if r.err == nil && s.id != secCustom {
			last = m.ordered(&r, s, last)
		}
		m.sections = append(m.sections, s)
	}
	for i := 0; i < len(m.sections) && r.err == nil; i++ {
		r.err = m.read(m.sections[i])
	}
	if len(m.funcs) > 0 && !slices.ContainsFunc(m.sections, func(s section) bool { return s.id == secCode }) {
		r.fail("less code than functions")
	}
	return m, r.err
}

// ordered checks that s may come after the section at place last.
func (m *module) ordered(r *reader, s section, last int) int {
	switch {
	case s.id == secTag:
		r.unsupported("exceptions", s.from)
	case int(s.id) >= len(order):
		r.fail("unknown section %d", s.id)
	case order[s.id] <= last:
		r.fail("section %d twice or in the wrong place", s.id)
	default:
		return order[s.id]
	}
	return last
}

// read checks a section and notes what is needed of it. Bounds of indices are
// checked where Rewrite would give an index a meaning that it did not have.
func (m *module) read(s section) error {
	r := s.body
	switch s.id {
	case secDataCount, secCode:
		return nil
	case secStart:
		m.function(&r)
	case secCustom:
		return readCustom(r)
	case secType:
		r.each(func() { m.params = append(m.params, r.funcType()) })
	case secImport:
		r.each(func() { m.readImport(&r) })
	case secFunction:
		r.each(func() { m.funcs = append(m.funcs, m.typeIndex(&r)) })
	case secTable:
		r.each(func() { m.tableType(&r) })
	case secMemory:
		r.each(func() { m.memoryType(&r) })
	case secGlobal:
		m.readGlobals(&r)
	case secExport:
		r.each(func() { m.readExport(&r) })
	case secElement:
		r.each(func() { m.readElement(&r) })
	case secData:
		r.each(func() { m.readData(&r) })
	}
	r.done("section")
	return r.err
}
