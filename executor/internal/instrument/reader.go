package instrument

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
)

// A reader reads a part of a module.
type reader struct{ wasmbin.Reader }

// fail stops for what is wrong at the offset of what would be read next.
func (r *reader) fail(format string, args ...any) { r.failAt(r.At(), format, args...) }

func (r *reader) failAt(at int, format string, args ...any) {
	if r.Err() == nil {
		r.Stop(fmt.Errorf("%w: %s at offset %#x", ErrModule, fmt.Sprintf(format, args...), at))
	}
}

// unsupported stops for a feature, used by what began at offset at.
func (r *reader) unsupported(feature string, at int) { r.Stop(&FeatureError{feature, at}) }

// part reads a length, and returns a reader of as many bytes, which are passed over.
func (r *reader) part() reader { return reader{r.Part()} }

// name reads a name.
func (r *reader) name() string { return string(r.Bytes()) }

// Types of values.
const (
	typeI32    = 0x7f
	typeI64    = 0x7e
	typeF32    = 0x7d
	typeF64    = 0x7c
	typeV128   = 0x7b
	typeFunc   = 0x70
	typeExtern = 0x6f
	typeEmpty  = 0x40 // of a block only
)

func (r *reader) valueType() byte {
	at := r.At()
	t := r.Byte()
	switch t {
	case typeI32, typeI64, typeF32, typeF64, typeV128, typeFunc, typeExtern:
	case 0x69, 0x74:
		r.unsupported("exceptions", at)
	case 0x63, 0x64, 0x65, 0x68, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73, 0x75:
		r.unsupported("typed references", at)
	default:
		r.failAt(at, "bad value type")
	}
	return t
}

// blockType skips what follows block, loop and if: a value type, or the index of one of
// so many types.
func (r *reader) blockType(types int) {
	switch b := r.Peek(); {
	case b == typeEmpty:
		r.Skip(1)
		return
	case b > typeEmpty && b < 0x80:
		r.valueType()
		return
	}
	if index := r.Signed(5); index < 0 || index >= int64(types) {
		r.fail("no type %d", index)
	}
}

// limits reads those of a memory or a table, and returns the least.
func (r *reader) limits() uint32 {
	at := r.At()
	flags := r.Byte()
	switch {
	case flags&^0x0f != 0:
		r.fail("bad limits")
	case flags&0x02 != 0:
		r.unsupported("threads", at)
	case flags&0x04 != 0:
		r.unsupported("memory64", at)
	case flags&0x08 != 0:
		r.unsupported("custom page sizes", at)
	}
	least := r.U32()
	if flags&0x01 != 0 {
		r.U32()
	}
	return least
}
