package elastic

import "github.com/bungee-xr/bungee/offload"

// Errors of channels. What a method returns wraps them with the facts, and
// offload.CodeOf gives their code. A message that was late, and the host that was
// left for it, have offload.ErrDeadline.
var (
	// ErrClosed is returned once a channel was closed or shut down.
	ErrClosed error = &channelError{offload.CodeCanceled, "elastic channel is closed"}
	// ErrLost ends a channel whose far endpoint is gone with its edge host, and
	// whose endpoint is not marked idempotent: what it did is not known, and it
	// must not be done again. It is also why an idempotent one moved.
	ErrLost error = &channelError{offload.CodeLost, "edge host is lost"}
	// ErrState ends a channel whose far endpoint's state does not decode: the UE
	// and the module were made from different sources.
	ErrState error = &channelError{offload.CodeBadModule, "state of the far endpoint does not decode"}
	// ErrPeer is why a channel left an edge host that broke the protocol.
	ErrPeer error = &channelError{offload.CodeProtocol, "edge host broke the protocol"}
)

// A channelError is an error with a code. Each is itself only.
type channelError struct {
	code offload.Code
	text string
}

func (e *channelError) Error() string { return e.text }

// ErrorCode returns the code, for offload.CodeOf.
func (e *channelError) ErrorCode() offload.Code { return e.code }
