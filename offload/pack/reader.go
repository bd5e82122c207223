package pack

import (
	"encoding/binary"
	"math"
	"strconv"
)

// A Reader reads msgpack values one after the other. Its first error sticks:
// from then on every method returns the zero value.
type Reader struct {
	b     []byte
	off   int
	depth int // of values of recursive types
	share int // the least length of what Bytes shares; 0: it shares nothing
	err   error
}

// NewReader returns a Reader of b. It does not change b, and what it reads stays valid
// when b changes, except what BytesRef and Rest return.
func NewReader(b []byte) Reader { return Reader{b: b} }

// OwnedSize is the size, in bytes, from which on an input can be given away: nothing in a
// smaller one is shared. A smaller value is copied faster than a buffer of its own is made.
const OwnedSize = 32 << 10

// NewOwnedReader returns a Reader of b, which is given away: nobody else uses b afterwards,
// unless it is smaller than [OwnedSize]. Bytes returns a value of at least OwnedSize that is
// at least a quarter of b as a part of b, and copies any other one. So whoever keeps a value
// holds at most four times its bytes.
func NewOwnedReader(b []byte) Reader {
	return Reader{b: b, share: max(OwnedSize, (len(b)+3)/4)}
}

// Err returns the first error, an [*Error].
func (r *Reader) Err() error { return r.err }

// Fail makes err the first error, unless there is one.
func (r *Reader) Fail(err error) { r.fail(r.off, "value", err) }

// Done returns the first error, or an error if input is left over.
func (r *Reader) Done() error {
	if r.off < len(r.b) {
		r.fail(r.off, "input", ErrTrailing)
	}
	return r.err
}

// Rest returns the input that is left, by reference: what follows the values
// that were read. It is empty after an error.
func (r *Reader) Rest() []byte {
	if r.err != nil {
		return nil
	}
	return r.b[r.off:]
}

// Nil reads nil and returns true, or returns false and reads nothing.
func (r *Reader) Nil() bool {
	if r.err != nil || r.off >= len(r.b) || r.b[r.off] != nilByte {
		return false
	}
	r.off++
	return true
}

// Bool reads a bool.
func (r *Reader) Bool() bool {
	at := r.off
	switch r.first("bool") {
	case truthy:
		return true
	case falsey:
		return false
	}
	r.fail(at, "bool", ErrType)
	return false
}

// Int reads an integer of any form that fits int64.
func (r *Reader) Int() int64 { return r.IntN(64) }

// IntN reads an integer that fits a signed type of n bits. 0 bits stands for
// the size of int.
func (r *Reader) IntN(n int) int64 {
	at := r.off
	v, negative := r.integer("int")
	if n == 0 {
		n = strconv.IntSize
	}
	if edge := uint64(1) << (n - 1); !negative && v >= edge || negative && -v > edge {
		r.fail(at, "int", ErrRange)
		return 0
	}
	return int64(v)
}

// Uint reads an integer of any form that fits uint64.
func (r *Reader) Uint() uint64 { return r.UintN(64) }

// UintN reads an integer that fits an unsigned type of n bits. 0 bits stands
// for the size of uint.
func (r *Reader) UintN(n int) uint64 {
	at := r.off
	v, negative := r.integer("uint")
	if n == 0 {
		n = strconv.IntSize
	}
	if negative || v>>(n-1)>>1 != 0 {
		r.fail(at, "uint", ErrRange)
		return 0
	}
	return v
}

// Float32 reads a 32-bit float.
func (r *Reader) Float32() float32 {
	at := r.off
	if c := r.first("float32"); c != float32b {
		r.fail(at, "float32", ErrType)
		return 0
	}
	return math.Float32frombits(uint32(r.fixed(4, "float32")))
}

// Float64 reads a float of either width.
func (r *Reader) Float64() float64 {
	at := r.off
	switch r.first("float64") {
	case float64b:
		return math.Float64frombits(r.fixed(8, "float64"))
	case float32b:
		return float64(math.Float32frombits(uint32(r.fixed(4, "float64"))))
	}
	r.fail(at, "float64", ErrType)
	return 0
}

// String reads a string.
func (r *Reader) String() string { return string(r.str()) }

// Bytes reads a byte slice, which belongs to the caller: it shares memory with no other
// value, and with the input only if that was given away ([NewOwnedReader]). Nil reads as a
// nil slice.
func (r *Reader) Bytes() []byte {
	v := r.BytesRef()
	if v == nil || r.share > 0 && len(v) >= r.share {
		return v
	}
	return append(make([]byte, 0, len(v)), v...)
}

// BytesRef reads a byte slice as a part of the input, which it shares. Nil
// reads as a nil slice.
func (r *Reader) BytesRef() []byte {
	if r.Nil() {
		return nil
	}
	at := r.off
	switch c := r.first("bytes"); c {
	case bin8, bin16, bin32:
		return r.take(int(r.fixed(1<<(c-bin8), "bytes")), at, "bytes")
	}
	r.fail(at, "bytes", ErrType)
	return nil
}

// Array reads the header of an array and returns its number of elements. It is
// at most the number of bytes that follow.
func (r *Reader) Array() int { return r.ArrayOf(1) }

// ArrayOf is Array for elements that take at least size bytes each: as many
// must be left for all of them. So a short input cannot ask for much memory.
func (r *Reader) ArrayOf(size int) int {
	at := r.off
	switch c := r.first("array"); {
	case c&0xf0 == fixarray:
		return r.bound(uint64(c&0x0f), size, at, "array")
	case c == array16, c == array32:
		return r.bound(r.fixed(2<<(c-array16), "array"), size, at, "array")
	}
	r.fail(at, "array", ErrType)
	return 0
}

