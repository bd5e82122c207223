package wire

import "errors"

// FailOf returns the Fail that tells err to the peer: err's own if it has one, that
// the peer broke the protocol if it is an ErrFrame, else an internal error.
func FailOf(err error) *Fail {
	var f *Fail
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, ErrFrame):
		return &Fail{Code: CodeProtocol, Text: err.Error()}
	}
	return &Fail{Code: CodeInternal, Text: err.Error()}
}
