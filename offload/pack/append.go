package pack

import (
	"encoding/binary"
	"math"
)

// AppendNil appends nil.
func AppendNil(b []byte) []byte { return append(b, nilByte) }

// AppendBool appends v.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, truthy)
	}
	return append(b, falsey)
}

// AppendInt appends v in the shortest form that holds it.
func AppendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return AppendUint(b, uint64(v))
	case v >= -32:
		return append(b, byte(v))
	case v >= math.MinInt8:
		return append(b, int8b, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, int16b), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, int32b), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, int64b), uint64(v))
}

// AppendUint appends v in the shortest form that holds it.
func AppendUint(b []byte, v uint64) []byte {
	switch {
	case v < fixmap:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, uint8b, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, uint16b), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, uint32b), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, uint64b), v)
}

// AppendFloat32 appends v, bit by bit.
func AppendFloat32(b []byte, v float32) []byte {
	return binary.BigEndian.AppendUint32(append(b, float32b), math.Float32bits(v))
}

// AppendFloat64 appends v, bit by bit.
func AppendFloat64(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, float64b), math.Float64bits(v))
}

// AppendString appends v. Its bytes need not be UTF-8.
func AppendString(b []byte, v string) []byte {
	if len(v) < 32 {
		return append(append(b, fixstr|byte(len(v))), v...)
	}
	return append(appendSize(b, str8, len(v)), v...)
}

// AppendBytes appends v, and nil for a nil v.
func AppendBytes(b, v []byte) []byte {
	if v == nil {
		return AppendNil(b)
	}
	return append(appendSize(b, bin8, len(v)), v...)
}

// AppendArray appends the header of an array. Its n elements are appended next.
func AppendArray(b []byte, n int) []byte {
	if n < 16 {
		return append(b, fixarray|byte(n))
	}
	return appendSize16(b, array16, n)
}

// AppendMap appends the header of a map. Its n pairs of key and value are
// appended next.
func AppendMap(b []byte, n int) []byte {
	if n < 16 {
		return append(b, fixmap|byte(n))
	}
	return appendSize16(b, map16, n)
}

// appendSize appends n behind the first of three forms, of 1, 2 and 4 bytes.
func appendSize(b []byte, form byte, n int) []byte {
	if n <= math.MaxUint8 {
		return append(b, form, byte(n))
	}
	return appendSize16(b, form+1, n)
}

// appendSize16 appends n behind the first of two forms, of 2 and 4 bytes.
func appendSize16(b []byte, form byte, n int) []byte {
	if n <= math.MaxUint16 {
		return binary.BigEndian.AppendUint16(append(b, form), uint16(n))
	}
	if uint64(n) > math.MaxUint32 {
		panic("pack: more than 4 G elements")
	}
	return binary.BigEndian.AppendUint32(append(b, form+1), uint32(n))
}
