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
	Prepare(ctx context.Context, f *offload.Desc) (Place, error)
}

// A Place is an edge host that is ready to serve one far endpoint. Its methods
// are called by many goroutines at once.
type Place interface {
	// Call is for channels of mode Calls: each message on a stream of its own.
	offload.Far
	// Open opens a stream to the host, for channels with order or state. Bytes of
	// streams of higher priority go out first.
	Open(ctx context.Context, p Priority) (Stream, error)
	// Release gives the place back. The channel calls it once, when it uses the
	// place no more.
	Release()
}

// A Watcher is a Place that tells when the UE reaches its host by another path.
type Watcher interface {
	// Watch has changed called at each change of the path, on a goroutine of the
	// place, until stop is called.
	Watch(changed func()) (stop func())
}

// A Striped place has several connections to its host. Streams that are opened one
// after another are spread over them.
type Striped interface {
	// Stripes returns how many connections there are.
	Stripes() int
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
