package host

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// tensorSize is the size of wasi-nn's tensor record:
//
//	0 dims ptr, 4 dims count, 8 type u8, 12 data ptr, 16 data bytes
const tensorSize = 20

// The tensor types of wasi-nn that a guest may give, whatever the network's own is.
const (
	typeF16 = 0
	typeF32 = 1
	typeF64 = 2
	typeU8  = 3
	typeI32 = 4
	typeI64 = 5
)

// widths are the bytes of a number of each type, 0 where the type is not taken.
var widths = [...]uint64{typeF16: 2, typeF32: 4, typeF64: 8, typeU8: 1, typeI32: 4, typeI64: 8}

// A tensor is a tensor of a guest, its data by reference.
type tensor struct {
	dims [nn.MaxRank]int
	rank int
	kind byte
	data []byte
}

func (t *tensor) shape() []int { return t.dims[:t.rank] }

// floats appends the numbers to dst. Whole numbers that float32 does not have are refused: a network must
// not be given others than the guest gave.
func (t *tensor) floats(dst []float32) ([]float32, error) {
	for b := t.data; len(b) > 0; b = b[widths[t.kind]:] {
		var whole int64
		switch t.kind {
		case typeF32:
			dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(b)))
			continue
		case typeF16:
			dst = append(dst, half(binary.LittleEndian.Uint16(b)))
			continue
		case typeF64:
			dst = append(dst, float32(math.Float64frombits(binary.LittleEndian.Uint64(b))))
			continue
		case typeU8:
			whole = int64(b[0])
		case typeI32:
			whole = int64(int32(binary.LittleEndian.Uint32(b)))
		case typeI64:
			whole = int64(binary.LittleEndian.Uint64(b))
		}
		x := float32(whole)
		if float64(x) != float64(whole) || whole > 1<<53 || whole < -1<<53 {
			return dst, fmt.Errorf("%w: the number %d is not one of float32, which tensors go through", errArgument, whole)
		}
		dst = append(dst, x)
	}
	return dst, nil
}

// half returns a number of half precision.
func half(h uint16) float32 {
	sign, exponent, fraction := uint32(h&0x8000)<<16, uint32(h>>10&31), uint32(h&0x3ff)
	switch exponent {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)/(1<<24)))
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// readTensor reads the tensor record at ptr. It checks all that the record
// says: rank, type, that the data is inside the memory, at most nn.MaxTensor,
// and as long as the shape wants.
func readTensor(a args, ptr uint32) (tensor, error) {
	r, err := a.bytes(ptr, tensorSize)
	if err != nil {
		return tensor{}, err
	}
	word := func(at int) uint32 { return binary.LittleEndian.Uint32(r[at:]) }
	rank, size := word(4), word(16)
	switch {
	case rank > nn.MaxRank:
		return tensor{}, fmt.Errorf("%w: a tensor of rank %d; want at most %d", errArgument, rank, nn.MaxRank)
	case int(r[8]) >= len(widths) || widths[r[8]] == 0:
		return tensor{}, fmt.Errorf("%w: a tensor of type %d; want %d to %d: f16, f32, f64, u8, i32, i64", errArgument, r[8], typeF16, typeI64)
	case size > nn.MaxTensor:
		return tensor{}, fmt.Errorf("%w: a tensor of %d bytes; want at most %d", errTooLarge, size, nn.MaxTensor)
	}
	t := tensor{rank: int(rank), kind: r[8]}
	dims, err := a.bytes(word(0), 4*rank)
	if err != nil {
		return tensor{}, err
	}
	if t.data, err = a.bytes(word(12), size); err != nil {
		return tensor{}, err
	}
	want := widths[t.kind]
	for i := range t.rank {
		d := binary.LittleEndian.Uint32(dims[4*i:])
		t.dims[i] = int(d)
		want = min(want*uint64(d), nn.MaxTensor+1) // no product overflows
	}
	if uint64(size)/widths[t.kind] > nn.MaxTensor/4 {
		return tensor{}, fmt.Errorf("%w: a tensor of %d numbers; want at most %d", errTooLarge, uint64(size)/widths[t.kind], nn.MaxTensor/4)
	}
	if want != uint64(size) {
		return tensor{}, fmt.Errorf("%w: a tensor of shape %v and %d bytes", errArgument, t.shape(), size)
	}
	return t, nil
}
