package pack_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/offload/pack"
)

var (
	ints  = []int64{0, 1, 127, 128, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, -1, -32, -33, -128, -129, -32768, -32769, math.MinInt32, math.MinInt32 - 1, math.MinInt64}
	uints = []uint64{0, 127, 128, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64}
	sizes = []int{0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536}
)

// read runs f on a Reader of b and fails the test unless all of b was read.
func read[T any](t *testing.T, b []byte, f func(*pack.Reader) T) T {
	t.Helper()
	r := pack.NewReader(b)
	v := f(&r)
	if err := r.Done(); err != nil {
		t.Errorf("reading %x: %v; want no error", head(b), err)
	}
	return v
}

func head(b []byte) []byte { return b[:min(len(b), 16)] }

func TestRoundTrip(t *testing.T) {
	for _, v := range ints {
		if got := read(t, pack.AppendInt(nil, v), (*pack.Reader).Int); got != v {
			t.Errorf("int %d came back as %d", v, got)
		}
	}
	for _, v := range uints {
		if got := read(t, pack.AppendUint(nil, v), (*pack.Reader).Uint); got != v {
			t.Errorf("uint %d came back as %d", v, got)
		}
	}
	for _, n := range sizes {
		s := strings.Repeat("x", n)
		if got := read(t, pack.AppendString(nil, s), (*pack.Reader).String); got != s {
			t.Errorf("string of %d bytes came back with %d", n, len(got))
		}
		if got := read(t, pack.AppendBytes(nil, []byte(s)), (*pack.Reader).Bytes); got == nil || string(got) != s {
			t.Errorf("%d bytes came back as %d, nil: %t", n, len(got), got == nil)
		}
	}
	for _, v := range []float64{0, math.Copysign(0, -1), 1.5, math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		if got := read(t, pack.AppendFloat64(nil, v), (*pack.Reader).Float64); math.Float64bits(got) != math.Float64bits(v) {
			t.Errorf("float64 %v came back as %v", v, got)
		}
	}
	if got := read(t, pack.AppendFloat32(nil, 0.1), (*pack.Reader).Float32); got != 0.1 {
		t.Errorf("float32 0.1 came back as %v", got)
	}
	if got := read(t, pack.AppendBytes(nil, nil), (*pack.Reader).Bytes); got != nil {
		t.Errorf("nil bytes came back as %x; want nil", got)
	}
}

func TestHeaders(t *testing.T) {
	for _, n := range sizes {
		body := make([]byte, 2*n)
		r := pack.NewReader(append(pack.AppendArray(nil, n), body...))
		if got := r.Array(); got != n || r.Err() != nil {
			t.Errorf("array of %d came back as %d, %v", n, got, r.Err())
		}
		r = pack.NewReader(append(pack.AppendMap(nil, n), body...))
		if got := r.Map(); got != n || r.Err() != nil {
			t.Errorf("map of %d came back as %d, %v", n, got, r.Err())
		}
	}
}

