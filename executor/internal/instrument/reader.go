package instrument

import "fmt"

// A reader reads a part of a module. After the first error it is at its end, and
// returns zeros.
type reader struct {
	b   []byte // the module, up to the end of the part
	at  int    // offset in the module
	err error
}

func (r *reader) more() bool { return r.at < len(r.b) }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s at offset %#x", ErrModule, fmt.Sprintf(format, args...), r.at)
	}
	r.at = len(r.b)
}

// unsupported fails for a feature, used by what began at offset at.
func (r *reader) unsupported(feature string, at int) {
	if r.err == nil {
		r.err = &FeatureError{feature, at}
	}
	r.at = len(r.b)
}

func (r *reader) byte() byte {
	if r.at >= len(r.b) {
		r.fail("unexpected end")
		return 0
	}
	b := r.b[r.at]
	r.at++
	return b
}

func (r *reader) skip(n int) {
	if n > len(r.b)-r.at {
		r.fail("unexpected end")
		return
	}
	r.at += n
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
	var v uint32
	for shift := 0; ; shift += 7 {
		b := r.byte()
		if shift == 28 && b > 0x0f {
			r.fail("number of more than 32 bits")
			return 0
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

// signed reads a signed LEB128 number of at most size bytes. The engine checks the
// bits of the last one.
func (r *reader) signed(size int) int64 {
	var v int64
	for k := range size {
		b := r.byte()
		v |= int64(b&0x7f) << (7 * k)
		if b < 0x80 {
			unused := max(0, 64-7*(k+1))
			return v << unused >> unused
		}
	}
	r.fail("number of more than %d bytes", size)
	return 0
}

// each calls f for each element of a vector. Elements have a byte at least, so the
// count is bounded before anything is done.
func (r *reader) each(f func()) {
	n := r.u32()
	if int64(n) > int64(len(r.b)-r.at) {
		r.fail("vector of %d elements in %d bytes", n, len(r.b)-r.at)
		return
	}
	for range n {
		if r.err != nil {
			return
		}
		f()
	}
}

// name reads a name.
func (r *reader) name() string {
	n := r.u32()
	from := r.at
	if int64(n) > int64(len(r.b)-r.at) {
		r.fail("name of %d bytes in %d", n, len(r.b)-r.at)
		return ""
	}
	r.at += int(n)
	return string(r.b[from:r.at])
}

// part returns a reader of the next n bytes, and skips them.
func (r *reader) part(n uint32) reader {
	from := r.at
	if int64(n) > int64(len(r.b)-r.at) {
		r.fail("part of %d bytes in %d", n, len(r.b)-r.at)
		return reader{err: r.err}
	}
	r.at += int(n)
	return reader{b: r.b[:r.at], at: from}
}

// done fails when not all was read.
func (r *reader) done(what string) {
	if r.more() {
		r.fail("%d bytes too many in %s", len(r.b)-r.at, what)
	}
}

// Types of values.
const (
	typeI32    = 0x7f
	typeI64    = 0x7e
	typeF32    = 0x7d
	typeF64    = 0x7c
	typeV128   = 0x7b
	typeFunc   = 0x70
	typeExtern = 0x6f
	typeEmpty  = 0x40 // of a block only
)

func (r *reader) valueType() byte {
	at := r.at
	t := r.byte()
	switch t {
	case typeI32, typeI64, typeF32, typeF64, typeV128, typeFunc, typeExtern:
	case 0x69, 0x74:
		r.unsupported("exceptions", at)
	case 0x63, 0x64, 0x65, 0x68, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73, 0x75:
		r.unsupported("typed references", at)
	default:
		r.at = at
		r.fail("bad value type")
	}
	return t
}

// blockType skips what follows block, loop and if: a value type, or the index of one of
// so many types.
func (r *reader) blockType(types int) {
	if r.more() {
		switch b := r.b[r.at]; {
		case b == typeEmpty:
			r.at++
			return
		case b > typeEmpty && b < 0x80:
			r.valueType()
			return
		}
	}
	if index := r.signed(5); index < 0 || index >= int64(types) {
		r.fail("no type %d", index)
	}
}

// limits reads those of a memory or a table, and returns the least.
func (r *reader) limits() uint32 {
	at := r.at
	flags := r.byte()
	switch {
	case flags&^0x0f != 0:
		r.fail("bad limits")
	case flags&0x02 != 0:
		r.unsupported("threads", at)
	case flags&0x04 != 0:
		r.unsupported("memory64", at)
	case flags&0x08 != 0:
		r.unsupported("custom page sizes", at)
	}
	least := r.u32()
	if flags&0x01 != 0 {
		r.u32()
	}
	return least
}
