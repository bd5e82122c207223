package determinism

import (
	"encoding/binary"
	"math"
)

// values are the operands to try of a kind, 16 bytes each: borders, zeros of both
// signs, denormals, infinities, NaNs with payloads.
func values(k kind) [][]byte {
	switch k {
	case i32:
		return words(0, 1, 0xffffffff, 0x80000000, 0x7fffffff, 31, 32, 33, 0x80, 0x8000, 0xff7f, 123456789)
	case i64:
		return longs(0, 1, math.MaxUint64, 1<<63, math.MaxInt64, 63, 64, 65, 1<<31, 0x80, 0xffffffff, 0x123456789abcdef)
	case f32:
		return words(0, 1<<31, 0x3f800000, 0xbfc00000, 1, 0x807fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000,
			0x4f000000, 0xcf000001, 0x4effffff, 0x5f000000, 0x7fc00000, 0xffc00000, 0x7fa00001, 0xffd5aa55)
	case f64:
		return longs(0, 1<<63, 0x3ff0000000000000, 0xbff8000000000000, 1, 0x800fffffffffffff, 0x0010000000000000,
			0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x41e0000000000000, 0xc1e0000000200000, 0x41dfffffffc00000,
			0x43e0000000000000, 0x47efffffe0000000, 0x7ff8000000000000, 0xfff8000000000000, 0x7ff4000000000001, 0xfffaaaaa55555555)
	case address:
		return words(0, 1, 3, 7, 2049, 4093, 65520, 65521, 65532, 65533, 65535, 65536, 0xffffffff)
	}
	return append(vectorsOf(4, words(0x3f800000, 0x80000000, 0x7fa00001, 0xff800000, 0x7f800000, 0xffd5aa55, 0, 0x00000001,
		0x4f000000, 0xcf000001, 0x7f7fffff, 0xbfc00000)),
		append(vectorsOf(8, longs(0x7ff4000000000001, 0xfff0000000000000, 0x8000000000000000, 0x7ff0000000000000, 1, 0xbff8000000000000)),
			[]byte{0, 1, 127, 128, 255, 16, 15, 14, 200, 100, 50, 25, 3, 7, 9, 11})...)
}

func words(vs ...uint64) (out [][]byte) {
	for _, v := range vs {
		out = append(out, binary.LittleEndian.AppendUint32(nil, uint32(v)))
	}
	return pad(out)
}

func longs(vs ...uint64) (out [][]byte) {
	for _, v := range vs {
		out = append(out, binary.LittleEndian.AppendUint64(nil, v))
	}
	return pad(out)
}

func pad(out [][]byte) [][]byte {
	for i := range out {
		out[i] = append(out[i], make([]byte, 16-len(out[i]))...)
	}
	return out
}

// vectorsOf puts lanes of width bytes together to vectors.
func vectorsOf(width int, lanes [][]byte) (out [][]byte) {
	var flat []byte
	for _, lane := range lanes {
		flat = append(flat, lane[:width]...)
	}
	for ; len(flat) >= 16; flat = flat[16:] {
		out = append(out, flat[:16:16])
	}
	return out
}

// requests returns each combination of the values of some kinds.
func requests(kinds []kind) [][]byte {
	out := [][]byte{nil}
	for _, k := range kinds {
		var next [][]byte
		for _, head := range out {
			for _, v := range values(k) {
				next = append(next, append(head[:len(head):len(head)], v...))
			}
		}
		out = next
	}
	return out
}
