package pack_test

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/bungee-xr/bungee/offload/pack"
)

type named float32

func TestNumbers(t *testing.T) {
	numbersAre(t, []int8{-128, 127, 0})
	numbersAre(t, []int16{-1 << 15, 1<<15 - 1, 1})
	numbersAre(t, []int32{-1 << 31, 1<<31 - 1, 258})
	numbersAre(t, []int64{-1 << 63, 1<<63 - 1})
	numbersAre(t, []uint16{1<<16 - 1, 258})
	numbersAre(t, []uint32{1<<32 - 1, 258})
	numbersAre(t, []uint64{1<<64 - 1, 258})
	numbersAre(t, []float32{0.1, math.MaxFloat32, float32(math.Inf(-1))})
	numbersAre(t, []float64{0.1, math.MaxFloat64, math.Inf(1)})
	numbersAre(t, []named{0.1, -2})
}

// numbersAre holds that slices of these numbers come back, short and long, and that an
// array of them as vmihailenco/msgpack writes it is read, too.
func numbersAre[T pack.Number](t *testing.T, some []T) {
	t.Helper()
	for _, n := range []int{0, 1, 15, 16, 17, 300, 70000} {
		v := make([]T, n)
		for i := range v {
			v[i] = some[i%len(some)]
		}
		b := pack.AppendNumbers([]byte{1}, v)[1:]
		if got := read(t, b, pack.ReadNumbers[T]); !slices.Equal(got, v) || got == nil {
			t.Errorf("%d of %T came back as %d, nil: %t", n, v, len(got), got == nil)
		}
		r, into := pack.NewReader(b), make([]T, n)
		if pack.ReadNumbersInto(&r, into); r.Done() != nil || !slices.Equal(into, v) {
			t.Errorf("%d of %T, read into as many: %v", n, v, r.Err())
		}
		var theirs bytes.Buffer
		enc := msgpack.NewEncoder(&theirs)
		enc.UseCompactInts(true)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if got := read(t, theirs.Bytes(), pack.ReadNumbers[T]); !slices.Equal(got, v) {
			t.Errorf("%d of %T as an array came as %d", n, v, len(got))
		}
		if n < 16 && theirs.String() != string(b) {
			t.Errorf("%d of %T: % x; theirs % x", n, v, b, theirs.Bytes())
		}
	}
	if got := read(t, pack.AppendNumbers[T](nil, nil), pack.ReadNumbers[T]); got != nil {
		t.Errorf("no %T came back as %v", some, got)
	}
}

// The layout is a promise to other languages.
func TestNumbersLayout(t *testing.T) {
	v := make([]uint16, 16)
	v[0], v[15] = 0x0102, 0xfffe
	b := pack.AppendNumbers(nil, v)
	if len(b) != 3+32 || string(b[:5]) != "\xc7\x20\x25\x02\x01" || string(b[33:]) != "\xfe\xff" {
		t.Errorf("% x", b)
	}
	if b := pack.AppendNumbers(nil, make([]float64, 16)); b[2] != 0x2b {
		t.Errorf("float64 has type %#x; want 0x2b", b[2])
	}
}

type level uint8

func TestByteKinds(t *testing.T) {
	for _, v := range [][]level{nil, {}, {1, 2, 255}} {
		b := pack.AppendByteKinds(nil, v)
		theirs, err := msgpack.Marshal(v)
		if err != nil || string(theirs) != string(b) {
			t.Errorf("%v: % x; theirs % x, %v", v, b, theirs, err)
		}
		if got := read(t, b, pack.ReadByteKinds[level]); !slices.Equal(got, v) || (got == nil) != (v == nil) {
			t.Errorf("%v came back as %v", v, got)
		}
	}
}

func TestSkip(t *testing.T) {
	values := []any{nil, true, 1, -1, 300, -40000, 1 << 40, float32(1), 2.0, "short", string(make([]byte, 300)), make([]byte, 3), make([]byte, 70000),
		[]any{1, []any{"a", map[string]any{"b": 2}}}, map[string]any{"a": []int{1, 2}}, make([]int, 20), make([]string, 70000)}
	for _, v := range values {
		b, err := msgpack.Marshal([]any{v, v})
		if err != nil {
			t.Fatal(err)
		}
		r := pack.NewReader(append(pack.AppendInt(pack.AppendTime(pack.AppendNumbers(b[1:], make([]int8, 40)), time.Unix(3, 0)), 7), 9))
		if r.Skip(4); r.Int() != 7 || r.Int() != 9 || r.Done() != nil {
			t.Errorf("%.40v: %v", v, r.Err())
		}
	}
}

func BenchmarkNumbers(b *testing.B) {
	floats, depth := make([]float32, 100_000), make([]uint16, 640*480)
	b.Run("float32", func(b *testing.B) { benchNumbers(b, floats) })
	b.Run("uint16", func(b *testing.B) { benchNumbers(b, depth) })
}

func benchNumbers[T pack.Number](b *testing.B, v []T) {
	buf := pack.AppendNumbers(nil, v)
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			buf = pack.AppendNumbers(buf[:0], v)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			r := pack.NewReader(buf)
			pack.ReadNumbers[T](&r)
		}
	})
}
