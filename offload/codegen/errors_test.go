package codegen_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A typed error has fields, an error among them.
type typed struct {
	Line int
	Err  error
}

func (e *typed) Error() string { return "line " + strconv.Itoa(e.Line) + ": " + e.Err.Error() }
func (e *typed) Unwrap() error { return e.Err }

// A lowLight is an error by its value.
type lowLight float64

func (e lowLight) Error() string { return fmt.Sprintf("%g lux", float64(e)) }

// A gone says that it is fs.ErrNotExist, as the error numbers of systems do.
type gone struct{}

func (gone) Error() string        { return "gone" }
func (gone) Is(target error) bool { return target == fs.ErrNotExist }

func init() {
	codegen.ErrorType("codegen_test.typed",
		func(b []byte, e *typed) []byte {
			return codegen.AppendError(pack.AppendInt(pack.AppendArray(b, 2), int64(e.Line)), e.Err)
		},
		func(r *pack.Reader) *typed {
			r.Tuple(2)
			return &typed{int(r.Int()), codegen.ReadError(r)}
		})
	codegen.ErrorType("codegen_test.lowLight",
		func(b []byte, e lowLight) []byte { return pack.AppendFloat64(b, float64(e)) },
		func(r *pack.Reader) lowLight { return lowLight(r.Float64()) })
	codegen.Sentinel("codegen_test.gone", fs.ErrNotExist)
	codegen.Sentinel("codegen_test.again", io.EOF) // it has a code already
	codegen.Sentinel("codegen_test.none", nil)
}

func across(t *testing.T, err error) error {
	t.Helper()
	b := codegen.AppendError(nil, err)
	r := pack.NewReader(b)
	got := codegen.ReadError(&r)
	if r.Done() != nil || got == nil {
		t.Fatalf("%v: % x came as %v, %v", err, b, got, r.Err())
	}
	return got
}

// Errors say, match and are the same on both sides.
func TestErrorsKeepTheirIdentity(t *testing.T) {
	_, notNumber := strconv.Atoi("x")
	all := []error{errDark, io.EOF, fs.ErrNotExist, context.Canceled, context.DeadlineExceeded, strconv.ErrSyntax, offload.ErrDeadline}
	for _, err := range []error{
		errDark, io.EOF, context.Canceled, errors.New("other"), notNumber, gone{}, lowLight(0.5), &typed{7, errDark},
		fmt.Errorf("frame 7: %w", errDark), fmt.Errorf("read: %w", fmt.Errorf("deep: %w", io.EOF)),
		errors.Join(errDark, io.EOF), fmt.Errorf("%w, after %w", context.Canceled, errDark), fmt.Errorf("why: %w", errors.Join(gone{}, errors.New("x"))),
		&typed{8, fmt.Errorf("in it: %w", &typed{9, errors.Join(io.EOF, lowLight(2))})},
		&offload.CallError{Func: "f", Code: offload.CodePanicked, Fate: offload.Ended, Err: offload.PanicError("boom")},
	} {
		got := across(t, err)
		if got.Error() != err.Error() {
			t.Errorf("%q came as %q", err, got)
		}
		for _, target := range all {
			if errors.Is(got, target) != errors.Is(err, target) {
				t.Errorf("%v: is %v: %t; want %t", err, target, errors.Is(got, target), errors.Is(err, target))
			}
		}
		matches[*typed](t, got, err)
		matches[lowLight](t, got, err)
		matches[*strconv.NumError](t, got, err)
		matches[*offload.CallError](t, got, err)
		matches[offload.PanicError](t, got, err)
	}
	for _, err := range []error{errDark, io.EOF, context.Canceled} {
		if got := across(t, err); got != err {
			t.Errorf("%v came as another error, %#v", err, got)
		}
	}
}

// matches holds that errors.As finds the same in both.
func matches[E error](t *testing.T, got, want error) {
	t.Helper()
	var g, w E
	is := errors.As(want, &w)
	if errors.As(got, &g) != is {
		t.Errorf("%v: as %T: %t; want %t", want, w, !is, is)
	} else if is && g.Error() != w.Error() {
		t.Errorf("%v: as %T it is %v", want, w, g)
	}
}

func TestTypedErrorsAreEqual(t *testing.T) {
	want := &typed{8, &typed{9, io.EOF}}
	if got := across(t, want); !reflect.DeepEqual(got, error(want)) {
		t.Errorf("got %#v", got)
	}
	var nothing *strconv.NumError
	if got := across(t, fmt.Errorf("%w", nothing)); !errors.As(got, &nothing) || nothing != nil {
		t.Errorf("a nil pointer came as %#v", got)
	}
}

