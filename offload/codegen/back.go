package codegen

import (
	"errors"
	"maps"
	"unsafe"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A Param is a parameter of a marked function, or its receiver.
type Param struct {
	Name string
	// InOut says that what it refers to is carried back after a call.
	InOut bool
}

// A Back is what a call carries back: read, and not yet written to the caller's memory.
type Back struct {
	writes []func()
	bad    bool // some of it has no place there
}

// errBack says that what came back is not what was sent, changed.
var errBack = errors.New("what inout= carries back has another length than what was sent, or is nil where that is not")

func (b *Back) add(fits bool, write func()) {
	b.bad = b.bad || !fits
	b.writes = append(b.writes, write)
}

// Write writes all to the caller's memory, or nothing if it does not fit there.
func (b *Back) Write() error {
	if err := b.fault(); err != nil {
		return err
	}
	b.write()
	return nil
}

func (b *Back) fault() error {
	if b.bad {
		return errBack
	}
	return nil
}

func (b *Back) write() {
	for _, w := range b.writes {
		w()
	}
}

// BackSlice adds the elements of a slice: those of to, in their place, become those of from.
func BackSlice[S ~[]E, E any](b *Back, to, from S) {
	b.add(len(to) == len(from), func() { copy(to, from) })
}

// BackPointer adds what a pointer points to: *to becomes *from.
func BackPointer[E any](b *Back, to, from *E) {
	b.add((to == nil) == (from == nil), func() {
		if to != nil {
			*to = *from
		}
	})
}

// BackMap adds the entries of a map: those of to become those of from.
func BackMap[M ~map[K]V, K comparable, V any](b *Back, to, from M) {
	b.add((to == nil) == (from == nil), func() {
		clear(to)
		maps.Copy(to, from)
	})
}

// A Span is the memory that a parameter refers to directly.
type Span struct{ from, to uintptr }

// SliceSpan returns that of a slice's elements.
func SliceSpan[S ~[]E, E any](s S) Span {
	var e E
	at := uintptr(unsafe.Pointer(unsafe.SliceData(s)))
	return Span{at, at + uintptr(len(s))*unsafe.Sizeof(e)}
}

// PointerSpan returns that of what p points to.
func PointerSpan[E any](p *E) Span {
	if p == nil {
		return Span{}
	}
	at := uintptr(unsafe.Pointer(p))
	return Span{at, at + unsafe.Sizeof(*p)}
}

// MapSpan returns one that is m's alone.
func MapSpan[M ~map[K]V, K comparable, V any](m M) Span {
	at := *(*uintptr)(unsafe.Pointer(&m))
	if at == 0 {
		return Span{}
	}
	return Span{at, at + 1}
}

// Overlap says whether one of the first n spans has memory of another one.
func Overlap(n int, spans ...Span) bool {
	for i, a := range spans[:n] {
		for _, b := range spans[i+1:] {
			if a.from < b.to && b.from < a.to {
				return true
			}
		}
	}
	return false
}

// errAliased says why a call does not leave the UE.
var errAliased = errors.New("a parameter that inout= names shares memory with another one, and a module has a copy of each")

// apart returns why a call with in cannot run on an edge host, nil if it can.
func (f *Func[In, Out]) apart(in In) error {
	if f.Aliased == nil || !f.Aliased(in) {
		return nil
	}
	return &offload.CallError{Func: f.Name, Fate: offload.NotStarted, Err: errAliased}
}

// readBack reads what was carried back to the memory of in.
func (f *Func[In, Out]) readBack(r *pack.Reader, in In) (b Back) {
	if f.ReadBack != nil {
		f.ReadBack(r, in, &b)
	}
	return b
}

// appendBack appends what is carried back from the memory of in.
func (f *Func[In, Out]) appendBack(b []byte, in In) []byte {
	if f.AppendBack == nil {
		return b
	}
	return f.AppendBack(b, in)
}
