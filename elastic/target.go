package elastic

import (
	"context"
	"io"

	"github.com/bungee-xr/bungee/offload"
)

// A Target is a place where a far endpoint can be served. The UE offload handler
// has one for each edge host. Targets of one host are equal (==).
type Target interface {
	// Name returns the edge host's name, for events and errors.
	Name() string
	// Prepare makes the host ready to serve a far endpoint of f: connected and
	// the module there. Nothing is sent to it before Prepare returns.
	Prepare(ctx context.Context, f *offload.Desc) (Host, error)
}

// A Host is an edge host that is ready to serve one far endpoint. Its methods are
// called by many goroutines at once.
type Host interface {
	// Open opens a stream to the host. Bytes of streams of higher priority go out
	// first. Streams that are opened one after another are spread over the
	// connections to the host.
	Open(ctx context.Context, p Priority) (Stream, error)
	// Stripes returns how many connections there are.
	Stripes() int
	// Watch has changed called each time that the UE reaches the host by another
	// path, on a goroutine of the host's, until stop is called.
	Watch(changed func()) (stop func())
	// Release gives the host back. The channel calls it once, when it uses the host
	// no more.
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

// A Priority orders the channels of one UE: what is more urgent goes out first.
type Priority int8

// The priorities. Poses before video, video before logs.
const (
	Low    Priority = -1
	Normal Priority = 0
	High   Priority = 1
)
