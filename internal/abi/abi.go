// Package abi owns the bytes between a guest and its host: names, versions,
// and the layout of a reply. docs/abi.md describes the same for people who
// write guests in other languages.
package abi

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// Version is what a guest's bungee_abi must return.
const Version = 1

// Names of what a guest exports.
const (
	ExportMemory     = "memory"
	ExportInitialize = "_initialize" // (), which a guest may lack
	ExportABI        = "bungee_abi"  // () -> i32
	ExportBuf        = "bungee_buf"  // (n i32) -> ptr i32, 0 when refused
	ExportCall       = "bungee_call" // (fn, ptr, len i32, deadline i64) -> ptr<<32 | len of the reply
)

// Names of what a guest may import from module "bungee".
const (
	Module         = "bungee"
	ImportLog      = "log"      // (level, ptr, len i32)
	ImportNow      = "now"      // () -> i64, ns of the host's monotonic clock, as deadlines are
	ImportCanceled = "canceled" // () -> i32, 1 once the call is cancelled
)

// Bounds on what crosses between guest and host.
const (
	MaxRequest = 64 << 20
	MaxReply   = 64 << 20
	MaxLog     = 4 << 10
	MaxCode    = 255      // code of an error
	MaxText    = 64 << 10 // text of an error or a panic
)

// Inside says whether the n bytes at ptr lie in a memory of size bytes.
func Inside(ptr, n uint32, size uint64) bool { return uint64(ptr)+uint64(n) <= size }

// A Status is the first byte of a reply.
type Status byte

// The values of Status.
const (
	OK    Status = 0 // the payload is the result
	Error Status = 1 // the payload is an error: code length u16 LE, code, text
	Panic Status = 2 // the payload is text: the panic and its stack
	Both  Status = 3 // the payload is the result, and behind it a tree of errors
)

// A Reply is what a guest function answered.
type Reply struct {
	Status  Status
	Payload []byte
}

// ErrReply reports a reply that is empty, too long or of unknown status.
var ErrReply = errors.New("malformed reply")

// SplitReply returns where the reply is that bungee_call returned as v.
func SplitReply(v uint64) (ptr, n uint32) { return uint32(v >> 32), uint32(v) }

// ParseReply reads the reply in b, by reference. The text of a panic is cut to
// MaxText.
func ParseReply(b []byte) (Reply, error) {
	if len(b) == 0 || len(b) > MaxReply+1 || Status(b[0]) > Both {
		return Reply{}, ErrReply
	}
	r := Reply{Status(b[0]), b[1:]}
	if r.Status == Panic {
		r.Payload = r.Payload[:min(len(r.Payload), MaxText)]
	}
	return r, nil
}

// AppendError appends the payload of an Error reply. It cuts code and text to
// their bounds.
func AppendError(b []byte, code, text string) []byte {
	code, text = clip(code, MaxCode), clip(text, MaxText)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(code)))
	return append(append(b, code...), text...)
}

// ParseError reads the payload of an Error reply. It cuts text to MaxText.
func ParseError(p []byte) (code, text string, err error) {
	if len(p) < 2 {
		return "", "", ErrReply
	}
	n := int(binary.LittleEndian.Uint16(p))
	if n > MaxCode || len(p) < 2+n {
		return "", "", ErrReply
	}
	return string(p[2 : 2+n]), clip(string(p[2+n:]), MaxText), nil
}

// ErrorText returns the text of err, cut to n bytes. It survives an err that panics.
func ErrorText(err error, n int) (text string) {
	defer func() {
		if recover() != nil {
			text = "error whose text panics"
		}
	}()
	return clip(err.Error(), n)
}

// Clip shortens s to at most n bytes, at a rune's edge.
func Clip(s string, n int) string { return clip(s, n) }

// clip shortens s to at most n bytes, at a rune's edge.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
