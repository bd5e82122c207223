package abi

import (
	"errors"
	"fmt"
	"testing"
)

func TestCodes(t *testing.T) {
	dark, far := errors.New("too dark"), errors.New("too far")
	RegisterError("test.dark", dark)
	RegisterError("test.far", far)
	if got := ErrorCode(fmt.Errorf("frame 7: %w", far)); got != "test.far" {
		t.Errorf("a wrapped error has code %q, want test.far", got)
	}
	if got := ErrorCode(errors.Join(far, dark)); got != "test.dark" {
		t.Errorf("an error that is both has code %q, want the one registered first", got)
	}
	if got := ErrorCode(errors.New("too dark")); got != "" {
		t.Errorf("another error of the same text has code %q, want none", got)
	}
	if RegisteredError("test.dark") != dark || RegisteredError("test.bright") != nil {
		t.Error("codes do not find their errors")
	}
	defer func() {
		if recover() == nil {
			t.Error("a code was registered twice")
		}
	}()
	RegisterError("test.dark", far)
}
