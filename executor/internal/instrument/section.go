package instrument

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
	"github.com/bungee-xr/bungee/internal/abi"
)

// funcType reads a function's type and returns how many parameters it has.
func (r *reader) funcType() (params uint32) {
	at := r.At()
	switch r.Byte() {
	case 0x60:
	case 0x4e, 0x4f, 0x50, 0x5e, 0x5f:
		r.unsupported("garbage collection", at)
	default:
		r.fail("bad type")
	}
	r.Each(func() { r.valueType(); params++ })
	r.Each(func() { r.valueType() })
	return params
}

func (m *module) tableType(r *reader) {
	if r.Peek() == typeEmpty {
		r.unsupported("typed references", r.At())
	}
	if len(m.tables) == MaxTables {
		r.unsupported(fmt.Sprintf("more than %d tables", MaxTables), r.At())
	}
	t := r.valueType()
	if t != typeFunc && t != typeExtern {
		r.fail("table of values")
	}
	m.tables, m.cells = append(m.tables, t), append(m.cells, r.limits())
}

func (m *module) memoryType(r *reader) {
	if m.memories > 0 {
		r.unsupported("several memories", r.At())
	}
	m.memories++
	r.limits()
}

func (m *module) readImport(r *reader) {
	r.Bytes()
	r.Bytes()
	at := r.At()
	switch r.Byte() {
	case wasmbin.KindFunc:
		m.typeIndex(r)
		m.imported++
	case wasmbin.KindTable:
		m.tableType(r)
	case wasmbin.KindMemory:
		m.memoryType(r)
	case wasmbin.KindGlobal:
		r.globalType()
		m.globals++
	case kindTag:
		r.unsupported("exceptions", at)
	default:
		r.fail("bad kind of import")
	}
}

func (r *reader) globalType() {
	r.valueType()
	at := r.At()
	switch flags := r.Byte(); {
	case flags&^0x03 != 0:
		r.fail("bad global")
	case flags&0x02 != 0:
		r.unsupported("threads", at)
	}
}

// readGlobals reads the globals. One can only name those before it, so that
// none can name what is added behind the last.
func (m *module) readGlobals(r *reader) {
	r.Each(func() {
		r.globalType()
		m.constant(r)
		m.globals++
	})
}

func (m *module) readExport(r *reader) {
	at := r.At()
	name := r.name()
	kind, index := r.Byte(), r.U32()
	switch {
	case m.opts.adds(name):
		r.failAt(at, "its own export %q, a name that belongs to the host,", name)
	case kind == kindTag:
		r.unsupported("exceptions", at)
	case kind == wasmbin.KindFunc && index >= m.functions():
		r.fail("no function %d", index)
	case kind == wasmbin.KindFunc && name == abi.ExportBuf:
		m.first = int64(index) - int64(m.imported)
	case kind == wasmbin.KindGlobal && index >= m.globals:
		r.fail("no global %d", index)
	}
}

// constant reads a constant expression. It returns the i32 that it is, none if it is anything
// else.
func (m *module) constant(r *reader) (v int64) {
	for v = none; r.Err() == nil; {
		at := r.At()
		switch code := r.Byte(); code {
		case 0x0b: // end
			return v
		case 0x23: // global.get
			m.global(r)
		case 0x41: // i32.const
			v = int64(uint32(r.Signed(5)))
		case 0x42: // i64.const
			r.Signed(10)
		case 0x43: // f32.const
			r.Skip(4)
		case 0x44: // f64.const
			r.Skip(8)
		case 0xd0: // ref.null
			r.valueType()
		case 0xd2: // ref.func
			m.function(r)
		case 0xfd:
			if r.U32() != 0x0c { // v128.const
				r.fail("instruction in a constant")
			}
			r.Skip(16)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, sub and mul of i32 and i64
			r.unsupported("extended constant expressions", at)
		case 0xfb:
			r.unsupported("garbage collection", at)
		default:
			r.failAt(at, "instruction %#x in a constant", code)
		}
	}
	return v
}

// global reads the index of a global, which must be the module's own.
func (m *module) global(r *reader) {
	if index := r.U32(); index >= m.globals {
		r.fail("no global %d", index)
	}
}

// functions returns how many functions the module has.
func (m *module) functions() uint32 { return m.imported + uint32(len(m.funcs)) }

// function reads the index of a function, which must be the module's own.
func (m *module) function(r *reader) {
	if index := r.U32(); index >= m.functions() {
		r.fail("no function %d", index)
	}
}

// typeIndex reads the index of a type, which must be the module's own.
func (m *module) typeIndex(r *reader) uint32 {
	index := r.U32()
	if int64(index) >= int64(len(m.params)) {
		r.fail("no type %d", index)
	}
	return index
}

// readElement reads an element segment. Its flags say whether it is passive or
// declared (1), names its table or is declared (2), and has expressions (4).
func (m *module) readElement(r *reader) {
	flags := r.U32()
	if flags > 7 {
		r.fail("bad element segment")
	}
	var table uint32
	offset := int64(none)
	if flags&1 == 0 {
		if flags&2 != 0 {
			table = r.U32()
		}
		offset = m.constant(r)
	}
	exprs := flags&4 != 0
	switch {
	case flags&3 == 0:
	case exprs:
		r.valueType()
	case r.Byte() != 0:
		r.fail("bad element kind")
	}
	count := *r
	if exprs {
		r.Each(func() { m.constant(r) })
	} else {
		r.Each(func() { m.function(r) })
	}
	n := count.U32()
	m.elements = append(m.elements, n)
	if offset != none && int64(table) < int64(len(m.cells)) && offset+int64(n) > int64(m.cells[table]) {
		m.outside = true
	}
}

func (m *module) readData(r *reader) {
	at := r.At()
	switch r.U32() {
	case 0:
		m.constant(r)
	case 1:
	case 2:
		if r.U32() != 0 {
			r.unsupported("several memories", at)
		}
		m.constant(r)
	default:
		r.fail("bad data segment")
	}
	m.data = append(m.data, uint32(len(r.Bytes())))
}

// readCustom checks a custom section as far as engines read it, which is the names.
func readCustom(r reader) error {
	if r.name() != "name" {
		return r.Err()
	}
	for r.Err() == nil && r.More() {
		kind := r.Byte()
		part := r.part()
		switch kind {
		case 1: // of functions
			part.Each(part.indexName)
		case 2: // of locals
			part.Each(func() { part.U32(); part.Each(part.indexName) })
		}
		r.Stop(part.Err())
	}
	return r.Err()
}

func (r *reader) indexName() {
	r.U32()
	r.Bytes()
}
