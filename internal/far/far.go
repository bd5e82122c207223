// Package far is the host's half of elastic channels and of calls. A [Server] has one
// entry, Serve, for every stream that a UE begins with a frame of the data plane. It
// knows frames, deadlines of streams, credit and order; what a call or a far endpoint
// is, a module's instance or native code, the host tells it in [Config].
package far

import (
	"context"
	"io"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
)

// An Endpoint is a far endpoint at work: an instance of its module, or a native one.
// One goroutine at a time uses it. What its methods return is valid until the next
// call.
type Endpoint interface {
	// Handle handles a message and returns the reply, as the guest ABI has it. It keeps
	// neither ctx nor request. The error of each method is a *wire.Fail (trap, deadline,
	// overload), or counts as an internal error. After an error the far endpoint cannot be
	// used, unless it is a Fail that has not Started: that has changed nothing.
	Handle(ctx context.Context, request []byte) (status abi.Status, payload []byte, err error)
	// Save returns the state. After an error of CodeTooLarge the far endpoint goes on.
	Save(ctx context.Context) ([]byte, error)
	// Restore replaces the state. An empty state is that of the type's zero value.
	Restore(ctx context.Context, state []byte) error
	// Limit is the longest time that each of the methods above may take; then their ctx
	// ends. Zero means no limit; the channel's deadline bounds Handle in any case.
	Limit() time.Duration
	// Close frees the far endpoint.
	Close()
}

// A Stream carries bytes both ways, in order. It is a link.Stream.
type Stream interface {
	io.Reader
	io.Writer
	// Close ends the sending side: the peer reads io.EOF after the last byte.
	Close() error
	// CloseRead gives up what the peer still sends: its Write fails.
	CloseRead()
	// Reset gives both directions up at once, and ends a Read or Write under way.
	Reset()
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// A lock is a mutex that may be held during I/O: in tests, a goroutine that waits for it
// does not stop virtual time, as one that waits for a sync.Mutex does.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) acquire() { l <- struct{}{} }

func (l lock) release() { <-l }
