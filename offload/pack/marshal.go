package pack

import (
	"encoding"
	"errors"
	"slices"
)

// MaxDepth is how many values of recursive types may lie within each other: as many as the
// stack of a guest bears, and as Go's encoding/json decodes.
const MaxDepth = 10_000

// neverUsed is the byte that begins no value of msgpack.
const neverUsed = 0xc1

// ErrNothing says that the other side could not write a value: it has itself in it, or
// more than [MaxDepth] values within each other, or its own method that marshals it failed.
var ErrNothing = errors.New("a value that could not be written: it contains itself, is nested too deep, or its method Marshal... failed")

// errDepth says that values are nested too deep.
var errDepth = errors.New("more than 10,000 values within each other")

// AppendNothing appends what stands for a value that cannot be written. Its reader gets
// [ErrNothing].
func AppendNothing(b []byte) []byte { return append(b, neverUsed) }

// Down says whether a value within another one may be read. If so, Up follows it.
func (r *Reader) Down() bool {
	if r.depth >= MaxDepth {
		r.Fail(errDepth)
	}
	if r.err != nil {
		return false
	}
	r.depth++
	return true
}

// Up ends what Down began.
func (r *Reader) Up() { r.depth-- }

// Inside returns a Reader of b, a part of what r reads, which is as deep as r.
func (r *Reader) Inside(b []byte) Reader { return Reader{b: b, depth: r.depth} }

// AppendSorted appends the pairs of a map, each of which is encoded, in the order of their
// bytes. It changes the order in pairs.
func AppendSorted(b []byte, pairs []string) []byte {
	slices.Sort(pairs)
	for _, p := range pairs {
		b = append(b, p...)
	}
	return b
}

// AppendMarshalBinary appends as bytes what v makes of itself.
func AppendMarshalBinary(b []byte, v encoding.BinaryMarshaler) []byte {
	p, err := v.MarshalBinary()
	if err != nil {
		return AppendNothing(b)
	}
	return AppendBytes(b, notNil(p))
}

// ReadUnmarshalBinary reads what [AppendMarshalBinary] appended.
func ReadUnmarshalBinary(r *Reader, v encoding.BinaryUnmarshaler) {
	if p := r.Bytes(); r.err == nil {
		r.keep(v.UnmarshalBinary(p))
	}
}

// AppendMarshalText appends as a string what v makes of itself.
func AppendMarshalText(b []byte, v encoding.TextMarshaler) []byte {
	p, err := v.MarshalText()
	if err != nil {
		return AppendNothing(b)
	}
	return AppendString(b, string(p))
}

// ReadUnmarshalText reads what [AppendMarshalText] appended.
func ReadUnmarshalText(r *Reader, v encoding.TextUnmarshaler) {
	if p := r.String(); r.err == nil {
		r.keep(v.UnmarshalText([]byte(p)))
	}
}

// AppendMarshalMsgpack appends what v makes of itself, which is one value of msgpack.
func AppendMarshalMsgpack(b []byte, v interface{ MarshalMsgpack() ([]byte, error) }) []byte {
	p, err := v.MarshalMsgpack()
	r := NewReader(p)
	if r.Skip(1); err != nil || r.Done() != nil {
		return AppendNothing(b)
	}
	return append(b, p...)
}

// ReadUnmarshalMsgpack reads what [AppendMarshalMsgpack] appended.
func ReadUnmarshalMsgpack(r *Reader, v interface{ UnmarshalMsgpack([]byte) error }) {
	at := r.off
	if r.Skip(1); r.err == nil {
		r.keep(v.UnmarshalMsgpack(slices.Clone(r.b[at:r.off])))
	}
}

// keep makes err, if any, the reader's.
func (r *Reader) keep(err error) {
	if err != nil {
		r.Fail(err)
	}
}

func notNil(p []byte) []byte {
	if p == nil {
		return []byte{}
	}
	return p
}