// TestRefused reads what must not be read.
func TestRefused(t *testing.T) {
	tests := []struct {
		why  string
		in   []byte
		read func(*pack.Reader)
		want error
	}{
		{"nothing there", nil, func(r *pack.Reader) { r.Int() }, pack.ErrShort},
		{"half an int", []byte{0xd3, 1, 2}, func(r *pack.Reader) { r.Int() }, pack.ErrShort},
		{"a length past the end sizes nothing", []byte{0xc6, 0xff, 0xff, 0xff, 0xff}, func(r *pack.Reader) { r.Bytes() }, pack.ErrShort},
		{"the same for a string", []byte{0xdb, 0xff, 0xff, 0xff, 0xff, 'a'}, func(r *pack.Reader) { _ = r.String() }, pack.ErrShort},
		{"an array has a byte an element at least", []byte{0xdd, 0, 0, 0, 2, 1}, func(r *pack.Reader) { r.Array() }, pack.ErrShort},
		{"or as many as the caller knows of", []byte{0x91, 1, 1}, func(r *pack.Reader) { r.ArrayOf(3) }, pack.ErrShort},
		{"a map has two bytes a pair", []byte{0x82, 1, 1, 1}, func(r *pack.Reader) { r.Map() }, pack.ErrShort},
		{"a struct has its number of fields", []byte{0x92, 1, 1}, func(r *pack.Reader) { r.Tuple(3) }, pack.ErrCount},
		{"128 is no int8", pack.AppendInt(nil, 128), func(r *pack.Reader) { r.IntN(8) }, pack.ErrRange},
		{"-129 is no int8", pack.AppendInt(nil, -129), func(r *pack.Reader) { r.IntN(8) }, pack.ErrRange},
		{"2^63 is no int64", pack.AppendUint(nil, 1<<63), func(r *pack.Reader) { r.Int() }, pack.ErrRange},
		{"-1 is no uint", pack.AppendInt(nil, -1), func(r *pack.Reader) { r.Uint() }, pack.ErrRange},
		{"256 is no uint8", pack.AppendUint(nil, 256), func(r *pack.Reader) { r.UintN(8) }, pack.ErrRange},
		{"a float64 would lose bits", pack.AppendFloat64(nil, 1), func(r *pack.Reader) { r.Float32() }, pack.ErrType},
		{"a string is no bytes", pack.AppendString(nil, "a"), func(r *pack.Reader) { r.Bytes() }, pack.ErrType},
		{"bytes are no string", pack.AppendBytes(nil, []byte{1}), func(r *pack.Reader) { _ = r.String() }, pack.ErrType},
		{"nil is no bool", pack.AppendNil(nil), func(r *pack.Reader) { r.Bool() }, pack.ErrType},
		{"a time is an extension of type -1", []byte{0xd6, 0xfe, 0, 0, 0, 0}, func(r *pack.Reader) { r.Time() }, pack.ErrType},
		{"numbers of another type", pack.AppendNumbers(nil, make([]int16, 16)), func(r *pack.Reader) { pack.ReadNumbers[uint16](r) }, pack.ErrType},
		{"half a number", []byte{0xc7, 3, 0x21, 1, 2, 3}, func(r *pack.Reader) { pack.ReadNumbers[int16](r) }, pack.ErrCount},
		{"fewer numbers than an array has", pack.AppendNumbers(nil, make([]int16, 16)), func(r *pack.Reader) { pack.ReadNumbersInto(r, make([]int16, 17)) }, pack.ErrCount},
		{"an extension past the end", []byte{0xc9, 0xff, 0xff, 0xff, 0xff, 0x21}, func(r *pack.Reader) { pack.ReadNumbers[int16](r) }, pack.ErrShort},
		{"nothing is skipped of what is not there", []byte{0xdd, 0, 0, 0, 9, 1}, func(r *pack.Reader) { r.Skip(1) }, pack.ErrShort},
		{"0xc1 begins no value", []byte{0xc1}, func(r *pack.Reader) { r.Int() }, pack.ErrNothing},
		{"bytes are left over", []byte{1, 2}, func(r *pack.Reader) { r.Int() }, pack.ErrTrailing},
	}
	for _, tt := range tests {
		r := pack.NewReader(tt.in)
		tt.read(&r)
		if err := r.Done(); !errors.Is(err, tt.want) {
			t.Errorf("%s: reading %x: got error %v; want %v", tt.why, tt.in, err, tt.want)
		}
	}
}

// TestEdges reads the last numbers that fit.
func TestEdges(t *testing.T) {
	for _, v := range []int64{-128, 127} {
		got := read(t, pack.AppendInt(nil, v), func(r *pack.Reader) int64 { return r.IntN(8) })
		if got != v {
			t.Errorf("int8 %d came back as %d", v, got)
		}
	}
	if got := read(t, pack.AppendUint(nil, 255), func(r *pack.Reader) uint64 { return r.UintN(8) }); got != 255 {
		t.Errorf("uint8 255 came back as %d", got)
	}
	if got := read(t, pack.AppendInt(nil, math.MinInt64), func(r *pack.Reader) int64 { return r.IntN(64) }); got != math.MinInt64 {
		t.Errorf("the least int64 came back as %d", got)
	}
}

func TestFirstErrorSticks(t *testing.T) {
	mine := errors.New("mine")
	r := pack.NewReader(pack.AppendInt(nil, 7))
	r.Fail(mine)
	r.Fail(pack.ErrType)
	if v := r.Int(); v != 0 || !errors.Is(r.Done(), mine) {
		t.Errorf("after Fail(mine): Int = %d, error %v; want 0 and mine", v, r.Done())
	}
	if r.Nil() || r.Bool() || r.Bytes() != nil || r.String() != "" || r.Array() != 0 || r.Map() != 0 {
		t.Error("a failed Reader gave a value")
	}
	var at *pack.Error
	if !errors.As(r.Err(), &at) || at.Offset != 0 {
		t.Errorf("error %v; want an *Error at byte 0", r.Err())
	}
}

func TestBytesRefShares(t *testing.T) {
	b := pack.AppendBytes(nil, []byte("abc"))
	r, s := pack.NewReader(b), pack.NewReader(b)
	ref, own := r.BytesRef(), s.Bytes()
	b[len(b)-1] = 'x'
	if string(ref) != "abx" || string(own) != "abc" {
		t.Errorf("after the input changed: BytesRef %q, Bytes %q; want %q, %q", ref, own, "abx", "abc")
	}
	if cap(ref) != len(ref) {
		t.Errorf("BytesRef has capacity %d; want %d, so that append cannot write into the input", cap(ref), len(ref))
	}
}

