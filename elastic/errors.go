package elastic

import "errors"

// Errors of channels. What a method returns wraps them with the facts.
var (
	// ErrClosed is returned once a channel was closed or shut down.
	ErrClosed = errors.New("elastic channel is closed")
	// ErrLate is why a channel left an edge host that did not answer a message by
	// its deadline.
	ErrLate = errors.New("no outcome by the deadline")
	// ErrLost ends a channel whose far endpoint is gone with its edge host, and
	// whose endpoint is not marked idempotent: what it did is not known, and it
	// must not be done again. It is also why an idempotent one moved.
	ErrLost = errors.New("edge host is lost")
	// ErrState ends a channel whose far endpoint's state does not decode: the UE
	// and the module were made from different sources.
	ErrState = errors.New("state of the far endpoint does not decode")
	// ErrPeer is why a channel left an edge host that broke the protocol.
	ErrPeer = errors.New("edge host broke the protocol")
)
