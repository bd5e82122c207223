package wire

import (
	"encoding/binary"
	"io"
	"iter"
)

// Extensions are the optional parts of a Hello, a Call or an Attach, in the form that they
// have in the frame: each is a type, a length of two bytes and the value. A receiver skips
// the types that it does not know, so both ends may learn new ones at different times. An
// empty block costs two bytes. Read functions return only well-formed blocks.
type Extensions []byte

// An ExtensionType says what an extension is. Types from 0x80 on are for experiments.
type ExtensionType byte

// The types of extensions. A Hello to a managed host carries a lease; the others are in no frame yet.
const (
	ExtensionTrace ExtensionType = 1 // a W3C trace context: version u8, trace id [16], parent id [8], flags u8
	ExtensionLease ExtensionType = 2 // a lease of the offload manager, as the manager wrote it
	ExtensionClass ExtensionType = 3 // a QoS class: its name
)

// MaxExtensions bounds a block of extensions in bytes.
const MaxExtensions = 4 << 10

// Append returns e with one more extension. It panics when the block would be over
// MaxExtensions, which only a caller's mistake can make.
func (e Extensions) Append(t ExtensionType, value []byte) Extensions {
	if len(e)+extensionHeader+len(value) > MaxExtensions {
		panic("wire: a block of extensions is over its bound")
	}
	e = binary.BigEndian.AppendUint16(append(e, byte(t)), uint16(len(value)))
	return append(e, value...)
}

const extensionHeader = 1 + 2

// All yields the extensions in their order, up to the first that is cut.
func (e Extensions) All() iter.Seq2[ExtensionType, []byte] {
	return func(yield func(ExtensionType, []byte) bool) {
		for rest := e; ; {
			t, value, after, ok := rest.next()
			if !ok || !yield(t, value) {
				return
			}
			rest = after
		}
	}
}

// Get returns the value of the first extension of type t.
func (e Extensions) Get(t ExtensionType) (value []byte, ok bool) {
	for got, value := range e.All() {
		if got == t {
			return value, true
		}
	}
	return nil, false
}

// next cuts off the first extension. ok is false when e is empty or its first extension is
// not whole.
func (e Extensions) next() (t ExtensionType, value []byte, rest Extensions, ok bool) {
	if len(e) < extensionHeader {
		return 0, nil, nil, false
	}
	n := extensionHeader + int(binary.BigEndian.Uint16(e[1:]))
	if len(e) < n {
		return 0, nil, nil, false
	}
	return ExtensionType(e[0]), e[extensionHeader:n], e[n:], true
}

// check says why e is no block of extensions.
func (e Extensions) check() error {
	if len(e) > MaxExtensions {
		return malformed("extensions of %d bytes, over %d", len(e), MaxExtensions)
	}
	for rest := e; len(rest) > 0; {
		_, _, after, ok := rest.next()
		if !ok {
			return malformed("the last of the extensions is cut")
		}
		rest = after
	}
	return nil
}

// appendExtensions appends the length of e and e.
func appendExtensions(b []byte, e Extensions) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
}

// readExtensions reads a block of n bytes. An empty one is nil.
func readExtensions(r io.Reader, n int) (Extensions, error) {
	switch {
	case n == 0:
		return nil, nil
	case n > MaxExtensions:
		return nil, malformed("extensions of %d bytes, over %d", n, MaxExtensions)
	}
	e := make(Extensions, n)
	if _, err := io.ReadFull(r, e); err != nil {
		return nil, midFrame(err)
	}
	return e, e.check()
}
