package offloadtest

import (
	"encoding"
	"math"
	"math/rand/v2"
	"reflect"
	"time"
	"unsafe"
)

// value returns a value of T: the same for the same seed.
func value[T any](seed uint64) (v T) {
	left := maxParts
	m := maker{rand.New(rand.NewPCG(seed, 1)), 2 + int(seed%12), &left}
	m.fill(reflect.ValueOf(&v).Elem(), 0)
	return v
}

// maxDepth bounds how deep the values of recursive types go.
const maxDepth = 6

// maxParts bounds of how many numbers, texts and references a value is made: those of types
// that refer to themselves in lists would be of millions. What comes later is nil or zero.
const maxParts = 2000

// A maker makes values.
type maker struct {
	*rand.Rand
	size int  // elements of a list, at most
	left *int // of maxParts
}

var (
	timeType = reflect.TypeFor[time.Time]()
	encodes  = []reflect.Type{reflect.TypeFor[encoding.BinaryUnmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}
)

// fill sets v, which is addressable. Fields with lower-case names are set, too.
func (m maker) fill(v reflect.Value, depth int) {
	if *m.left--; *m.left < 0 {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(m.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(m.integer() << (64 - v.Type().Bits()) >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(uint64(m.integer()) << (64 - v.Type().Bits()) >> (64 - v.Type().Bits()))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(m.float())
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(m.float(), m.float()))
	case reflect.String:
		v.SetString(m.text())
	case reflect.Struct:
		m.structure(v, depth)
	case reflect.Array:
		for i := range v.Len() {
			m.fill(v.Index(i), depth)
		}
	default:
		m.reference(v, depth)
	}
}

// reference fills what may be nil.
func (m maker) reference(v reflect.Value, depth int) {
	if depth >= maxDepth || *m.left <= 0 || m.IntN(8) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		m.fill(v.Elem(), depth+1)
	case reflect.Slice:
		n := m.IntN(m.size + 1)
		if m.IntN(20) == 0 && depth == 0 {
			n = m.IntN(500) // lengths of more than a byte
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			m.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range m.IntN(m.size + 1) {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			m.fill(key, depth+1)
			m.fill(elem, depth+1)
			v.SetMapIndex(key, elem)
		}
	}
}

func (m maker) structure(v reflect.Value, depth int) {
	if v.Type() == timeType {
		v.Set(reflect.ValueOf(time.Unix(m.Int64N(4e9), m.Int64N(1e9)).UTC()))
		return
	}
	for _, t := range encodes {
		if reflect.PointerTo(v.Type()).Implements(t) {
			return // what its fields may be only it knows
		}
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.CanSet() {
			f = reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
		}
		m.fill(f, depth)
	}
}

// integer returns a small number, or one at a bound of a type, or any.
func (m maker) integer() int64 {
	switch m.IntN(6) {
	case 0:
		bounds := []int64{0, 1, -1, math.MaxInt8, math.MinInt8, math.MaxUint8, math.MaxInt16, math.MaxUint16, math.MaxInt32, math.MinInt32, math.MaxUint32, math.MaxInt64, math.MinInt64}
		return bounds[m.IntN(len(bounds))]
	case 1:
		return int64(m.Uint64())
	}
	return m.Int64N(40) - 10
}

func (m maker) float() float64 {
	switch m.IntN(6) {
	case 0:
		special := []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 53}
		return special[m.IntN(len(special))]
	case 1:
		return math.Float64frombits(m.Uint64())
	case 2:
		return float64(m.IntN(40) - 10)
	}
	return m.NormFloat64() * 10
}

func (m maker) text() string {
	letters := []rune("abcABC019 _-.,/\n\"\x00äß€😀")
	b := []rune{}
	for range m.IntN(2 * m.size) {
		b = append(b, letters[m.IntN(len(letters))])
	}
	if m.IntN(10) == 0 {
		return string(b) + "\xff" // not UTF-8
	}
	return string(b)
}
