package wazero

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/bungee-xr/bungee/executor/internal/guest"
)

// findings are what wazero does not tell of a module that it has compiled.
type findings struct {
	table   uint64           // elements of all tables at the start
	imports []guest.FuncType // that are no functions, with a type that no host function has
}

// bound returns wasm with a maximum for each table, so that all of them together grow
// to no more than most elements: wazero has no limit of its own. The rest of the
// module is left as it is, and for wazero to check.
func bound(wasm []byte, most uint64) ([]byte, findings, error) {
	var found findings
	r := &reader{rest: wasm}
	out := append([]byte(nil), r.take(8)...)
	for len(r.rest) > 0 && !r.short {
		id := r.byte()
		body := r.take(r.u32())
		section := &reader{rest: body}
		switch id {
		case sectionImport:
			found.imports = section.imports()
		case sectionTable:
			body, found.table = section.tables(most)
		}
		if section.short {
			return nil, found, errMalformed
		}
		out = append(out, id)
		out = binary.AppendUvarint(out, uint64(len(body)))
		out = append(out, body...)
	}
	if r.short {
		return nil, found, errMalformed
	}
	return out, found, nil
}

// Sections and kinds of imports, and other bytes of the binary format (WebAssembly
// Core Specification 2.0, chapter 5).
const (
	sectionImport = 2
	sectionTable  = 4

	kindFunc   = 0
	kindTable  = 1
	kindMemory = 2
	kindGlobal = 3

	typeFuncref   = 0x70
	typeExternref = 0x6f
	hasMax        = 1
)

var errMalformed = errors.New("malformed or truncated, or of a version that is not supported")

// A reader reads a module's bytes. Once they do not suffice, or are not as they
// should be, short is set and all that it returns is zero.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) fail() { r.rest, r.short = nil, true }

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > math.MaxUint32 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return uint32(v)
}

// limits reads the bounds of a table or a memory; max is 2^32-1 when there is none.
func (r *reader) limits() (minimum, maximum uint32) {
	flags := r.byte()
	minimum, maximum = r.u32(), math.MaxUint32
	if flags == hasMax {
		maximum = r.u32()
	}
	if flags > hasMax || maximum < minimum {
		r.fail()
	}
	return minimum, maximum
}

// tableType reads the type of a table's elements.
func (r *reader) tableType() byte {
	t := r.byte()
	if t != typeFuncref && t != typeExternref {
		r.fail()
	}
	return t
}

// imports returns the imports that are no functions.
func (r *reader) imports() (others []guest.FuncType) {
	for n := r.u32(); n > 0 && !r.short; n-- {
		im := guest.FuncType{Module: string(r.take(r.u32())), Name: string(r.take(r.u32())), Params: "?"}
		switch kind := r.byte(); kind {
		case kindFunc:
			r.u32()
			continue
		case kindTable:
			r.tableType()
			r.limits()
		case kindMemory:
			r.limits()
		case kindGlobal:
			r.take(2)
		default:
			r.fail()
		}
		others = append(others, im)
	}
	return others
}

// tables returns the table section with its maxima, and the elements at the start.
// What the tables may grow by is shared among them evenly.
func (r *reader) tables(most uint64) (section []byte, total uint64) {
	type table struct {
		kind             byte
		minimum, maximum uint32
	}
	var all []table
	for n := r.u32(); n > 0 && !r.short; n-- {
		kind := r.tableType()
		minimum, maximum := r.limits()
		all = append(all, table{kind, minimum, maximum})
		total += uint64(minimum)
	}
	section = binary.AppendUvarint(nil, uint64(len(all)))
	for _, t := range all {
		room := (most - min(most, total)) / uint64(len(all))
		section = append(section, t.kind, hasMax)
		section = binary.AppendUvarint(section, uint64(t.minimum))
		section = binary.AppendUvarint(section, min(uint64(t.maximum), uint64(t.minimum)+room))
	}
	return section, total
}
