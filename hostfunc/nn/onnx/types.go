//go:build cgo

package onnx

import (
	"encoding/binary"
	"fmt"
	"math"

	ort "github.com/yalue/onnxruntime_go"
)

// Sessions hold numbers as float32. Where a port has another type they are converted, which
// loses nothing that a float32 can say: numbers that the type cannot have are refused.

// isInput says whether numbers of a type can be given to a network.
func isInput(t ort.TensorElementDataType) bool {
	switch t {
	case ort.TensorElementDataTypeFloat, ort.TensorElementDataTypeFloat16, ort.TensorElementDataTypeDouble,
		ort.TensorElementDataTypeInt64, ort.TensorElementDataTypeInt32, ort.TensorElementDataTypeUint8, ort.TensorElementDataTypeBool:
		return true
	}
	return false
}

// isOutput says whether numbers of a type can be taken from a network. Half precision is taken
// where its size is known: what ONNX Runtime allocates its Go API does not read whole.
func isOutput(p *port) bool {
	if p.kind == ort.TensorElementDataTypeFloat16 {
		return p.size > 0
	}
	return isInput(p.kind) || p.kind == ort.TensorElementDataTypeInt8
}

// check says whether the port's type has all the numbers.
func (p *port) check(data []float32) error {
	var least, most float64
	switch p.kind {
	case ort.TensorElementDataTypeInt64:
		least, most = math.MinInt64, 1<<62
	case ort.TensorElementDataTypeInt32:
		least, most = math.MinInt32, math.MaxInt32
	case ort.TensorElementDataTypeUint8:
		least, most = 0, math.MaxUint8
	case ort.TensorElementDataTypeBool:
		least, most = 0, 1
	default:
		return nil
	}
	for _, v := range data {
		x := float64(v)
		if !(x >= least && x <= most) || x != math.Trunc(x) {
			return fmt.Errorf("%v is no %s", v, p.kind)
		}
	}
	return nil
}

// value makes a tensor of the port's type of numbers that it has. It pins what it keeps.
func (r *tensors) value(p *port, shape ort.Shape, data []float32) (ort.Value, error) {
	switch p.kind {
	case ort.TensorElementDataTypeFloat:
		return tensorOf(r, shape, data)
	case ort.TensorElementDataTypeFloat16:
		if len(shape) == 0 {
			return nil, fmt.Errorf("%q is a scalar of half precision, which cannot be given", p.name)
		}
		b := make([]byte, 0, 2*len(data))
		for _, v := range data {
			b = binary.LittleEndian.AppendUint16(b, half(v))
		}
		r.pins.Pin(&b[0])
		return ort.NewCustomDataTensor(shape, b, ort.TensorElementDataTypeFloat16)
	case ort.TensorElementDataTypeDouble:
		return tensorOf(r, shape, converted[float64](data))
	case ort.TensorElementDataTypeInt64:
		return tensorOf(r, shape, converted[int64](data))
	case ort.TensorElementDataTypeInt32:
		return tensorOf(r, shape, converted[int32](data))
	case ort.TensorElementDataTypeUint8:
		return tensorOf(r, shape, converted[uint8](data))
	case ort.TensorElementDataTypeBool:
		b := make([]bool, len(data))
		for i, v := range data {
			b[i] = v != 0
		}
		return tensorOf(r, shape, b)
	}
	return nil, fmt.Errorf("%q has the type %s", p.name, p.kind)
}

// tensorOf makes a tensor over data, which it pins, or a scalar of it.
func tensorOf[T ort.TensorData](r *tensors, shape ort.Shape, data []T) (ort.Value, error) {
	if len(shape) == 0 {
		return ort.NewScalar(data[0])
	}
	r.pins.Pin(&data[0])
	return ort.NewTensor(shape, data)
}

// A number is of a type that float32 is converted to.
type number interface {
	~float64 | ~int64 | ~int32 | ~uint8 | ~int8
}

func converted[T number](data []float32) []T {
	to := make([]T, len(data))
	for i, v := range data {
		to[i] = T(v)
	}
	return to
}

// asFloats appends the numbers of a tensor that is not one of float32 to dst.
func asFloats(dst []float32, v ort.Value) ([]float32, error) {
	switch t := v.(type) {
	case *ort.Tensor[float64]:
		return appendFloats(dst, t.GetData()), nil
	case *ort.Tensor[int64]:
		return appendFloats(dst, t.GetData()), nil
	case *ort.Tensor[int32]:
		return appendFloats(dst, t.GetData()), nil
	case *ort.Tensor[uint8]:
		return appendFloats(dst, t.GetData()), nil
	case *ort.Tensor[int8]:
		return appendFloats(dst, t.GetData()), nil
	case *ort.Tensor[bool]:
		for _, b := range t.GetData() {
			x := float32(0)
			if b {
				x = 1
			}
			dst = append(dst, x)
		}
		return dst, nil
	case *ort.Scalar[float32]:
		return append(dst, t.GetData()), nil
	case *ort.Scalar[int64]:
		return append(dst, float32(t.GetData())), nil
	case *ort.CustomDataTensor:
		for b := t.GetData(); len(b) >= 2; b = b[2:] {
			dst = append(dst, single(binary.LittleEndian.Uint16(b)))
		}
		return dst, nil
	}
	return nil, fmt.Errorf("it is a %T", v)
}

func appendFloats[T number](dst []float32, data []T) []float32 {
	for _, v := range data {
		dst = append(dst, float32(v))
	}
	return dst
}

// half returns x in half precision, rounded to the nearest and to even, infinite where it is
// beyond 65504.
func half(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b>>16) & 0x8000
	b &^= 1 << 31
	switch abs := math.Float32frombits(b); {
	case abs != abs:
		return sign | 0x7e00
	case abs >= 65520:
		return sign | 0x7c00
	case abs < 1./(1<<14): // below the least normal number: whole parts of 2^-24
		return sign | uint16(math.RoundToEven(float64(abs)*(1<<24)))
	}
	b += 0xfff + b>>13&1
	return sign | uint16(b>>13-112<<10)
}

// single returns a number of half precision.
func single(h uint16) float32 {
	sign, exponent, fraction := uint32(h&0x8000)<<16, uint32(h>>10&31), uint32(h&0x3ff)
	switch exponent {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)/(1<<24)))
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}
