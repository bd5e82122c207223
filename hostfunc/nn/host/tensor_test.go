package host

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
)

// A guest may give numbers in any type of wasi-nn. None becomes another one on the way.
func TestTensorTypes(t *testing.T) {
	little := binary.LittleEndian
	tests := []struct {
		kind byte
		data []byte
		want []float32
		err  error
		why  string
	}{
		{typeF32, little.AppendUint32(nil, math.Float32bits(1.5)), []float32{1.5}, nil, "as they are"},
		{typeF16, []byte{0x00, 0x3e, 0x01, 0x00, 0x00, 0xfc}, []float32{1.5, 1. / (1 << 24), float32(math.Inf(-1))}, nil, "half precision"},
		{typeF64, little.AppendUint64(nil, math.Float64bits(0.1)), []float32{0.1}, nil, "rounded"},
		{typeU8, []byte{0, 255}, []float32{0, 255}, nil, "bytes"},
		{typeI32, little.AppendUint32(nil, 0xffffffff), []float32{-1}, nil, "signed"},
		{typeI64, little.AppendUint64(nil, 16000), []float32{16000}, nil, "a rate of samples"},
		{typeI64, little.AppendUint64(nil, 1<<24+1), nil, errArgument, "float32 has no such number"},
		{typeI64, little.AppendUint64(nil, 1<<63), nil, errArgument, "out of all bounds"},
	}
	for _, tt := range tests {
		in := tensor{kind: tt.kind, data: tt.data}
		got, err := in.floats(nil)
		if !errors.Is(err, tt.err) || tt.err == nil && !slices.Equal(got, tt.want) {
			t.Errorf("type %d, %s: got %v, %v; want %v, %v", tt.kind, tt.why, got, err, tt.want, tt.err)
		}
	}
}
