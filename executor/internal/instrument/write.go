package instrument

import (
	"slices"

	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
)

// A global is one that is added to a module.
type global struct {
	name string // of its export
	code []byte // its type and its value at first
}

// added returns the globals that o adds, in their order behind the module's own.
func (o Options) added() (all []global) {
	if o.Fuel {
		fuel := appendSigned([]byte{typeI64, 1, opI64Const}, 1<<63-1)
		all = append(all, global{FuelGlobal, append(fuel, opEnd)})
	}
	if o.Refusals {
		all = append(all, global{RefusedGlobal, []byte{typeI32, 1, opI32Const, 0, opEnd}})
	}
	return all
}

// adds says whether o adds a global of that name.
func (o Options) adds(name string) bool {
	return name == FuelGlobal && o.Fuel || name == RefusedGlobal && o.Refusals
}

// added returns the index of an added global.
func (m *module) added(name string) uint32 {
	if name == RefusedGlobal && m.opts.Fuel {
		return m.globals + 1
	}
	return m.globals
}

// rewrite returns the module with the code that its options ask for.
func (m *module) rewrite() ([]byte, error) {
	code, err := m.newCode()
	if err != nil {
		return nil, err
	}
	added := m.addedTo()
	out := slices.Grow([]byte(nil), 2*len(m.wasm))
	out = append(out, magic...)
	for _, s := range m.sections {
		if s.id != wasmbin.Custom {
			out = missing(out, added, order[s.id])
		}
		switch more := added[s.id]; {
		case s.id == wasmbin.Code:
			out = appendSection(out, wasmbin.Code, code)
		case len(more) > 0:
			out = appendSection(out, s.id, extended(s, more))
			delete(added, s.id)
		default:
			out = append(out, m.wasm[s.from:s.body.End()]...)
		}
	}
	return missing(out, added, len(order)), nil
}

// newCode returns the body of the code section, nil where there is none.
func (m *module) newCode() ([]byte, error) {
	for _, s := range m.sections {
		if s.id == wasmbin.Code {
			return m.code(s.body)
		}
	}
	return nil, nil
}

// addedTo returns what each section gets, by its identifier. The code has been read.
func (m *module) addedTo() map[byte][][]byte {
	added := map[byte][][]byte{}
	for _, g := range m.opts.added() {
		added[wasmbin.Global] = append(added[wasmbin.Global], g.code)
		e := append(appendUnsigned(nil, uint32(len(g.name))), g.name...)
		added[wasmbin.Export] = append(added[wasmbin.Export], appendUnsigned(append(e, wasmbin.KindGlobal), m.added(g.name)))
	}
	if len(m.splitters) == 0 {
		return added
	}
	added[wasmbin.Type] = splitterTypeCodes()
	for _, k := range m.splitters {
		added[wasmbin.Function] = append(added[wasmbin.Function], appendUnsigned(nil, uint32(len(m.params)+m.splitterType(k))))
	}
	return added
}

// missing appends the sections that get something, and that the module does not have,
// which come before the place before. A module with code has types and functions.
func missing(out []byte, added map[byte][][]byte, before int) []byte {
	for _, id := range []byte{wasmbin.Global, wasmbin.Export} {
		if more := added[id]; len(more) > 0 && order[id] < before {
			out = appendSection(out, id, extended(section{}, more))
			delete(added, id)
		}
	}
	return out
}

// extended returns the vector of section s, empty if it is none, with more elements.
func extended(s section, more [][]byte) []byte {
	var n uint32
	var body []byte
	if s.id != wasmbin.Custom {
		r := s.body
		n = r.U32()
		body = r.Rest()
	}
	b := append(appendUnsigned(nil, n+uint32(len(more))), body...)
	return append(b, slices.Concat(more...)...)
}

func appendSection(out []byte, id byte, body []byte) []byte {
	return append(appendUnsigned(append(out, id), uint32(len(body))), body...)
}

func appendUnsigned(b []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func appendSigned(b []byte, v int64) []byte {
	for ; v < -64 || v > 63; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v)&0x7f)
}
