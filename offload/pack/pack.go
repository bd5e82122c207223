// Package pack appends and reads msgpack without reflection.
//
// It is what generated codecs call. Appending is a function a type of value, on
// a byte slice; reading is a [Reader] with a method a type of value, whose first
// error sticks, so that a codec is straight-line code and checks once:
//
//	b = pack.AppendArray(b, 2)
//	b = pack.AppendString(b, box.Label)
//	b = pack.AppendFloat32(b, box.Score)
//
//	r := pack.NewReader(b)
//	if r.Tuple(2) {
//		box.Label = r.String()
//		box.Score = r.Float32()
//	}
//	err := r.Done()
//
// The bytes are msgpack: integers in their shortest form, byte slices as bin, structs as
// arrays, times as timestamps. Long slices of numbers are an extension of our own, so that
// they are copied and not converted one by one: see [AppendNumbers].
//
// # Limits
//
// The input is not trusted. Every length is checked against what remains of the
// input before anything is allocated for it, and a number that does not fit is
// an error. Floats keep their width: a float64 does not read as a float32.
//
// # Ownership
//
// What a Reader returns belongs to its caller, who can keep and change it. Bytes copies,
// or, if the input was given away with [NewOwnedReader], returns large values as parts of
// it: still the caller's own, since nobody else uses that input, and without a copy. Codecs
// do not know which: who calls them decides it by the Reader. BytesRef and Rest always
// share the input.
//
// # Concurrency
//
// A Reader is used by one goroutine at a time.
//
// The package links into guests, so it imports neither fmt nor reflect.
package pack

// The first bytes of msgpack's forms, as its specification names them.
const (
	fixmap   = 0x80
	fixarray = 0x90
	fixstr   = 0xa0
	nilByte  = 0xc0
	falsey   = 0xc2
	truthy   = 0xc3
	bin8     = 0xc4
	bin16    = 0xc5
	bin32    = 0xc6
	ext8     = 0xc7
	ext16    = 0xc8
	ext32    = 0xc9
	float32b = 0xca
	float64b = 0xcb
	uint8b   = 0xcc
	uint16b  = 0xcd
	uint32b  = 0xce
	uint64b  = 0xcf
	int8b    = 0xd0
	int16b   = 0xd1
	int32b   = 0xd2
	int64b   = 0xd3
	fixext1  = 0xd4
	fixext4  = 0xd6
	fixext8  = 0xd7
	fixext16 = 0xd8
	str8     = 0xd9
	str16    = 0xda
	str32    = 0xdb
	array16  = 0xdc
	array32  = 0xdd
	map16    = 0xde
	map32    = 0xdf
	fixneg   = 0xe0
)
