package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/bungee-xr/bungee/offload"
)

func TestFailOf(t *testing.T) {
	tests := []struct {
		err  error
		want Fail
		why  string
	}{
		{fmt.Errorf("load: %w", &Fail{Code: offload.CodeTrapped, Started: true, Text: "t"}), Fail{offload.CodeTrapped, true, "t"}, "what is said already is said unchanged"},
		{malformed("x"), Fail{offload.CodeProtocol, false, "malformed frame: x"}, "the peer broke the protocol"},
		{fmt.Errorf("put: %w", midFrame(io.EOF)), Fail{offload.CodeProtocol, false, "put: unexpected EOF"}, "a frame was cut: the peer broke the protocol, not we"},
		{errors.New("disk full"), Fail{offload.CodeInternal, false, "disk full"}, "anything else is our own fault"},
	}
	for _, tt := range tests {
		if got := *FailOf(tt.err); got != tt.want {
			t.Errorf("FailOf(%v) = %+v, want %+v: %s", tt.err, got, tt.want, tt.why)
		}
	}
}

// What an application sees of a code that a host has sent, whatever it is.
func TestCodeOfFail(t *testing.T) {
	for code := range 256 {
		f := &Fail{Code: offload.Code(code)}
		want := f.Code
		switch {
		case f.Code == CodeGone:
			want = offload.CodeLost
		case f.Code == CodeSkipped, code > 17:
			want = offload.CodeInternal
		}
		err := fmt.Errorf("attach: %w", f)
		if got := offload.CodeOf(err); got != want || got.String() == "unknown code" {
			t.Errorf("code %d of a Fail: got %d, %q; want %d", code, got, got, want)
		}
		late := f.Code == offload.CodeDeadline
		if errors.Is(err, context.DeadlineExceeded) != late || errors.Is(err, offload.ErrDeadline) != late {
			t.Errorf("code %d of a Fail: is a missed deadline: %t, want %t", code, !late, late)
		}
	}
}