// Trees without end, of any width and of long texts are cut.
func TestErrorsAreBounded(t *testing.T) {
	deep, wide := errDark, make([]error, 1000)
	for i := range wide {
		deep, wide[i] = fmt.Errorf("%d: %w", i, deep), errors.Join(errDark, io.EOF, errors.New(strings.Repeat("x", 1000)))
	}
	endless := fmt.Errorf("%w", &endlessError{})
	for _, err := range []error{deep, errors.Join(wide...), endless, errors.New(strings.Repeat("é", abi.MaxText))} {
		b := codegen.AppendError(nil, err)
		if got := across(t, err); len(b) > 2*abi.MaxText || len(got.Error()) > abi.MaxText {
			t.Errorf("%.20v: %d bytes, text of %d", err, len(b), len(got.Error()))
		}
	}
	if got := across(t, &typed{}); abi.ErrorText(got, 100) != "error whose text panics" {
		t.Errorf("an error whose text panics came as %#v", got)
	}
}

type endlessError struct{}

func (e *endlessError) Error() string { return "endless" }
func (e *endlessError) Unwrap() error { return e }

// The value that a function returns beside its error crosses, too.
func TestValueBesideError(t *testing.T) {
	f := brightness
	f.Native = func(context.Context, []byte) (float64, error) { return 3, io.EOF }
	b := f.Serve(t.Context(), pack.AppendBytes(nil, nil), nil)
	defer route.Use(route.Use(&edge{status: abi.Status(b[0]), reply: b[1:]}))
	var trace offload.Trace
	v, err := f.Call(offload.WithTrace(t.Context(), &trace), nil)
	if v != 3 || err != io.EOF {
		t.Errorf("got %v, %v; want 3, io.EOF", v, err)
	}
	if trace.Host != "edge-1" {
		t.Errorf("the trace of a call that failed: %+v; want its host", trace)
	}
}

func TestTraceOfLostCall(t *testing.T) {
	lost := &offload.CallError{Func: "f", Host: "edge-2", Code: offload.CodeLost, Err: io.EOF}
	defer route.Use(route.Use(&edge{err: lost}))
	f := brightness
	f.Idempotent = false
	var trace offload.Trace
	if _, err := f.Call(offload.WithTrace(t.Context(), &trace), nil); err == nil || trace.Host != "edge-2" {
		t.Errorf("got %v, trace %+v; want the host", err, trace)
	}
}

func TestNativePanicIsAnError(t *testing.T) {
	f := brightness
	f.Native = func(context.Context, []byte) (float64, error) { panic("boom") }
	_, err := f.Call(t.Context(), nil)
	var ce *offload.CallError
	var panicked offload.PanicError
	if !errors.As(err, &ce) || ce.Code != offload.CodePanicked || ce.Fate != offload.Ended || !errors.As(err, &panicked) || !strings.Contains(string(panicked), "boom (codegen_test.") {
		t.Errorf("got %v; want a CallError that names the panic and its place", err)
	}
}

func FuzzReadError(f *testing.F) {
	f.Add(codegen.AppendError(nil, &typed{8, errors.Join(io.EOF, gone{}, lowLight(2))}))
	f.Add(codegen.AppendError(nil, fmt.Errorf("%w", errDark)))
	f.Add([]byte{0x96, 0xa0, 0xa0, 0xa0, 0xc0, 0x90, 0x91, 0xc0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := pack.NewReader(b)
		err := codegen.ReadError(&r)
		if r.Err() != nil || err == nil {
			return
		}
		text := abi.ErrorText(err, 1<<30)
		again := across(t, err)
		if got := abi.ErrorText(again, 1<<30); len(text) <= abi.MaxText && got != text {
			t.Errorf("%q came as %q", text, got)
		}
	})
}

// A host may send errors of known types within each other, as many as a reply holds: that costs the UE no stack without end.
func TestErrorsWithinEachOther(t *testing.T) {
	const levels = pack.MaxDepth + 2000
	outer := pack.AppendString(pack.AppendString(pack.AppendString(pack.AppendArray(nil, 4), "deep"), ""), "strconv.NumError")
	fields := pack.AppendString(pack.AppendString(pack.AppendArray(nil, 3), "f"), "1")
	const bin32 = 0xc6 // of a length that four bytes tell
	var b []byte
	for left := levels - 1; left >= 0; left-- {
		inside := left*(len(outer)+5+len(fields)) + len(fields) + 1
		b = binary.BigEndian.AppendUint32(append(append(b, outer...), bin32), uint32(inside))
		b = append(b, fields...)
	}
	b = pack.AppendNil(b)
	r := pack.NewReader(b)
	err := codegen.ReadError(&r)
	depth := 0
	for e := err; e != nil; e = errors.Unwrap(e) {
		depth++
	}
	if depth > pack.MaxDepth+1 {
		t.Errorf("an error wraps %d others; want %d at most", depth, pack.MaxDepth)
	}
}
