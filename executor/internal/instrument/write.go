package instrument

import "slices"

// rewrite returns the module with the code that opts ask for.
func (m *module) rewrite(opts Options) ([]byte, error) {
	out := slices.Grow([]byte(nil), 2*len(m.wasm))
	out = append(out, magic...)
	global, export := !opts.Fuel, !opts.Fuel // are there already
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
		code, err := m.code(s.body, opts)
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

// globalSection appends the section of globals, s if it is that, and the fuel in it.
func (m *module) globalSection(out []byte, s section) []byte {
	fuel := []byte{typeI64, 1, 0x42}
	fuel = append(appendSigned(fuel, 1<<63-1), 0x0b)
	return appendSection(out, secGlobal, extended(s, secGlobal, fuel))
}

// exportSection appends the section of exports, s if it is that, and the fuel in it.
func (m *module) exportSection(out []byte, s section) []byte {
	fuel := appendUnsigned(nil, uint32(len(FuelGlobal)))
	fuel = append(fuel, FuelGlobal...)
	fuel = appendUnsigned(append(fuel, kindGlobal), m.globals)
	return appendSection(out, secExport, extended(s, secExport, fuel))
}

// extended returns the vector of section s with one more element. A section
// of another kind than id counts as an empty vector.
func extended(s section, id byte, element []byte) []byte {
	var n uint32
	var body []byte
	if s.id == id {
		r := s.body
		n = r.u32()
		body = r.b[r.at:]
	}
	b := appendUnsigned(nil, n+1)
	return append(append(b, body...), element...)
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
