package pack

import (
	"errors"
	"strconv"
)

// The errors of a [Reader], wrapped in an [Error] that says where.
var (
	// ErrShort says that a value or a length reaches past the end of the input.
	ErrShort = errors.New("input ends too early")
	// ErrType says that another type of value was found.
	ErrType = errors.New("another type of value")
	// ErrRange says that a number does not fit the type it is read as.
	ErrRange = errors.New("number out of range")
	// ErrCount says that an array has another number of elements.
	ErrCount = errors.New("another number of elements")
	// ErrTrailing says that bytes follow the last value.
	ErrTrailing = errors.New("bytes after the last value")
)

// An Error says where in the input reading failed.
type Error struct {
	Offset int    // of the value, in bytes
	Want   string // what was read: "int", "array", ...
	Err    error  // one of the Err variables, or what Fail was given
}

// Error returns what failed and where.
func (e *Error) Error() string {
	return "msgpack " + e.Want + " at byte " + strconv.Itoa(e.Offset) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
