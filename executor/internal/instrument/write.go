package instrument

import "slices"

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
	out := slices.Grow([]byte(nil), 2*len(m.wasm))
	out = append(out, magic...)
	none := len(m.opts.added()) == 0
	global, export := none, none // are there already
	for _, s := range m.sections {
		if !global && s.id != secCustom && order[s.id] >= order[secGlobal] {
			out, global = m.globalSection(out, s), true
			if s.id == secGlobal {
				continue
			}
		}
		if !export && s.id != secCustom && order[s.id] >= order[secExport] {
			out, export = m.exportSection(out, s), true
			if s.id == secExport {
				continue
			}
		}
		if s.id != secCode {
			out = append(out, m.wasm[s.from:len(s.body.b)]...)
			continue
		}
		code, err := m.code(s.body)
		if err != nil {
			return nil, err
		}
		out = appendSection(out, secCode, code)
	}
	if !global {
		out = m.globalSection(out, section{})
	}
	if !export {
		out = m.exportSection(out, section{})
	}
	return out, nil
}

// globalSection appends the section of globals, s if it is that, and in it those that
// are added.
func (m *module) globalSection(out []byte, s section) []byte {
	var all [][]byte
	for _, g := range m.opts.added() {
		all = append(all, g.code)
	}
	return appendSection(out, secGlobal, extended(s, secGlobal, all))
}

// exportSection appends the section of exports, s if it is that, and in it the globals
// that are added.
func (m *module) exportSection(out []byte, s section) []byte {
	var all [][]byte
	for _, g := range m.opts.added() {
		e := append(appendUnsigned(nil, uint32(len(g.name))), g.name...)
		all = append(all, appendUnsigned(append(e, kindGlobal), m.added(g.name)))
	}
	return appendSection(out, secExport, extended(s, secExport, all))
}

// extended returns the vector of section s with more elements. A section of another
// kind than id counts as an empty vector.
func extended(s section, id byte, more [][]byte) []byte {
	var n uint32
	var body []byte
	if s.id == id {
		r := s.body
		n = r.u32()
		body = r.b[r.at:]
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
