package wasi

import (
	"context"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/bungee-xr/bungee/executor"
)

// A call is a guest's call of a WASI function.
type call struct {
	ctx  context.Context
	mem  executor.Memory
	args []uint64
}

// A trap is an error that ends the guest, rather than being told to it.
type trap struct{ error }

// order is that of bytes in the guest's memory.
var order = binary.LittleEndian

// i32 and i64 return argument k.
func (c call) i32(k int) uint32 { return uint32(c.args[k]) }
func (c call) i64(k int) uint64 { return c.args[k] }

// at returns the n bytes which argument k points to.
func (c call) at(k int, n uint32) ([]byte, error) {
	b, ok := c.mem.Bytes(c.i32(k), n)
	if !ok {
		return nil, eFault
	}
	return b, nil
}

// bytes returns the bytes which argument k points to and k+1 counts.
func (c call) bytes(k int) ([]byte, error) { return c.at(k, c.i32(k+1)) }

// put32 and put64 write v to where argument k points.
func (c call) put32(k int, v uint32) error {
	b, err := c.at(k, 4)
	if err == nil {
		order.PutUint32(b, v)
	}
	return err
}

func (c call) put64(k int, v uint64) error {
	b, err := c.at(k, 8)
	if err == nil {
		order.PutUint64(b, v)
	}
	return err
}

// maxPath is the longest path, in bytes: PATH_MAX of Linux.
const maxPath = 4096

// text returns the path which argument k points to and k+1 counts.
func (c call) text(k int) (string, error) {
	if c.i32(k+1) > maxPath {
		return "", eLongName
	}
	b, err := c.bytes(k)
	switch {
	case err != nil:
		return "", err
	case !utf8.Valid(b):
		return "", eSequence
	}
	s := string(b)
	switch {
	case s == "":
		return "", eNoEntry
	case strings.IndexByte(s, 0) >= 0:
		return "", eInvalid
	}
	return s, nil
}

// maxVectors and maxTransfer bound a read or a write, which a guest cannot be stopped
// in: 1024 vectors as IOV_MAX of Linux has, and 1 MiB, a fraction of a
// millisecond. Guests know that less may be read or written than asked for.
const (
	maxVectors  = 1024
	maxTransfer = 1 << 20
)

// vectors runs each on the pieces of memory that the list at argument k, of k+1
// pieces, names, until one is not moved whole. It returns how many bytes were moved.
// An error after some were is forgotten: it comes again if it matters.
func (c call) vectors(k int, each func(b []byte, done int) (int, error)) (done int, err error) {
	n := c.i32(k + 1)
	if n > maxVectors {
		return 0, eInvalid
	}
	list, err := c.at(k, 8*n)
	if err != nil {
		return 0, err
	}
	for ; len(list) > 0 && done < maxTransfer; list = list[8:] {
		// What is read may have overwritten the list: each piece is checked when it is used.
		size := min(order.Uint32(list[4:]), uint32(maxTransfer-done))
		b, ok := c.mem.Bytes(order.Uint32(list), size)
		if !ok {
			return 0, eFault
		}
		m, err := each(b, done)
		done += m
		if err != nil && done == 0 {
			return 0, err
		}
		if err != nil || m < len(b) {
			break
		}
	}
	return done, nil
}
