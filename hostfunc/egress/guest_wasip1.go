package egress

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
	"unsafe"
)

// The host functions, docs/hostfunctions.md. Each returns what it is asked for, or an
// errno below 0.

//go:wasmimport bungee_egress http
//go:noescape
func hostHTTP(method, url string, header *byte, headerLen uint32, body *byte, bodyLen uint32, timeout int64) int32

//go:wasmimport bungee_egress status
func hostStatus(handle uint32) int32

//go:wasmimport bungee_egress header
//go:noescape
func hostHeader(handle uint32, buf *byte, max uint32) int32

//go:wasmimport bungee_egress dial
//go:noescape
func hostDial(address string, timeout int64) int32

//go:wasmimport bungee_egress read
//go:noescape
func hostRead(handle uint32, buf *byte, max uint32, timeout int64) int32

//go:wasmimport bungee_egress write
//go:noescape
func hostWrite(handle uint32, data *byte, n uint32, timeout int64) int32

//go:wasmimport bungee_egress close
func hostClose(handle uint32) int32

//go:wasmimport bungee_egress last_error
//go:noescape
func hostLastError(buf *byte, max uint32) int32

// Values of an errno that this side tells apart.
const (
	errnoDenied   = -2
	errnoTooLarge = -3
	errnoTooMany  = -4
	errnoEnded    = -5
)

// maxText is the most bytes of an error's text that are asked for.
const maxText = 1024

// A hostError is the host's error about a call that it refused.
type hostError struct {
	kind error
	text string
}

func (e *hostError) Error() string { return e.text }
func (e *hostError) Unwrap() error { return e.kind }

// failed returns the error of errno.
func failed(ctx context.Context, errno int32) error {
	text := make([]byte, maxText)
	e := &hostError{text: string(text[:hostLastError(unsafe.SliceData(text), maxText)])}
	switch errno {
	case errnoDenied:
		e.kind = ErrDenied
	case errnoTooLarge:
		e.kind = ErrTooLarge
	case errnoTooMany:
		e.kind = ErrTooMany
	case errnoEnded:
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e.kind = context.DeadlineExceeded
	}
	return e
}

// timeout returns the nanoseconds until ctx ends, 0 for never. The host ends what it
// does with the call, so this matters for a context with a deadline of its own.
func timeout(ctx context.Context) int64 {
	d, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, int64(time.Until(d)))
}

// Do lets the host make an HTTP request and reads the response. It returns [ErrDenied]
// when the address, or that of a redirect, is not granted.
func Do(ctx context.Context, r Request) (Response, error) {
	head, err := r.Header.MarshalText()
	if err != nil {
		return Response{}, err
	}
	if ctx.Err() != nil {
		return Response{}, context.Cause(ctx)
	}
	h := hostHTTP(r.Method, r.URL, unsafe.SliceData(head), uint32(len(head)), unsafe.SliceData(r.Body), uint32(len(r.Body)), timeout(ctx))
	if h < 0 {
		return Response{}, failed(ctx, h)
	}
	defer hostClose(uint32(h))
	return response(ctx, uint32(h))
}

// response reads the response that the host has under handle.
func response(ctx context.Context, handle uint32) (Response, error) {
	r := Response{Status: int(hostStatus(handle))}
	head := make([]byte, max(0, hostHeader(handle, nil, 0)))
	hostHeader(handle, unsafe.SliceData(head), uint32(len(head)))
	if err := r.Header.UnmarshalText(head); err != nil {
		return r, err
	}
	for {
		r.Body = slices.Grow(r.Body, 512)
		room := r.Body[len(r.Body):cap(r.Body)]
		n := hostRead(handle, unsafe.SliceData(room), uint32(len(room)), timeout(ctx))
		switch {
		case n < 0:
			return r, failed(ctx, n)
		case n == 0:
			return r, nil
		}
		r.Body = r.Body[:len(r.Body)+int(n)]
	}
}

// Dial lets the host open a TCP connection to hostport, a name or an IP with a port. It
// returns [ErrDenied] when the address is not granted. Reads and writes end with ctx; see
// [Conn.Bind]. The caller closes the connection.
func Dial(ctx context.Context, hostport string) (*Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	h := hostDial(hostport, timeout(ctx))
	if h < 0 {
		return nil, failed(ctx, h)
	}
	return &Conn{handle: uint32(h), ctx: ctx}, nil
}

// A Conn is a TCP connection of the host. One goroutine can read it while another writes
// it.
type Conn struct {
	handle uint32 // 0 once closed
	ctx    context.Context
}

// Bind makes later reads and writes end with ctx, in place of the context of Dial or of
// the last Bind. A guest that keeps a connection between calls binds it in each of them.
// Do not read or write during Bind.
func (c *Conn) Bind(ctx context.Context) { c.ctx = ctx }

// Read implements [io.Reader]. When the context ends first it returns the cause, and the
// connection can still be used.
func (c *Conn) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := hostRead(c.handle, unsafe.SliceData(p), uint32(len(p)), timeout(c.ctx))
	switch {
	case n < 0:
		return 0, failed(c.ctx, n)
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}

// Write implements [io.Writer]. It treats the end of the context as Read does.
func (c *Conn) Write(p []byte) (n int, err error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	for n < len(p) {
		k := hostWrite(c.handle, &p[n], uint32(len(p)-n), timeout(c.ctx))
		if k <= 0 {
			return n, failed(c.ctx, k)
		}
		n += int(k)
	}
	return n, nil
}

// Close closes the connection.
func (c *Conn) Close() error {
	if c.handle == 0 {
		return errors.New("egress: connection is closed")
	}
	hostClose(c.handle)
	c.handle = 0
	return nil
}
