package wire

import (
	"errors"
	"io"

	"github.com/bungee-xr/bungee/offload"
)

// FailOf returns the Fail that tells err to the peer: err's own if it has one, that
// the peer broke the protocol if it is an ErrFrame or a frame that the peer has not sent to its end, else
// an internal error.
func FailOf(err error) *Fail {
	var f *Fail
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, ErrFrame), errors.Is(err, io.ErrUnexpectedEOF):
		return &Fail{Code: offload.CodeProtocol, Text: err.Error()}
	}
	return &Fail{Code: offload.CodeInternal, Text: err.Error()}
}
