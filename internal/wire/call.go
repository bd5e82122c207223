package wire

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/offload"
)

// A Call is the header of a call. Size bytes of request follow it.
type Call struct {
	Module   [32]byte      // digest of the module
	Fn       uint32        // index of the guest function
	Deadline time.Duration // left when it was sent, in whole µs; 0: none
	Size     int

	Extensions Extensions
}

// CallHeader is the size of a Call frame without extensions and request.
const CallHeader = 1 + 32 + 4 + 4 + 4 + 2

// AppendCall appends a Call frame up to its request. c.Deadline over 71 minutes
// is sent as none.
func AppendCall(b []byte, c Call) []byte {
	b = append(append(b, byte(TypeCall)), c.Module[:]...)
	b = binary.BigEndian.AppendUint32(b, c.Fn)
	b = binary.BigEndian.AppendUint32(b, micros(c.Deadline))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Size))
	return appendExtensions(b, c.Extensions)
}

// ReadCall reads a Call whose type has been read, up to its request.
func ReadCall(r io.Reader) (Call, error) {
	var h [CallHeader - 1]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Call{}, midFrame(err)
	}
	c := Call{
		Module:   [32]byte(h[:32]),
		Fn:       binary.BigEndian.Uint32(h[32:]),
		Deadline: time.Duration(binary.BigEndian.Uint32(h[36:])) * time.Microsecond,
	}
	var err error
	if c.Size, err = size(h[40:], "request"); err != nil {
		return Call{}, err
	}
	c.Extensions, err = readExtensions(r, int(binary.BigEndian.Uint16(h[44:])))
	return c, err
}

// A Span is a named part of a call's time.
type Span struct {
	Name string
	Time time.Duration
}

// A Result is the header of a reply. Size bytes follow it: the guest
// function's reply without its status.
type Result struct {
	Status     byte // of the guest ABI
	Queue, Run time.Duration
	Spans      []Span
	Size       int
}

// AppendResult appends a Result frame up to its payload. Spans past MaxSpans
// are left out, longer names cut.
func AppendResult(b []byte, res Result) []byte {
	b = append(b, byte(TypeResult), res.Status)
	b = binary.BigEndian.AppendUint32(b, micros(res.Queue))
	b = binary.BigEndian.AppendUint32(b, micros(res.Run))
	b = binary.BigEndian.AppendUint32(b, uint32(res.Size))
	spans := res.Spans[:min(len(res.Spans), MaxSpans)]
	b = append(b, byte(len(spans)))
	for _, s := range spans {
		name := s.Name[:min(len(s.Name), MaxName)]
		b = append(append(b, byte(len(name))), name...)
		b = binary.BigEndian.AppendUint32(b, micros(s.Time))
	}
	return b
}

// HeaderSize returns the size of the frame up to its payload.
func (r *Result) HeaderSize() int {
	n := 1 + resultSize
	for _, s := range r.Spans {
		n += 1 + len(s.Name) + 4
	}
	return n
}

const resultSize = 1 + 4 + 4 + 4 + 1

// ReadResult reads a Result whose type has been read, up to its payload.
func ReadResult(r io.Reader) (Result, error) {
	var h [resultSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Result{}, midFrame(err)
	}
	res := Result{Status: h[0], Queue: duration(h[1:]), Run: duration(h[5:])}
	var err error
	if res.Size, err = size(h[9:], "reply"); err != nil {
		return Result{}, err
	}
	n := int(h[13])
	if n > MaxSpans {
		return Result{}, malformed("%d spans, over %d", n, MaxSpans)
	}
	for range n {
		s, err := readSpan(r)
		if err != nil {
			return Result{}, err
		}
		res.Spans = append(res.Spans, s)
	}
	return res, nil
}

