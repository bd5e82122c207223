package abi

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
)

// list is an error that cannot be compared.
type list []error

func (list) Error() string { return "list" }

// missing says that it is fs.ErrNotExist, as a system's error numbers do.
type missing struct{}

func (missing) Error() string        { return "missing" }
func (missing) Is(target error) bool { return target == fs.ErrNotExist }

func TestCodes(t *testing.T) {
	dark, far := errors.New("too dark"), errors.New("too far")
	RegisterError("test.dark", dark)
	RegisterError("test.dark", dark)
	RegisterError("test.far", far)
	RegisterError("test.gone", fs.ErrNotExist)
	RegisterError("test.list", list{dark})
	tests := []struct {
		err  error
		code string
		like []string
	}{
		{dark, "test.dark", nil},
		{errors.Join(far, dark), "", nil},      // whoever asks looks at the two by themselves
		{errors.New("too dark"), "", nil},      // another error of the same text
		{list{dark}, "", nil},                  // no two of them are the same
		{missing{}, "", []string{"test.gone"}}, // by its method
		{errors.Join(missing{}), "", nil},      // not what it wraps
	}
	for _, tt := range tests {
		if code, like := Identity(tt.err); code != tt.code || !slices.Equal(like, tt.like) {
			t.Errorf("%v: got %q, %q; want %q, %q", tt.err, code, like, tt.code, tt.like)
		}
	}
	if RegisteredError("test.dark") != dark || RegisteredError("test.bright") != nil {
		t.Error("codes do not find their errors")
	}
	defer func() {
		if recover() == nil {
			t.Error("a code stands for two errors")
		}
	}()
	RegisterError("test.dark", far)
}
