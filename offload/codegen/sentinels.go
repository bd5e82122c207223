package codegen

import (
	"errors"
	"io"
	"strconv"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// The errors of the packages that each guest links. Generated code adds those of the packages
// that the marked functions use; package offload has those of contexts.
func init() {
	for code, err := range map[string]error{
		"io.EOF": io.EOF, "io.ErrUnexpectedEOF": io.ErrUnexpectedEOF, "io.ErrShortWrite": io.ErrShortWrite,
		"io.ErrShortBuffer": io.ErrShortBuffer, "io.ErrNoProgress": io.ErrNoProgress, "io.ErrClosedPipe": io.ErrClosedPipe,
		"strconv.ErrRange": strconv.ErrRange, "strconv.ErrSyntax": strconv.ErrSyntax, "errors.ErrUnsupported": errors.ErrUnsupported,
	} {
		Sentinel(code, err)
	}
	ErrorType("strconv.NumError", appendNumError, readNumError)
	ErrorType("offload.CallError", appendCallError, readCallError)
	ErrorType("offload.PanicError",
		func(b []byte, e offload.PanicError) []byte { return pack.AppendString(b, string(e)) },
		func(r *pack.Reader) offload.PanicError { return offload.PanicError(r.String()) })
}

func appendNumError(b []byte, e *strconv.NumError) []byte {
	if e == nil {
		return pack.AppendNil(b)
	}
	b = pack.AppendArray(b, 3)
	return AppendError(pack.AppendString(pack.AppendString(b, e.Func), e.Num), e.Err)
}

func readNumError(r *pack.Reader) *strconv.NumError {
	if r.Nil() || !r.Tuple(3) {
		return nil
	}
	return &strconv.NumError{Func: r.String(), Num: r.String(), Err: ReadError(r)}
}

// A call within a call is native on both sides, and its error is the same.
func appendCallError(b []byte, e *offload.CallError) []byte {
	if e == nil {
		return pack.AppendNil(b)
	}
	b = pack.AppendString(pack.AppendString(pack.AppendArray(b, 5), e.Func), e.Host)
	return AppendError(pack.AppendInt(pack.AppendUint(b, uint64(e.Code)), int64(e.Fate)), e.Err)
}

func readCallError(r *pack.Reader) *offload.CallError {
	if r.Nil() || !r.Tuple(5) {
		return nil
	}
	e := &offload.CallError{Func: r.String(), Host: r.String(), Code: offload.Code(r.UintN(8)), Fate: offload.Fate(r.IntN(8)), Err: ReadError(r)}
	if e.Err == nil {
		r.Fail(pack.ErrCount)
	}
	return e
}
