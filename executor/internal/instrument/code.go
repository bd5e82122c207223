package instrument

import "slices"

// maxLocals is how many locals a function may have in all engines (WebAssembly
// JavaScript interface, appendix on limits). All functions of a module may have that
// many and one more for each byte: compilers declare what they use.
const maxLocals = 50_000

// code returns the body of the code section with the edits that the options ask for.
func (m *module) code(r reader) ([]byte, error) {
	s := &scanner{m: m, opts: m.opts, weights: m.opts.costs().weights()}
	w := &writer{m: m, costs: m.opts.costs()}
	if !m.opts.Fuel {
		s.weights = [classes]uint64{}
	}
	const room = 5 // for the count of functions
	out := slices.Grow(make([]byte, room), 2*r.Left())
	funcs := m.funcs
	r.Each(func() {
		if len(funcs) == 0 {
			r.fail("more code than functions")
			return
		}
		typ := funcs[0]
		s.first = int64(len(m.funcs)-len(funcs)) == m.first
		funcs = funcs[1:]
		body, err := m.rewritten(r.part(), typ, s, w)
		switch {
		case r.Err() != nil:
		case err != nil:
			r.Stop(err)
		case len(out)+len(body) > maxSize:
			r.fail("too much code")
		default:
			out = append(appendUnsigned(out, uint32(len(body))), body...)
		}
	})
	if len(funcs) > 0 {
		r.fail("less code than functions")
	}
	r.Done("section")
	for _, k := range m.splitters {
		body := m.body(k)
		out = append(appendUnsigned(out, uint32(len(body))), body...)
	}
	count := appendUnsigned(nil, uint32(len(m.funcs)+len(m.splitters)))
	return slices.Replace(out, 0, room, count...), r.Err()
}

// rewritten returns the body of a function with its edits. It is valid until the
// next call.
func (m *module) rewritten(r reader, typ uint32, s *scanner, w *writer) ([]byte, error) {
	if r.Err() != nil {
		return nil, r.Err()
	}
	groups, own := m.locals(&r, s, m.params[typ])
	start := r.At()
	if err := s.scan(r); err != nil {
		return nil, err
	}
	w.begin(uint32(s.locals), s.edits)
	w.declare(groups, own)
	for _, e := range s.edits {
		w.out = append(w.out, m.wasm[start:e.at]...)
		start = int(e.at)
		w.edit(e)
	}
	w.out = append(w.out, m.wasm[start:r.End()]...)
	return w.out, nil
}

// locals reads the declarations of a function's locals, and returns how many there
// are and their bytes.
func (m *module) locals(r *reader, s *scanner, params uint32) (groups uint32, own []byte) {
	count := *r
	s.locals = uint64(params)
	r.Each(func() {
		s.locals += uint64(r.U32())
		r.valueType()
	})
	m.allLocals += s.locals
	if s.locals > maxLocals-temporaries || m.allLocals > maxLocals+uint64(len(m.wasm)) {
		r.fail("too many locals")
		return 0, nil
	}
	groups = count.U32()
	return groups, m.wasm[min(count.At(), r.At()):r.At()]
}
