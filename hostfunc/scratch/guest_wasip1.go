package scratch

import "unsafe"

// The host functions, docs/hostfunctions.md.

//go:wasmimport bungee_scratch get
//go:noescape
func hostGet(key string, buf *byte, max uint32) int32

//go:wasmimport bungee_scratch set
//go:noescape
func hostSet(key string, value *byte, n uint32) int32

//go:wasmimport bungee_scratch delete
func hostDelete(key string)

// Get returns a copy of the value of key, and whether there is one.
func Get(key string) (value []byte, ok bool) {
	buf := make([]byte, 512)
	for {
		n := int(hostGet(key, unsafe.SliceData(buf), uint32(len(buf))))
		switch {
		case n < 0:
			return nil, false
		case n <= len(buf):
			return buf[:n:n], true
		}
		buf = make([]byte, n) // another instance may set a longer one meanwhile
	}
}

// Set sets the value of key to a copy of value. After an error the key has its old value.
// The errors are [ErrTooLarge] and [ErrFull].
func Set(key string, value []byte) error {
	switch hostSet(key, unsafe.SliceData(value), uint32(len(value))) {
	case 0:
		return nil
	case -1:
		return ErrTooLarge
	}
	return ErrFull
}

// Delete deletes key, if it is there.
func Delete(key string) { hostDelete(key) }
