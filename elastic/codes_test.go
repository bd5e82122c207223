package elastic_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// wantCode checks the code of an error, and that a deadline is one to errors.Is.
func wantCode(t *testing.T, what string, err error, code offload.Code) {
	t.Helper()
	if err == nil || offload.CodeOf(err) != code {
		t.Errorf("%s: error %v with code %q, want %q", what, err, offload.CodeOf(err), code)
	}
	if late := code == offload.CodeDeadline; errors.Is(err, context.DeadlineExceeded) != late {
		t.Errorf("%s: error %v is context.DeadlineExceeded: %t, want %t", what, err, !late, late)
	}
}

// frail is a far endpoint that fails on each message, as a host tells it.
type frail struct {
	far.Endpoint
	fail   error
	status abi.Status
}

func (f frail) Handle(context.Context, []byte) (abi.Status, []byte, error) {
	return f.status, []byte("boo"), f.fail
}

// What a message comes to that breaks its guest.
func TestCodesOfResults(t *testing.T) {
	fail := func(code offload.Code) frail { return frail{fail: &wire.Fail{Code: code, Started: true}} }
	tests := []struct {
		far  frail
		code offload.Code
		fate offload.Fate
	}{
		{fail(offload.CodeTrapped), offload.CodeTrapped, offload.Stopped},
		{fail(offload.CodeOutOfMemory), offload.CodeOutOfMemory, offload.Stopped},
		{fail(offload.CodeOutOfFuel), offload.CodeOutOfFuel, offload.Stopped},
		{frail{status: abi.Panic}, offload.CodePanicked, offload.Ended},
	}
	for _, tt := range tests {
		for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
			inWorld(t, func(t *testing.T, w *world) {
				h := w.host("a", func() (far.Endpoint, error) {
					f := tt.far
					f.Endpoint = native.New(sums(true))
					return f, nil
				})
				c := open(t, sums(true), elastic.Config{Mode: mode})
				if err := c.Move(t.Context(), h); err != nil {
					t.Fatal(err)
				}
				send(t, c, 1, 1)
				r, err := c.Recv(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				wantCode(t, "result", r.Err, tt.code)
				var ce *offload.CallError
				if !errors.As(r.Err, &ce) || ce.Fate != tt.fate || ce.Host != "a" {
					t.Errorf("%s: %+v; want a CallError of fate %v on a", tt.code, ce, tt.fate)
				}
				if panicked := errors.As(r.Err, new(offload.PanicError)); panicked != (tt.code == offload.CodePanicked) {
					t.Errorf("%s: %v is a panic: %t", tt.code, r.Err, panicked)
				}
			})
		}
	}
}
