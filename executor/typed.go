package executor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"unsafe"
)

// MaxString is the longest string that a guest can pass to a [Typed] function, in
// bytes. Strings are copied; use a []byte for what can be longer.
const MaxString = 64 << 10

// Functions returns HostFuncs that give the same functions to every instance. They may
// be called from many instances at once.
func Functions(name string, funcs ...HostFunc) HostFuncs {
	return HostFuncs{Name: name, New: func() ([]HostFunc, func()) { return funcs, nil }}
}

// Typed returns a host function that calls f. Each field of the struct In is a
// parameter, in their order, and Out is the result:
//
//	type of a field or of Out    Wasm
//	int32, uint32, bool          an i32; a bool is true when it is not 0
//	int64, uint64                an i64
//	float32                      an f32
//	float64                      an f64
//	string (In only)             two i32, address and length: a copy, of at most MaxString bytes
//	[]byte (In only)             two i32, address and length: the guest's memory itself
//	*[N]byte (In only)           an i32, the address of N bytes: the guest's memory itself
//	struct{}                     no parameters, or no result
//
// A defined type counts as its underlying type. Slices and pointers into the guest's
// memory are valid until f returns, and f may write there. A string need not be UTF-8.
//
// An error of f traps the guest. An address outside the guest's memory traps it before
// f is called. For an error that the guest can handle, return a number as Out. What
// [HostFunc] says of Call holds for f.
//
// Typed panics when a type is not in the table, and when a field of In is not
// exported.
func Typed[In, Out any](name string, f func(ctx context.Context, in In) (Out, error)) HostFunc {
	fields, params, err := fieldsOf(reflect.TypeFor[In]())
	if err != nil {
		panic(fmt.Sprintf("executor: host function %s: %v", name, err))
	}
	kind, result, err := resultOf(reflect.TypeFor[Out]())
	if err != nil {
		panic(fmt.Sprintf("executor: host function %s: %v", name, err))
	}
	return HostFunc{Name: name, Params: params, Results: result, Call: func(ctx context.Context, mem Memory, stack []uint64) error {
		var in In
		if err := readFields(fields, unsafe.Pointer(&in), mem, stack); err != nil {
			return err
		}
		out, err := f(ctx, in)
		if err == nil && result != "" {
			stack[0] = numberAt(kind, unsafe.Pointer(&out))
		}
		return err
	}}
}

var errPointer = errors.New("pointer outside the guest's memory")

// A typedField is a field of the struct that a Typed function takes.
type typedField struct {
	name string
	kind reflect.Kind // a number's, or String, Slice or Pointer
	at   uintptr      // in the struct
	size uint32       // of what a Pointer points at
}

// fieldsOf returns the fields of t, and the letters of the parameters that they are.
func fieldsOf(t reflect.Type) (fields []typedField, letters string, err error) {
	if t.Kind() != reflect.Struct {
		return nil, "", fmt.Errorf("its parameters are a %v; want a struct", t)
	}
	for sf := range t.Fields() {
		f := typedField{name: sf.Name, kind: sf.Type.Kind(), at: sf.Offset}
		letter := numbers[f.kind]
		switch {
		case !sf.IsExported():
			return nil, "", fmt.Errorf("field %s is not exported", f.name)
		case letter != "":
		case f.kind == reflect.String, f.kind == reflect.Slice && isByte(sf.Type.Elem()):
			letter = "ii"
		case f.kind == reflect.Pointer && isBytes(sf.Type.Elem()):
			letter, f.size = "i", uint32(sf.Type.Elem().Len())
		default:
			return nil, "", fmt.Errorf("field %s has type %v, which is no parameter; see the table of Typed", f.name, sf.Type)
		}
		fields, letters = append(fields, f), letters+letter
	}
	return fields, letters, nil
}

// numbers are the letters of what a single Wasm value stands for.
var numbers = map[reflect.Kind]string{
	reflect.Int32: "i", reflect.Uint32: "i", reflect.Bool: "i",
	reflect.Int64: "l", reflect.Uint64: "l",
	reflect.Float32: "f", reflect.Float64: "d",
}

func isByte(t reflect.Type) bool { return t.Kind() == reflect.Uint8 }

// isBytes says whether t is an array of bytes that a guest's memory can hold.
func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Array && isByte(t.Elem()) && t.Len() <= math.MaxInt32
}

// resultOf returns the kind of the number that t is, and its letter: "" for none.
func resultOf(t reflect.Type) (reflect.Kind, string, error) {
	letter := numbers[t.Kind()]
	if letter == "" && !(t.Kind() == reflect.Struct && t.NumField() == 0) {
		return 0, "", fmt.Errorf("type %v is no result; see the table of Typed", t)
	}
	return t.Kind(), letter, nil
}

// readFields sets the fields of the struct at in from the stack.
func readFields(fields []typedField, in unsafe.Pointer, mem Memory, stack []uint64) error {
	for i := range fields {
		f := &fields[i]
		used, err := f.read(unsafe.Add(in, f.at), mem, stack)
		if err != nil {
			return fmt.Errorf("parameter %s: %w", f.name, err)
		}
		stack = stack[used:]
	}
	return nil
}

// read sets the field at p from the values that stack begins with, and says how many
// they are. What it sets is of the kind that fieldsOf has seen.
func (f *typedField) read(p unsafe.Pointer, mem Memory, stack []uint64) (used int, err error) {
	switch v := stack[0]; f.kind {
	case reflect.Bool:
		*(*bool)(p) = uint32(v) != 0
	case reflect.Int32, reflect.Uint32, reflect.Float32:
		*(*uint32)(p) = uint32(v)
	case reflect.Int64, reflect.Uint64, reflect.Float64:
		*(*uint64)(p) = v
	case reflect.Pointer:
		b, ok := mem.Bytes(uint32(v), f.size)
		if !ok {
			return 0, errPointer
		}
		*(*unsafe.Pointer)(p) = unsafe.Pointer(unsafe.SliceData(b))
	default:
		return 2, f.readSpan(p, mem, uint32(v), uint32(stack[1]))
	}
	return 1, nil
}

// readSpan sets the string or slice at p to the n bytes at ptr.
func (f *typedField) readSpan(p unsafe.Pointer, mem Memory, ptr, n uint32) error {
	if f.kind == reflect.String && n > MaxString {
		return fmt.Errorf("a string of %d bytes; at most %d can be given", n, MaxString)
	}
	b, ok := mem.Bytes(ptr, n)
	switch {
	case !ok:
		return errPointer
	case f.kind == reflect.String:
		*(*string)(p) = string(b)
	default:
		*(*[]byte)(p) = b[:n:n]
	}
	return nil
}

// numberAt returns the number of that kind at p as a Wasm value.
func numberAt(kind reflect.Kind, p unsafe.Pointer) uint64 {
	switch kind {
	case reflect.Bool:
		return uint64(*(*uint8)(p))
	case reflect.Int32, reflect.Uint32, reflect.Float32:
		return uint64(*(*uint32)(p))
	}
	return *(*uint64)(p)
}
