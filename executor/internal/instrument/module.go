package instrument

import (
	"bytes"
	"slices"

	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
)

// What WebAssembly 2.0 does not have.
const (
	secTag  = 13
	kindTag = 4
)

// order is the place of each section in a module: the data count is before
// the code, tags are before the globals.
var order = [...]int{
	wasmbin.Type: 1, wasmbin.Import: 2, wasmbin.Function: 3, wasmbin.Table: 4, wasmbin.Memory: 5, secTag: 6, wasmbin.Global: 7,
	wasmbin.Export: 8, wasmbin.Start: 9, wasmbin.Element: 10, wasmbin.DataCount: 11, wasmbin.Code: 12, wasmbin.Data: 13,
}

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
	r := reader{*wasmbin.NewReader(wasm)}
	switch {
	case len(wasm) > maxSize:
		r.fail("more than %d bytes", maxSize)
	case bytes.HasPrefix(wasm, component):
		r.unsupported("the component model", 4)
	case !bytes.HasPrefix(wasm, magic):
		r.fail("no WebAssembly module")
	}
	r.Skip(min(len(magic), r.Left()))
	last := 0
	for r.Err() == nil && r.More() {
		s := section{from: r.At()}
		s.id = r.Byte()
		s.body = r.part()
		if r.Err() == nil && s.id != wasmbin.Custom {
			last = m.ordered(&r, s, last)
		}
		m.sections = append(m.sections, s)
	}
	for i := 0; i < len(m.sections) && r.Err() == nil; i++ {
		r.Stop(m.read(m.sections[i]))
	}
	if len(m.funcs) > 0 && !slices.ContainsFunc(m.sections, func(s section) bool { return s.id == wasmbin.Code }) {
		r.fail("less code than functions")
	}
	return m, r.Err()
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
	case wasmbin.DataCount, wasmbin.Code:
		return nil
	case wasmbin.Start:
		m.function(&r)
	case wasmbin.Custom:
		return readCustom(r)
	case wasmbin.Type:
		r.Each(func() { m.params = append(m.params, r.funcType()) })
	case wasmbin.Import:
		r.Each(func() { m.readImport(&r) })
	case wasmbin.Function:
		r.Each(func() { m.funcs = append(m.funcs, m.typeIndex(&r)) })
	case wasmbin.Table:
		r.Each(func() { m.tableType(&r) })
	case wasmbin.Memory:
		r.Each(func() { m.memoryType(&r) })
	case wasmbin.Global:
		m.readGlobals(&r)
	case wasmbin.Export:
		r.Each(func() { m.readExport(&r) })
	case wasmbin.Element:
		r.Each(func() { m.readElement(&r) })
	case wasmbin.Data:
		r.Each(func() { m.readData(&r) })
	}
	r.Done("section")
	return r.Err()
}
