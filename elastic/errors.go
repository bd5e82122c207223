package elastic

import (
	"errors"
	"fmt"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// The errors of channels. Methods return them wrapped with the facts, and
// offload.CodeOf returns their code. The error of a late message, and of the host that
// the channel left because of it, is offload.ErrDeadline.
var (
	// ErrClosed is returned once a channel was closed or shut down.
	ErrClosed error = &channelError{offload.CodeCanceled, "elastic channel is closed"}
	// ErrLost ends a channel whose far endpoint was lost with its edge host, if the
	// endpoint is not marked idempotent: nobody knows what it did, and a replay could
	// do it twice. The Event of an idempotent endpoint that fell back has it as Reason.
	ErrLost error = &channelError{offload.CodeLost, "edge host is lost"}
	// ErrState ends a channel whose far endpoint's state does not decode: the UE
	// and the module were made from different sources.
	ErrState error = &channelError{offload.CodeBadModule, "state of the far endpoint does not decode"}
	// ErrPeer is the reason when a channel leaves an edge host that broke the protocol.
	ErrPeer error = &channelError{offload.CodeProtocol, "edge host broke the protocol"}
)

// errUnready is the reason when a target that could not be prepared gives none with a code.
var errUnready error = &channelError{offload.CodeUnavailable, "edge host is not available"}

// Misuse.
var (
	errNoContext = errors.New("elastic: the context is nil")
	errInside    = errors.New("elastic: a Handle uses its own channel, which would wait for that Handle")
)

// errOvertaken says that a recovery has found another owner meanwhile.
var errOvertaken error = &channelError{offload.CodeUnavailable, "the channel is recovering from a lost edge host"}

// A channelError is an error with a code. Two are equal only if they are the same one.
type channelError struct {
	code offload.Code
	text string
}

func (e *channelError) Error() string { return e.text }

// ErrorCode returns the code, for offload.CodeOf.
func (e *channelError) ErrorCode() offload.Code { return e.code }

// explain gives an error of the exchange with an edge host its meaning: a violation of the
// protocol is ErrPeer, and an error without a code is ErrLost.
func explain(err error) error {
	if errors.Is(err, wire.ErrFrame) && !errors.Is(err, ErrPeer) {
		return fmt.Errorf("%w: %w", ErrPeer, err)
	}
	return orElse(err, ErrLost)
}

// orElse returns err as otherwise, unless it has a code.
func orElse(err, otherwise error) error {
	var refusal *wire.Fail
	switch {
	case err == nil, offload.CodeOf(err) != offload.CodeInternal:
		return err
	case errors.As(err, &refusal): // the host says that it is to blame
		return err
	}
	return fmt.Errorf("%w: %w", otherwise, err)
}
