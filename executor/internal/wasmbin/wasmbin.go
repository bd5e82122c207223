// Package wasmbin reads and writes the binary format of modules as far as sections,
// numbers and names. Its [Reader] is the one with which packages instrument, shape and
// startup read modules; what they make of what they read is theirs. The grammar is that of
// the WebAssembly Core Specification 2.0, chapter 5.
package wasmbin

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Identifiers of sections.
const (
	Custom    = 0
	Type      = 1
	Import    = 2
	Function  = 3
	Table     = 4
	Memory    = 5
	Global    = 6
	Export    = 7
	Start     = 8
	Element   = 9
	Code      = 10
	Data      = 11
	DataCount = 12
)

// Kinds of imports and exports.
const (
	KindFunc   = 0
	KindTable  = 1
	KindMemory = 2
	KindGlobal = 3
)

// order is the place of each section in a module: the data count is before the code.
var order = [...]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 9: 9, DataCount: 10, Code: 11, Data: 12}

// ErrMalformed says that the bytes are no module, or end too early.
var ErrMalformed = errors.New("malformed or truncated module")

var magic = []byte("\x00asm\x01\x00\x00\x00")

// A Section is a section of a module.
type Section struct {
	ID   byte
	Body []byte // shared with the module
}

// maxSections bounds the list of sections, of which one of two bytes has 32 bytes there: 64 MiB of them
// would take a GiB. Modules have some dozens.
const maxSections = 10_000

// Sections returns the sections of wasm, in their order. Its error is [ErrMalformed], also where there
// are more than 10,000.
func Sections(wasm []byte) ([]Section, error) {
	if !bytes.HasPrefix(wasm, magic) {
		return nil, ErrMalformed
	}
	var all []Section
	r := NewReader(wasm)
	r.Skip(len(magic))
	for r.More() {
		s := Section{ID: r.Byte()}
		s.Body = r.Bytes()
		if int(s.ID) >= len(order) {
			r.Fail("unknown section")
		}
		if len(all) == maxSections {
			r.Fail("too many sections")
		}
		all = append(all, s)
	}
	return all, r.Err()
}

// Join returns the module that has these sections.
func Join(sections []Section) []byte {
	size := len(magic)
	for _, s := range sections {
		size += 1 + binary.MaxVarintLen32 + len(s.Body)
	}
	wasm := append(make([]byte, 0, size), magic...)
	for _, s := range sections {
		wasm = append(wasm, s.ID)
		wasm = binary.AppendUvarint(wasm, uint64(len(s.Body)))
		wasm = append(wasm, s.Body...)
	}
	return wasm
}

// Append adds an entry at the end of the vector in section id, and the section itself
// where it is missing.
func Append(sections []Section, id byte, entry []byte) ([]Section, error) {
	for k, s := range sections {
		if s.ID == id {
			r := NewReader(s.Body)
			n := uint64(r.U32()) + 1
			body := append(binary.AppendUvarint(make([]byte, 0, len(s.Body)+len(entry)+1), n), r.Rest()...)
			sections[k].Body = append(body, entry...)
			return sections, r.Err()
		}
	}
	at := len(sections)
	for k := len(sections) - 1; k >= 0; k-- {
		if s := sections[k]; s.ID == Custom || order[s.ID] > order[id] {
			at = k
		} else {
			break
		}
	}
	added := append([]Section{}, sections[:at]...)
	added = append(added, Section{id, append([]byte{1}, entry...)})
	return append(added, sections[at:]...), nil
}

// Constant passes over a constant expression, and the end of it.
func (r *Reader) Constant() {
	for r.err == nil {
		switch r.Byte() {
		case 0x0b: // end
			return
		case 0x23, 0xd2: // global.get, ref.func
			r.U32()
		case 0x41: // i32.const
			r.Signed(5)
		case 0x42: // i64.const
			r.Signed(10)
		case 0x43: // f32.const
			r.Skip(4)
		case 0x44: // f64.const
			r.Skip(8)
		case 0xd0: // ref.null
			r.Byte()
		case 0xfd: // v128.const
			r.U32()
			r.Skip(16)
		default:
			r.Fail("no constant")
		}
	}
}

// Limits passes over the bounds of a table or a memory.
func (r *Reader) Limits() {
	flags := r.Byte()
	r.U32()
	if flags&1 != 0 {
		r.U32()
	}
}

// An ImportEntry is what a module imports. Type is a function's, else 0.
type ImportEntry struct {
	Module, Name []byte
	Kind         byte
	Type         uint32
}

// Import reads an entry of the import section.
func (r *Reader) Import() (im ImportEntry) {
	im.Module, im.Name, im.Kind = r.Bytes(), r.Bytes(), r.Byte()
	switch im.Kind {
	case KindFunc:
		im.Type = r.U32()
	case KindTable:
		r.Byte()
		r.Limits()
	case KindMemory:
		r.Limits()
	case KindGlobal:
		r.Skip(2)
	default:
		r.Fail("bad kind of import")
	}
	return im
}

// ElementSegment reads a segment of the element section, and returns how many elements
// it has and whether it is copied to its table as the module is instantiated.
func (r *Reader) ElementSegment() (n int, active bool) {
	flags := r.U32()
	active = flags&1 == 0
	if active {
		if flags&2 != 0 {
			r.U32() // the table
		}
		r.Constant()
	}
	if flags&3 != 0 {
		r.Byte() // the kind or the type
	}
	if flags > 7 {
		r.Fail("bad element segment")
	}
	entry := func() { r.U32() }
	if flags&4 != 0 {
		entry = r.Constant
	}
	r.Each(func() { n++; entry() })
	return n, active
}

// DataSegment reads a segment of the data section, and returns how many bytes it has
// and whether they are copied to the memory as the module is instantiated.
func (r *Reader) DataSegment() (n int, active bool) {
	flags := r.U32()
	if flags > 2 {
		r.Fail("bad data segment")
	}
	if flags == 2 {
		r.U32() // the memory
	}
	if active = flags != 1; active {
		r.Constant()
	}
	return len(r.Bytes()), active
}
