package offload_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

func ExampleCodeOf() {
	err := error(&offload.CallError{
		Func: "detect", Host: "edge-1", Code: offload.CodeOverloaded, Fate: offload.NotStarted, Err: errors.New("64 calls wait"),
	})
	switch offload.CodeOf(err) {
	case offload.CodeOverloaded:
		fmt.Println("try again with fewer frames a second:", err)
	case offload.CodeDenied:
		fmt.Println("ask the operator:", err)
	}
	// Output:
	// try again with fewer frames a second: detect on edge-1: 64 calls wait (not started)
}

func TestCodeOf(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want offload.Code
	}{
		{"nil", nil, offload.CodeInternal},
		{"an error without a code", errors.New("x"), offload.CodeInternal},
		{"a call's", fmt.Errorf("frame 7: %w", &offload.CallError{Code: offload.CodeDenied, Err: errors.New("x")}), offload.CodeDenied},
		{"a host's", fmt.Errorf("attach: %w", &wire.Fail{Code: offload.CodeOutOfFuel}), offload.CodeOutOfFuel},
		{"the first of a tree", errors.Join(errors.New("x"), &wire.Fail{Code: offload.CodeTooLarge}, &wire.Fail{Code: offload.CodeDenied}), offload.CodeTooLarge},
		{"a missed deadline", fmt.Errorf("%w of 1s", offload.ErrDeadline), offload.CodeDeadline},
		{"the caller's deadline", context.DeadlineExceeded, offload.CodeDeadline},
		{"the caller gave up", context.Canceled, offload.CodeCanceled},
	}
	for _, tt := range tests {
		if got := offload.CodeOf(tt.err); got != tt.want {
			t.Errorf("%s: %v has code %v, want %v", tt.name, tt.err, got, tt.want)
		}
	}
}

// A missed deadline is one error, whoever noticed it.
func TestDeadlines(t *testing.T) {
	for name, err := range map[string]error{
		"of the UE":    fmt.Errorf("%w of 1s", offload.ErrDeadline),
		"of the host":  &offload.CallError{Code: offload.CodeDeadline, Err: &wire.Fail{Code: offload.CodeDeadline}},
		"of a context": &offload.CallError{Code: offload.CodeDeadline, Err: context.DeadlineExceeded},
	} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v is no context.DeadlineExceeded", name, err)
		}
	}
	if errors.Is(&offload.CallError{Code: offload.CodeTrapped, Err: errors.New("x")}, context.DeadlineExceeded) {
		t.Error("a trap is a context.DeadlineExceeded")
	}
}

func TestCodesHaveNames(t *testing.T) {
	seen := map[string]offload.Code{}
	for c := range offload.Code(128) {
		name := c.String()
		if name == "unknown code" {
			continue
		}
		if other, ok := seen[name]; ok {
			t.Errorf("codes %d and %d are both %q", other, c, name)
		}
		seen[name] = c
	}
	if len(seen) != 20 {
		t.Errorf("%d codes have names, want 20", len(seen))
	}
}

func TestCallErrorSaysItAll(t *testing.T) {
	err := &offload.CallError{Func: "detect", Host: "edge-1", Fate: offload.NotStarted, Err: errors.New("draining")}
	if got, want := err.Error(), "detect on edge-1: draining (not started)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
