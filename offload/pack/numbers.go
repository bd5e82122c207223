package pack

import (
	"encoding/binary"
	"unsafe"
)

// A Number is a type whose slices are copied as they are in memory.
type Number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// extNumbers is the first of our types of extension: those of slices of numbers. Bits 0 and
// 1 are the binary logarithm of a number's size, bit 2 says that it has no sign, bit 3 that
// it is a float.
const extNumbers = 0x20

// manyNumbers is from how many on a slice is an extension. A shorter one gains nothing.
const manyNumbers = 16

// kindOf returns the type of extension of slices of T.
func kindOf[T Number]() byte {
	var zero T
	kind := byte(extNumbers)
	for size := unsafe.Sizeof(zero); size > 1; size /= 2 {
		kind++
	}
	if zero-1 > 0 {
		kind |= 4
	}
	if T(1)/2 != 0 {
		kind |= 8
	}
	return kind
}

// AppendNumbers appends v, and nil for a nil v. Fewer than 16 numbers are an array. More are
// an extension of type 0x20 to 0x2f, whose data are the numbers, little-endian, in the size
// that T has.
func AppendNumbers[T Number](b []byte, v []T) []byte {
	if v == nil {
		return AppendNil(b)
	}
	kind := kindOf[T]()
	if len(v) < manyNumbers {
		b = AppendArray(b, len(v))
		for _, x := range v {
			b = appendNumber(b, kind, x)
		}
		return b
	}
	b = append(appendSize(b, ext8, len(v)<<(kind&3)), kind)
	begin := len(b)
	b = append(b, rawBytes(v)...)
	return swapped(b, begin, kind)
}

func appendNumber[T Number](b []byte, kind byte, x T) []byte {
	switch {
	case kind&8 == 0 && kind&4 == 0:
		return AppendInt(b, int64(x))
	case kind&8 == 0:
		return AppendUint(b, uint64(x))
	case kind&3 == 2:
		return AppendFloat32(b, float32(x))
	}
	return AppendFloat64(b, float64(x))
}

// ReadNumbers reads what [AppendNumbers] appended, or an array of as many numbers. The
// slice shares nothing with the input.
func ReadNumbers[T Number](r *Reader) []T {
	if r.Nil() {
		return nil
	}
	kind := kindOf[T]()
	if r.atArray() {
		least := 1
		if kind&8 != 0 {
			least = 5
		}
		v := make([]T, r.ArrayOf(least))
		for i := range v {
			v[i] = readNumber[T](r, kind)
		}
		if r.err != nil {
			return nil
		}
		return v
	}
	data := r.numbers(kind)
	v := make([]T, len(data)>>(kind&3))
	copyNumbers(v, data, kind)
	return v
}

// ReadNumbersInto is [ReadNumbers] of exactly as many numbers as v has.
func ReadNumbersInto[T Number](r *Reader, v []T) {
	kind := kindOf[T]()
	if r.atArray() {
		if !r.Tuple(len(v)) {
			return
		}
		for i := range v {
			v[i] = readNumber[T](r, kind)
		}
		return
	}
	at, data := r.off, r.numbers(kind)
	if len(data)>>(kind&3) != len(v) {
		r.fail(at, "numbers", ErrCount)
		return
	}
	copyNumbers(v, data, kind)
}

// atArray says whether the next value is an array.
func (r *Reader) atArray() bool {
	if r.err != nil || r.off >= len(r.b) {
		return false
	}
	c := r.b[r.off]
	return c&0xf0 == fixarray || c == array16 || c == array32
}

// numbers reads the data of an extension of type kind.
func (r *Reader) numbers(kind byte) []byte {
	at := r.off
	got, data := r.ext("numbers")
	switch {
	case r.err != nil:
		return nil
	case got != kind:
		r.fail(at, "numbers", ErrType)
		return nil
	case len(data)&(1<<(kind&3)-1) != 0:
		r.fail(at, "numbers", ErrCount)
		return nil
	}
	return data
}

func readNumber[T Number](r *Reader, kind byte) T {
	bits := 8 << (kind & 3)
	switch {
	case kind&8 == 0 && kind&4 == 0:
		return T(r.IntN(bits))
	case kind&8 == 0:
		return T(r.UintN(bits))
	case kind&3 == 2:
		return T(r.Float32())
	}
	return T(r.Float64())
}

// rawBytes returns the memory of v.
func rawBytes[T Number](v []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(zero)))
}

// copyNumbers copies data, which is little-endian, to v.
func copyNumbers[T Number](v []T, data []byte, kind byte) {
	raw := rawBytes(v)
	copy(raw, data)
	swapped(raw, 0, kind)
}

// bigEndian says that this machine is.
var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// swapped turns the numbers in b[begin:] around where the machine is big-endian.
func swapped(b []byte, begin int, kind byte) []byte {
	if bigEndian {
		turn(b[begin:], 1<<(kind&3))
	}
	return b
}

// turn reverses the bytes of each number of size bytes.
func turn(b []byte, size int) {
	for ; len(b) >= size; b = b[size:] {
		for i, j := 0, size-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
}

// AppendByteKinds is [AppendBytes] for slices of named types of bytes.
func AppendByteKinds[T ~uint8](b []byte, v []T) []byte {
	return AppendBytes(b, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)))
}

// ReadByteKinds is [Reader.Bytes] for slices of named types of bytes.
func ReadByteKinds[T ~uint8](r *Reader) []T {
	p := r.Bytes()
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(p))), len(p))
}