func readSpan(r io.Reader) (Span, error) {
	var b [MaxName + 4]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return Span{}, midFrame(err)
	}
	n := int(b[0])
	if _, err := io.ReadFull(r, b[:n+4]); err != nil {
		return Span{}, midFrame(err)
	}
	return Span{string(b[:n]), duration(b[n:])}, nil
}

// Codes that channels tell each other, and applications never see. The others are
// those of package offload.
const (
	CodeSkipped offload.Code = 9  // a newer message of the channel came first
	CodeGone    offload.Code = 10 // the far endpoint does not exist, or has ended
)

// A Fail says that a request was not done. It is an error.
type Fail struct {
	Code    offload.Code
	Started bool   // the guest function may have run
	Text    string // bounded; it explains and never decides
}

// Error returns the code and the text.
func (f *Fail) Error() string {
	what := f.Code.String()
	switch f.Code {
	case CodeSkipped:
		what = "skipped for a newer message"
	case CodeGone:
		what = "no such far endpoint"
	}
	if f.Text == "" {
		return what
	}
	return what + ": " + f.Text
}

// ErrorCode returns what Code is to an application, for offload.CodeOf. A code that no
// host tells it counts as an internal error.
func (f *Fail) ErrorCode() offload.Code {
	switch {
	case f.Code == CodeGone:
		return offload.CodeLost
	case f.Code == CodeSkipped, f.Code > offload.CodeDeadlocked:
		return offload.CodeInternal
	}
	return f.Code
}

// Is makes a Fail whose Code is CodeDeadline a context.DeadlineExceeded and an
// offload.ErrDeadline.
func (f *Fail) Is(target error) bool {
	return f.Code == offload.CodeDeadline && (target == context.DeadlineExceeded || target == offload.ErrDeadline)
}

// AppendFail appends a Fail frame. A text over MaxText is cut.
func AppendFail(b []byte, f Fail) []byte { return appendFail(append(b, byte(TypeFail)), f) }

func appendFail(b []byte, f Fail) []byte {
	text := strings.ToValidUTF8(f.Text[:min(len(f.Text), MaxText)], "")
	b = append(b, byte(f.Code), flag(f.Started))
	return append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
}

// ReadFail reads a Fail whose type has been read.
func ReadFail(r io.Reader) (*Fail, error) {
	var h [4]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, midFrame(err)
	}
	n := int(binary.BigEndian.Uint16(h[2:]))
	if n > MaxText {
		return nil, malformed("text of %d bytes, over %d", n, MaxText)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, midFrame(err)
	}
	return &Fail{offload.Code(h[0]), h[1] != 0, strings.ToValidUTF8(string(text), "?")}, nil
}

// firstRead is how much is allocated for a payload on the word of its length
// alone. The rest is allocated as the bytes arrive, so a peer cannot make us allocate
// what it does not send.
const firstRead = 1 << 20

// ReadPayload reads n bytes into buf, which grows as needed, and returns them.
func ReadPayload(r io.Reader, buf []byte, n int) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < n {
		step := min(n-len(buf), max(firstRead, len(buf), cap(buf)-len(buf)))
		if cap(buf)-len(buf) < step {
			buf = append(make([]byte, 0, len(buf)+step), buf...)
		}
		part := buf[len(buf) : len(buf)+step]
		if _, err := io.ReadFull(r, part); err != nil {
			return buf, midFrame(err)
		}
		buf = buf[:len(buf)+step]
	}
	return buf, nil
}

func size(b []byte, what string) (int, error) {
	n := binary.BigEndian.Uint32(b)
	if n > MaxPayload {
		return 0, malformed("%s of %d bytes, over %d", what, n, MaxPayload)
	}
	return int(n), nil
}

// micros returns d in µs: 0 for zero, and at least 1 for anything longer.
func micros(d time.Duration) uint32 {
	us := (d + time.Microsecond - 1) / time.Microsecond
	if us <= 0 || us > math.MaxUint32 {
		return 0
	}
	return uint32(us)
}

func duration(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