// Tuple reads the header of an array that must have n elements, as structs
// have, and says whether it has.
func (r *Reader) Tuple(n int) bool {
	at := r.off
	if got := r.Array(); got != n {
		r.fail(at, "array of "+strconv.Itoa(n), ErrCount)
	}
	return r.err == nil
}

// Map reads the header of a map and returns its number of pairs. Twice the
// number is at most the number of bytes that follow.
func (r *Reader) Map() int {
	at := r.off
	switch c := r.first("map"); {
	case c&0xf0 == fixmap:
		return r.bound(uint64(c&0x0f), 2, at, "map")
	case c == map16, c == map32:
		return r.bound(r.fixed(2<<(c-map16), "map"), 2, at, "map")
	}
	r.fail(at, "map", ErrType)
	return 0
}

// Skip reads n values, of any kind and with all in them, and forgets them. Structs that have
// grown on the other side end in such values.
func (r *Reader) Skip(n int) {
	for ; n > 0 && r.err == nil; n-- {
		n += r.skipOne()
	}
}

// skipOne reads a value without the values in it, and returns how many these are.
func (r *Reader) skipOne() (inside int) {
	at := r.off
	switch c := r.first("value"); {
	case c < fixmap, c >= fixneg, c == nilByte, c == truthy, c == falsey:
	case c < fixarray:
		return 2 * int(c&0x0f)
	case c < fixstr:
		return int(c & 0x0f)
	case c < nilByte:
		r.take(int(c&0x1f), at, "value")
	case c >= bin8 && c <= bin32:
		r.take(int(r.fixed(1<<(c-bin8), "value")), at, "value")
	case c >= ext8 && c <= ext32, c >= fixext1 && c <= fixext16:
		r.off--
		r.ext("value")
	case c >= float32b && c <= float64b:
		r.take(4<<(c-float32b), at, "value")
	case c >= uint8b && c <= uint64b:
		r.take(1<<(c-uint8b), at, "value")
	case c >= int8b && c <= int64b:
		r.take(1<<(c-int8b), at, "value")
	case c >= str8 && c <= str32:
		r.take(int(r.fixed(1<<(c-str8), "value")), at, "value")
	case c == array16, c == array32:
		return r.bound(r.fixed(2<<(c-array16), "value"), 1, at, "value")
	case c == map16, c == map32:
		return 2 * r.bound(r.fixed(2<<(c-map16), "value"), 2, at, "value")
	default:
		r.fail(at, "value", ErrType)
	}
	return 0
}

// ext reads a value of an extension, and returns its data as a part of the input.
func (r *Reader) ext(want string) (kind byte, data []byte) {
	at, n := r.off, 0
	switch c := r.first(want); {
	case c >= ext8 && c <= ext32:
		n = int(r.fixed(1<<(c-ext8), want))
	case c >= fixext1 && c <= fixext16:
		n = 1 << (c - fixext1)
	default:
		r.fail(at, want, ErrType)
		return 0, nil
	}
	if n < 0 { // more than an int of 32 bits holds
		r.fail(at, want, ErrShort)
		return 0, nil
	}
	if both := r.take(n+1, at, want); both != nil {
		return both[0], both[1:]
	}
	return 0, nil
}

func (r *Reader) fail(at int, want string, err error) {
	if r.err == nil {
		r.err = &Error{Offset: at, Want: want, Err: err}
	}
}

// first reads the byte that tells a value's form. After an error it is nil's,
// which no caller takes for its own.
func (r *Reader) first(want string) byte {
	if r.err != nil {
		return nilByte
	}
	if r.off >= len(r.b) {
		r.fail(r.off, want, ErrShort)
		return nilByte
	}
	if r.b[r.off] == neverUsed {
		r.fail(r.off, want, ErrNothing)
		return nilByte
	}
	r.off++
	return r.b[r.off-1]
}

// take reads n bytes of the value that began at at.
func (r *Reader) take(n, at int, want string) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.off {
		r.fail(at, want, ErrShort)
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off]
}

// fixed reads a big-endian number of 1, 2, 4 or 8 bytes.
func (r *Reader) fixed(n int, want string) uint64 {
	p := r.take(n, r.off-1, want)
	switch len(p) {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(p))
	case 4:
		return uint64(binary.BigEndian.Uint32(p))
	case 8:
		return binary.BigEndian.Uint64(p)
	}
	return 0 // take failed
}

// bound checks that n elements of at least size bytes can follow.
func (r *Reader) bound(n uint64, size, at int, want string) int {
	if r.err != nil {
		return 0
	}
	if n > uint64((len(r.b)-r.off)/size) {
		r.fail(at, want, ErrShort)
		return 0
	}
	return int(n)
}

// str reads a string as a part of the input.
func (r *Reader) str() []byte {
	at := r.off
	switch c := r.first("string"); {
	case c&0xe0 == fixstr:
		return r.take(int(c&0x1f), at, "string")
	case c >= str8 && c <= str32:
		return r.take(int(r.fixed(1<<(c-str8), "string")), at, "string")
	}
	r.fail(at, "string", ErrType)
	return nil
}

// integer reads an integer of any form, as two's complement, and its sign.
func (r *Reader) integer(want string) (v uint64, negative bool) {
	at := r.off
	switch c := r.first(want); {
	case c < fixmap:
		return uint64(c), false
	case c >= fixneg:
		return uint64(int64(int8(c))), true
	case c >= uint8b && c <= uint64b:
		return r.fixed(1<<(c-uint8b), want), false
	case c >= int8b && c <= int64b:
		n := 1 << (c - int8b)
		v = r.fixed(n, want)
		v = uint64(int64(v<<(64-8*n)) >> (64 - 8*n))
		return v, int64(v) < 0
	}
	r.fail(at, want, ErrType)
	return 0, false
}
