package elastic

import (
	"context"
	"io"

	"github.com/bungee-xr/bungee/offload"
)

// A Target is an edge host that a far endpoint can move to. The UE offload handler
// has one for each edge host. Targets of one host are equal (==).
type Target interface {
	// Name returns the edge host's name, for events and errors.
	Name() string
	// Prepare makes the host ready to serve a far endpoint of f: it is connected and has
	// the module. The channel sends nothing to the host before Prepare returns.
	Prepare(ctx context.Context, f *offload.Desc) (Host, error)
}

// A Host is an edge host that is ready to serve one far endpoint. Its methods are
// called by many goroutines at once.
type Host interface {
	// Open opens a stream to the host. Bytes of streams of higher priority go out
	// first. Successive streams are spread over the connections to the host.
	Open(ctx context.Context, p Priority) (Stream, error)
	// Stripes returns the number of connections to the host.
	Stripes() int
	// Watch calls changed each time the UE begins to reach the host by another path,
	// until stop is called. The calls come from a goroutine of the Host's.
	Watch(changed func()) (stop func())
	// Release gives the host back. The channel calls it once, after its last use.
	Release()
}

// A Stream carries bytes both ways, in order. Read and Write may be called at the
// same time, Reset at any time. Both fail at once when the host is known to be gone.
type Stream interface {
	io.Reader
	io.Writer
	// Close ends the sending side: the peer reads io.EOF after the last byte.
	Close() error
	// Reset gives both directions up at once, and ends a Read or Write under way.
	Reset()
}

// A Priority orders the channels of one UE: the higher one's bytes go out first.
type Priority int8

// The priorities: for example poses High, video Normal, logs Low.
const (
	Low    Priority = -1 // Low gives way to the others.
	Normal Priority = 0  // Normal is the zero value.
	High   Priority = 1  // High goes out before the others.
)
