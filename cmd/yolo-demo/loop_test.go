//go:build cgo && opencv

package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bungee-xr/bungee/offload"
)

func TestFellBack(t *testing.T) {
	cause := errors.New("no answer by the deadline of 500ms")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{cause, "no answer by the deadline of 500ms"},
		{&offload.CallError{Func: "example.com/demo.detectObjects", Host: "edge-1", Err: cause}, "edge-1: no answer by the deadline of 500ms"},
		{fmt.Errorf("of two: %w", &offload.CallError{Func: "f", Host: "edge-2", Err: cause}), "edge-2: no answer by the deadline of 500ms"},
	} {
		if got := fellBack(tt.err); got != tt.want {
			t.Errorf("%v is told as %q; want %q", tt.err, got, tt.want)
		}
	}
}
