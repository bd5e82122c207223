// Package startup rewrites modules so that all they do before their first call is one
// function, _initialize. An engine makes an instance, which runs no code of the module
// then, gives it its fuel, and calls that function: what starts an instance is counted
// and bounded as a call is.
//
//	wasm, err := startup.Rewrite(wasm)
//
// A start function runs at the head of _initialize. What active segments copy as the
// instance is made is charged there, where the module counts fuel (package instrument):
// as much as memory.init and table.init of the same size cost.
package startup

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/bungee-xr/bungee/executor/internal/instrument"
	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Version changes when engines get other code of a module.
const Version = 1

// none is the index of a function or global that a module does not have.
const none = -1

// A module is what Rewrite has to know of one.
type module struct {
	sections []wasmbin.Section
	nothing  []bool // of each type: no parameters and no results
	funcs    []int  // types of all functions, imported ones first
	start    int
	init     int // exported as _initialize
	fuel     int // the global
	bytes    int // of active segments
	elements int // likewise
}

// Rewrite returns wasm with its start function and the cost of its active segments in
// _initialize, wasm itself where it has neither. The module must be one that
// instrument.Rewrite has made or let pass. Where _initialize has parameters or results,
// wasm stays as it is: engines refuse it.
func Rewrite(wasm []byte) ([]byte, error) {
	m, err := parse(wasm)
	if err != nil {
		return nil, fmt.Errorf("find what runs at the start: %w", err)
	}
	cost := m.cost()
	if m.start == none && cost == 0 || m.init != none && !m.isNothing(m.init) {
		return wasm, nil
	}
	if err := m.add(m.code(cost)); err != nil {
		return nil, fmt.Errorf("add a function that runs at the start: %w", err)
	}
	return wasmbin.Join(m.sections), nil
}

// isNothing says whether a function has no parameters and no results.
func (m *module) isNothing(f int) bool {
	return f < len(m.funcs) && m.funcs[f] < len(m.nothing) && m.nothing[m.funcs[f]]
}

// cost is the fuel that the active segments cost, 0 where the module counts none.
func (m *module) cost() int64 {
	if m.fuel == none {
		return 0
	}
	return int64(m.bytes/64+m.elements/8) * int64(instrument.DefaultCosts.Bulk)
}

func parse(wasm []byte) (*module, error) {
	sections, err := wasmbin.Sections(wasm)
	if err != nil {
		return nil, err
	}
	m := &module{sections: sections, start: none, init: none, fuel: none}
	for _, s := range sections {
		if err := m.read(s); err != nil {
			return nil, fmt.Errorf("section %d: %w", s.ID, err)
		}
	}
	return m, nil
}

// read notes what is needed of a section.
func (m *module) read(s wasmbin.Section) error {
	r := wasmbin.NewReader(s.Body)
	switch s.ID {
	case wasmbin.Type:
		r.Each(func() { m.nothing = append(m.nothing, readType(r)) })
	case wasmbin.Import:
		r.Each(func() {
			if im := r.Import(); im.Kind == wasmbin.KindFunc {
				m.funcs = append(m.funcs, int(im.Type))
			}
		})
	case wasmbin.Function:
		r.Each(func() { m.funcs = append(m.funcs, int(r.U32())) })
	case wasmbin.Export:
		r.Each(func() { m.readExport(r) })
	case wasmbin.Start:
		m.start = int(r.U32())
	case wasmbin.Element:
		r.Each(func() {
			if n, active := r.ElementSegment(); active {
				m.elements += n
			}
		})
	case wasmbin.Data:
		r.Each(func() {
			if n, active := r.DataSegment(); active {
				m.bytes += n
			}
		})
	}
	return r.Err()
}

// readType reads a function's type and says whether it has no parameters and no results.
func readType(r *wasmbin.Reader) bool {
	if r.Byte() != 0x60 {
		r.Fail("bad type")
	}
	return len(r.Bytes())+len(r.Bytes()) == 0 // a byte each
}

func (m *module) readExport(r *wasmbin.Reader) {
	name, kind, index := string(r.Bytes()), r.Byte(), int(r.U32())
	switch {
	case kind == wasmbin.KindFunc && name == abi.ExportInitialize:
		m.init = index
	case kind == wasmbin.KindGlobal && name == instrument.FuelGlobal:
		m.fuel = index
	}
}

// code returns the body of the function that runs at the start.
func (m *module) code(cost int64) []byte {
	body := []byte{0} // no locals
	if cost > 0 {
		fuel := binary.AppendUvarint(nil, uint64(m.fuel))
		body = append(append(body, 0x23), fuel...)       // global.get
		body = appendSigned(append(body, 0x42), cost)    // i64.const
		body = append(append(body, 0x7d, 0x24), fuel...) // i64.sub, global.set
		body = append(append(body, 0x23), fuel...)       // global.get
		body = append(body, 0x42, 0, 0x53, 0x04, 0x40, 0, 0x0b)
		// i64.const 0, i64.lt_s, if, unreachable, end
	}
	for _, f := range []int{m.start, m.init} {
		if f != none {
			body = binary.AppendUvarint(append(body, 0x10), uint64(f)) // call
		}
	}
	return append(body, 0x0b)
}

func appendSigned(b []byte, v int64) []byte {
	for ; v >= 0x40; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// add adds a function with that body, exports it as _initialize, and takes the start
// section out.
func (m *module) add(body []byte) (err error) {
	typ := slices.Index(m.nothing, true)
	if typ < 0 {
		typ = len(m.nothing)
		err = m.append(wasmbin.Type, []byte{0x60, 0, 0}, err)
	}
	err = m.append(wasmbin.Function, binary.AppendUvarint(nil, uint64(typ)), err)
	err = m.append(wasmbin.Code, append(binary.AppendUvarint(nil, uint64(len(body))), body...), err)
	index := binary.AppendUvarint([]byte{wasmbin.KindFunc}, uint64(len(m.funcs)))
	if m.init != none {
		m.replaceExport(index)
	} else {
		name := append([]byte{byte(len(abi.ExportInitialize))}, abi.ExportInitialize...)
		err = m.append(wasmbin.Export, append(name, index...), err)
	}
	m.sections = slices.DeleteFunc(m.sections, func(s wasmbin.Section) bool { return s.ID == wasmbin.Start })
	return err
}

// append adds an entry to a section, unless there was an error before.
func (m *module) append(id byte, entry []byte, before error) (err error) {
	if before != nil {
		return before
	}
	m.sections, err = wasmbin.Append(m.sections, id, entry)
	return err
}

// replaceExport makes _initialize the export of the function that index names.
func (m *module) replaceExport(index []byte) {
	for k, s := range m.sections {
		if s.ID != wasmbin.Export {
			continue
		}
		r := wasmbin.NewReader(s.Body)
		body := make([]byte, 0, len(s.Body)+len(index))
		n := 0
		r.Each(func() {
			name, kind, old := r.Bytes(), r.Byte(), r.U32()
			body = append(binary.AppendUvarint(body, uint64(len(name))), name...)
			if kind == wasmbin.KindFunc && string(name) == abi.ExportInitialize {
				body = append(body, index...)
			} else {
				body = binary.AppendUvarint(append(body, kind), uint64(old))
			}
			n++
		})
		m.sections[k].Body = append(binary.AppendUvarint(nil, uint64(n)), body...)
	}
}