// What is read from an input that was given away is the reader's own, and holds little more
// memory than it has.
func TestOwnedReaderShares(t *testing.T) {
	body := func(n int) []byte { return make([]byte, n) }
	for _, tt := range []struct {
		why    string
		values [][]byte
		shared []bool
	}{
		{"one large value", [][]byte{body(100 << 10)}, []bool{true}},
		{"the least that is shared", [][]byte{body(pack.OwnedSize)}, []bool{true}},
		{"a byte less", [][]byte{body(pack.OwnedSize - 1)}, []bool{false}},
		{"nothing of a small input: it may be reused", [][]byte{body(pack.OwnedSize - 4)}, []bool{false}},
		{"two images side by side", [][]byte{body(50 << 10), body(50 << 10)}, []bool{true, true}},
		{"a thumbnail does not hold its image", [][]byte{body(40 << 10), body(200 << 10)}, []bool{false, true}},
		{"nor one of many its brothers", [][]byte{body(40 << 10), body(40 << 10), body(40 << 10), body(40 << 10), body(40 << 10)}, make([]bool, 5)},
		{"nil and nothing stay what they are", [][]byte{nil, {}, body(40 << 10)}, []bool{false, false, true}},
	} {
		var in []byte
		for _, v := range tt.values {
			in = pack.AppendBytes(in, v)
		}
		r := pack.NewOwnedReader(in)
		for i, v := range tt.values {
			got := r.Bytes()
			if len(got) != len(v) || (got == nil) != (v == nil) {
				t.Fatalf("%s: value %d came as %d bytes, nil: %t", tt.why, i, len(got), got == nil)
			}
			if cap(got) != len(got) {
				t.Errorf("%s: value %d has capacity %d for %d bytes: append would write into the next one", tt.why, i, cap(got), len(got))
			}
			if shared := changes(in, got); shared != tt.shared[i] {
				t.Errorf("%s: value %d is a part of the input: %t; want %t", tt.why, i, shared, tt.shared[i])
			}
		}
		if err := r.Done(); err != nil {
			t.Errorf("%s: %v", tt.why, err)
		}
	}
}

// changes says whether part changes when whole does.
func changes(whole, part []byte) bool {
	before := bytes.Clone(part)
	for i := range whole {
		whole[i] ^= 0xff
	}
	defer func() {
		for i := range whole {
			whole[i] ^= 0xff
		}
	}()
	return !bytes.Equal(part, before)
}

func TestAllocs(t *testing.T) {
	buf, body := make([]byte, 0, 1<<17), make([]byte, 1e5)
	got := testing.AllocsPerRun(100, func() {
		b := pack.AppendArray(buf, 8)
		b = pack.AppendBytes(b, body)
		b = pack.AppendString(b, "a label that is longer than 32 bytes")
		b = pack.AppendInt(b, -1<<40)
		b = pack.AppendUint(b, 1<<40)
		b = pack.AppendFloat32(b, 1)
		b = pack.AppendFloat64(b, 1)
		b = pack.AppendBool(b, true)
		b = pack.AppendTime(b, time.Unix(1, 0))
		r := pack.NewReader(b)
		if !r.Tuple(8) || len(r.BytesRef()) != len(body) {
			t.Fatal(r.Err())
		}
	})
	if got != 0 {
		t.Errorf("appending into a large buffer and reading by reference: %v allocations; want 0", got)
	}
}

// FuzzOwnedReader reads values of many sizes, and then anything, twice: whether the input
// was given away makes no difference but that of whose memory it is, and no value reaches
// into another.
func FuzzOwnedReader(f *testing.F) {
	f.Add([]byte{100, 100}, []byte{})
	f.Add([]byte{0, 1, 63, 64, 65, 255}, []byte{nilByte, bin8, 0})
	f.Add([]byte{64}, []byte{bin8, 9, 1})
	f.Fuzz(func(t *testing.T, sizes, rest []byte) {
		var b []byte
		for i, n := range sizes[:min(len(sizes), 32)] {
			b = pack.AppendBytes(b, bytes.Repeat([]byte{byte(i)}, int(n)*pack.OwnedSize/64))
		}
		b = append(b, rest...)
		copied, owned := pack.NewReader(b), pack.NewOwnedReader(bytes.Clone(b))
		var want, got [][]byte
		for copied.Err() == nil && len(copied.Rest()) > 0 {
			want, got = append(want, copied.Bytes()), append(got, owned.Bytes())
		}
		if a, b := copied.Done(), owned.Done(); (a == nil) != (b == nil) || a != nil && a.Error() != b.Error() {
			t.Fatalf("copied: %v, owned: %v", a, b)
		}
		for i := range got { // what is done to one value is seen in no other
			if !bytes.Equal(got[i], want[i]) || (got[i] == nil) != (want[i] == nil) {
				t.Fatalf("value %d: %d bytes copied, %d owned, or other ones", i, len(want[i]), len(got[i]))
			}
			clear(append(got[i], 1))
			clear(got[i])
		}
	})
}

