package wasmbin

import "fmt"

// A Reader reads a part of a module. After the first error it is at its end, and returns
// zeros. It may be copied, to read something twice. An error costs nothing until it is asked
// for: whoever looks at many parts may see each of them fail.
type Reader struct {
	b   []byte // of which it is a part, up to its end
	at  int
	err error
	why string // err is ErrMalformed
}

// NewReader returns a Reader of b, which it never writes to.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// At returns the offset of what is read next, after an error that of the error, in what
// NewReader was given.
func (r *Reader) At() int { return r.at }

// End returns the offset of the end, which after an error is where the error is.
func (r *Reader) End() int { return len(r.b) }

// More says whether there is more to read.
func (r *Reader) More() bool { return r.at < len(r.b) }

// Left returns how many bytes are left to read.
func (r *Reader) Left() int { return len(r.b) - r.at }

// Rest returns what is left to read, which is shared with what is read.
func (r *Reader) Rest() []byte { return r.b[r.at:len(r.b):len(r.b)] }

// Err returns the first error.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return r.told()
}

func (r *Reader) told() error {
	if r.why == "" {
		return r.err
	}
	return fmt.Errorf("%w: %s at offset %#x", r.err, r.why, r.at)
}

// Fail has Err return an [ErrMalformed] that says why and where, unless there was an error
// before.
func (r *Reader) Fail(why string) {
	if r.err == nil {
		r.err, r.why = ErrMalformed, why
	}
	r.b = r.b[:r.at]
}

// Stop has Err return err, unless there was an error before. It does nothing where err is nil.
func (r *Reader) Stop(err error) {
	if err == nil {
		return
	}
	if r.err == nil {
		r.err = err
	}
	r.b = r.b[:r.at]
}

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if r.at >= len(r.b) {
		r.Fail("unexpected end")
		return 0
	}
	b := r.b[r.at]
	r.at++
	return b
}

// Peek returns the byte that Byte would, 0 at the end.
func (r *Reader) Peek() byte {
	if r.at >= len(r.b) {
		return 0
	}
	return r.b[r.at]
}

// Skip passes over n bytes. Fewer than none are an error.
func (r *Reader) Skip(n int) {
	if uint(n) > uint(len(r.b)-r.at) {
		r.Fail("unexpected end")
		return
	}
	r.at += n
}

// U32 reads an unsigned LEB128 number of at most 32 bits.
func (r *Reader) U32() uint32 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 { // most numbers
		r.at++
		return uint32(r.b[r.at-1])
	}
	var v uint32
	for shift := 0; ; shift += 7 {
		b := r.Byte()
		if shift == 28 && b > 0x0f {
			r.Fail("number of more than 32 bits")
			return 0
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			if r.err != nil {
				return 0
			}
			return v
		}
	}
}

// Signed reads a signed LEB128 number of at most size bytes. Bits beyond 64 are lost.
func (r *Reader) Signed(size int) int64 {
	var v int64
	for k := range size {
		b := r.Byte()
		v |= int64(b&0x7f) << (7 * k)
		if b < 0x80 {
			if r.err != nil {
				return 0
			}
			unused := max(0, 64-7*(k+1))
			return v << unused >> unused
		}
	}
	r.Fail("number of too many bytes")
	return 0
}

// Each reads a number and calls f as often. Entries have a byte at least, so that a
// number which the bytes cannot hold is an error at once.
func (r *Reader) Each(f func()) {
	n := r.U32()
	if int64(n) > int64(len(r.b)-r.at) {
		r.Fail("vector of more elements than there are bytes")
		return
	}
	for range n {
		if r.err != nil {
			return
		}
		f()
	}
}

// Bytes reads a length and as many bytes, which are shared with what is read.
func (r *Reader) Bytes() []byte {
	n := r.U32()
	if int64(n) > int64(len(r.b)-r.at) {
		r.Fail("length of more than there are bytes")
		return nil
	}
	from := r.at
	r.at += int(n)
	return r.b[from:r.at:r.at]
}

// Part reads a length, and returns a Reader of as many bytes, which are passed over.
func (r *Reader) Part() Reader {
	n := len(r.Bytes())
	return Reader{b: r.b[:r.at], at: r.at - n, err: r.err, why: r.why}
}

// Done fails when not all of what is named was read.
func (r *Reader) Done(what string) {
	if r.More() {
		r.Fail("bytes too many in " + what)
	}
}
