package pack_test

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/bungee-xr/bungee/offload/pack"
)

// A thing is a struct of every kind of value.
type thing struct {
	B   bool
	I   int64
	I8  int8
	U   uint64
	U16 uint16
	F   float32
	D   float64
	S   string
	P   []byte
	L   []string
	M   map[string]int
	N   *int
}

func (v thing) append(b []byte) []byte {
	b = pack.AppendArray(b, 12)
	b = pack.AppendBool(b, v.B)
	b = pack.AppendInt(b, v.I)
	b = pack.AppendInt(b, int64(v.I8))
	b = pack.AppendUint(b, v.U)
	b = pack.AppendUint(b, uint64(v.U16))
	b = pack.AppendFloat32(b, v.F)
	b = pack.AppendFloat64(b, v.D)
	b = pack.AppendString(b, v.S)
	b = pack.AppendBytes(b, v.P)
	b = pack.AppendArray(b, len(v.L))
	for _, s := range v.L {
		b = pack.AppendString(b, s)
	}
	b = pack.AppendMap(b, len(v.M))
	for k, n := range v.M {
		b = pack.AppendInt(pack.AppendString(b, k), int64(n))
	}
	return pack.AppendNil(b)
}

func readThing(r *pack.Reader) (v thing) {
	r.Tuple(12)
	v.B, v.I, v.I8 = r.Bool(), r.Int(), int8(r.IntN(8))
	v.U, v.U16 = r.Uint(), uint16(r.UintN(16))
	v.F, v.D, v.S, v.P = r.Float32(), r.Float64(), r.String(), r.Bytes()
	v.L = make([]string, r.Array())
	for i := range v.L {
		v.L[i] = r.String()
	}
	v.M = map[string]int{}
	for range r.Map() {
		k := r.String()
		v.M[k] = int(r.IntN(0))
	}
	r.Nil()
	return v
}

func things() (all []thing) {
	for i, n := range ints {
		all = append(all, thing{
			B: i%2 == 0, I: n, I8: int8(n), U: uint64(n), U16: uint16(n), F: float32(n) / 3, D: float64(n) / 3,
			S: strings.Repeat("s", i*i), P: make([]byte, i*i*i*20), L: make([]string, i), M: map[string]int{"a": i, "b": -i},
		})
	}
	last := &all[len(all)-1]
	last.F, last.D, last.L = float32(math.Inf(1)), math.Inf(-1), make([]string, 70000)
	return all
}

// marshal is vmihailenco's encoding of v as an array.
func marshal(t *testing.T, v thing) []byte {
	t.Helper()
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.UseArrayEncodedStructs(true)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInteropReads(t *testing.T) {
	for _, want := range things() {
		b := marshal(t, want)
		if got := read(t, b, readThing); !reflect.DeepEqual(got, want) {
			t.Errorf("vmihailenco's %x: got I %d, S of %d; want I %d, S of %d", head(b), got.I, len(got.S), want.I, len(want.S))
		}
	}
}

func TestInteropIsRead(t *testing.T) {
	for _, want := range things() {
		var got thing
		b := want.append(nil)
		if err := msgpack.Unmarshal(b, &got); err != nil {
			t.Errorf("vmihailenco on %x: %v", head(b), err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("vmihailenco read %x: got I %d, S of %d; want I %d, S of %d", head(b), got.I, len(got.S), want.I, len(want.S))
		}
	}
}
