package host

import (
	"encoding/binary"
	"fmt"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// tensorSize is the size of wasi-nn's tensor record:
//
//	0 dims ptr, 4 dims count, 8 type u8, 12 data ptr, 16 data bytes
const tensorSize = 20

// typeF32 is wasi-nn's tensor type of float32, the one type there is here.
const typeF32 = 1

// A tensor is a tensor of a guest, its data by reference.
type tensor struct {
	dims [nn.MaxRank]int
	rank int
	data []byte // 4 bytes for each element
}

func (t *tensor) shape() []int { return t.dims[:t.rank] }

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
	case r[8] != typeF32:
		return tensor{}, fmt.Errorf("%w: a tensor of type %d; want %d, f32", errArgument, r[8], typeF32)
	case size > nn.MaxTensor:
		return tensor{}, fmt.Errorf("%w: a tensor of %d bytes; want at most %d", errTooLarge, size, nn.MaxTensor)
	}
	t := tensor{rank: int(rank)}
	dims, err := a.bytes(word(0), 4*rank)
	if err != nil {
		return tensor{}, err
	}
	if t.data, err = a.bytes(word(12), size); err != nil {
		return tensor{}, err
	}
	want := uint64(4)
	for i := range t.rank {
		d := binary.LittleEndian.Uint32(dims[4*i:])
		t.dims[i] = int(d)
		want = min(want*uint64(d), nn.MaxTensor+1) // no product overflows
	}
	if want != uint64(size) {
		return tensor{}, fmt.Errorf("%w: a tensor of shape %v and %d bytes", errArgument, t.shape(), size)
	}
	return t, nil
}
