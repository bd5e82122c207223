package wazero

import (
	"encoding/binary"
	"math"

	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
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
	sections, err := wasmbin.Sections(wasm)
	if err != nil {
		return nil, found, err
	}
	for k, s := range sections {
		r := wasmbin.NewReader(s.Body)
		switch s.ID {
		case wasmbin.Import:
			found.imports = imports(r)
		case wasmbin.Table:
			sections[k].Body, found.table = tables(r, most)
		}
		if err := r.Err(); err != nil {
			return nil, found, err
		}
	}
	return wasmbin.Join(sections), found, nil
}

// imports reads the import section, and returns the imports that are no functions.
func imports(r *wasmbin.Reader) (others []guest.FuncType) {
	r.Each(func() {
		if im := r.Import(); im.Kind != wasmbin.KindFunc {
			others = append(others, guest.FuncType{Module: string(im.Module), Name: string(im.Name), Params: "?"})
		}
	})
	return others
}

// Bytes of a table's type (WebAssembly Core Specification 2.0, 5.3.9).
const (
	typeFuncref   = 0x70
	typeExternref = 0x6f
	hasMax        = 1
)

// A table is its type.
type table struct {
	kind             byte
	minimum, maximum uint32
}

func readTable(r *wasmbin.Reader) (t table) {
	if t.kind = r.Byte(); t.kind != typeFuncref && t.kind != typeExternref {
		r.Fail("table of another type")
	}
	flags := r.Byte()
	t.minimum, t.maximum = r.U32(), math.MaxUint32
	if flags == hasMax {
		t.maximum = r.U32()
	}
	if flags > hasMax || t.maximum < t.minimum {
		r.Fail("bad limits of a table")
	}
	return t
}

// tables reads the table section, and returns it with its maxima, and the elements at the start.
// What the tables may grow by is shared among them evenly.
func tables(r *wasmbin.Reader, most uint64) (section []byte, total uint64) {
	var all []table
	r.Each(func() {
		t := readTable(r)
		all = append(all, t)
		total += uint64(t.minimum)
	})
	section = binary.AppendUvarint(nil, uint64(len(all)))
	for _, t := range all {
		room := (most - min(most, total)) / uint64(len(all))
		section = append(section, t.kind, hasMax)
		section = binary.AppendUvarint(section, uint64(t.minimum))
		section = binary.AppendUvarint(section, min(uint64(t.maximum), uint64(t.minimum)+room))
	}
	return section, total
}