// The first bytes of nil and of a short byte slice.
const nilByte, bin8 = 0xc0, 0xc4

// FuzzReader reads anything as everything: it must not panic, and whatever it
// reads must come back after it is appended again.
func FuzzReader(f *testing.F) {
	f.Add(pack.AppendInt(nil, -129))
	f.Add(pack.AppendString(nil, "text"))
	f.Add(pack.AppendBytes(nil, []byte{1, 2}))
	f.Add(append(pack.AppendArray(nil, 2), 1, 2))
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add(pack.AppendTime(nil, time.Unix(-1e11, 1).UTC()))
	f.Add(pack.AppendTime(nil, time.Unix(1e9, 5).In(time.FixedZone("here", 3600))))
	f.Add(pack.AppendNumbers(nil, make([]int32, 20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		same(t, b, (*pack.Reader).Int, pack.AppendInt)
		same(t, b, (*pack.Reader).Uint, pack.AppendUint)
		same(t, b, (*pack.Reader).Bool, pack.AppendBool)
		same(t, b, (*pack.Reader).String, pack.AppendString)
		same(t, b, func(r *pack.Reader) string { return string(r.Bytes()) }, func(b []byte, s string) []byte { return pack.AppendBytes(b, []byte(s)) })
		same(t, b, func(r *pack.Reader) uint32 { return math.Float32bits(r.Float32()) }, func(b []byte, v uint32) []byte { return pack.AppendFloat32(b, math.Float32frombits(v)) })
		same(t, b, func(r *pack.Reader) uint64 { return math.Float64bits(r.Float64()) }, func(b []byte, v uint64) []byte { return pack.AppendFloat64(b, math.Float64frombits(v)) })
		same(t, b, func(r *pack.Reader) string { return told(r.Time()) }, func(_ []byte, s string) []byte {
			r := pack.NewReader(b)
			return pack.AppendTime(nil, r.Time())
		})
		same(t, b, func(r *pack.Reader) string { return fmt.Sprint(pack.ReadNumbers[int32](r)) }, func(_ []byte, s string) []byte {
			r := pack.NewReader(b)
			return pack.AppendNumbers(nil, pack.ReadNumbers[int32](&r))
		})
		r := pack.NewReader(b)
		if r.Skip(1); r.Err() == nil {
			whole := b[:len(b)-len(r.Rest())]
			r = pack.NewReader(whole[:len(whole)-1])
			if r.Skip(1); r.Err() == nil {
				t.Errorf("a value in %x, and another one in all but its last byte", whole)
			}
		}
		r = pack.NewReader(b)
		if n := r.Array(); n > len(b) {
			t.Errorf("array of %d elements in %d bytes", n, len(b))
		}
		r = pack.NewReader(b)
		if n := r.Map(); 2*n > len(b) {
			t.Errorf("map of %d pairs in %d bytes", n, len(b))
		}
	})
}

func same[T comparable](t *testing.T, b []byte, get func(*pack.Reader) T, app func([]byte, T) []byte) {
	r := pack.NewReader(b)
	v := get(&r)
	if r.Err() != nil {
		var zero T
		if zero != v && fmt.Sprint(v) != "[]" && fmt.Sprint(v) != told(time.Time{}) { // these say what they have
			t.Errorf("%x gave both %v and %v", b, v, r.Err())
		}
		return
	}
	r = pack.NewReader(app(nil, v))
	if again := get(&r); again != v || r.Done() != nil {
		t.Errorf("%x: read %v, appended and read again %v, %v", b, v, again, r.Err())
	}
}

func BenchmarkDetections(b *testing.B) {
	type box struct {
		x, y, w, h, score float32
		class             int
	}
	boxes, buf := make([]box, 20), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out := pack.AppendArray(buf, len(boxes))
		for _, v := range boxes {
			out = pack.AppendArray(out, 6)
			for _, f := range [...]float32{v.x, v.y, v.w, v.h, v.score} {
				out = pack.AppendFloat32(out, f)
			}
			out = pack.AppendInt(out, int64(v.class))
		}
		r := pack.NewReader(out)
		for range r.Array() {
			var v box
			r.Tuple(6)
			v.x, v.y, v.w, v.h, v.score = r.Float32(), r.Float32(), r.Float32(), r.Float32(), r.Float32()
			v.class = int(r.IntN(0))
		}
		if r.Done() != nil {
			b.Fatal(r.Err())
		}
	}
}
