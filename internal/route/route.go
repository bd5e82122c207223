// Package route is where a call of an elastic function and the UE offload handler
// meet: generated code asks the router where a call runs, and gives the request to
// the caller that the router named.
package route

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload"
)

// A Router says where calls run. It is called by many goroutines at once.
type Router interface {
	// Route decides where one call runs. A nil Caller means here: natively, on the UE;
	// why then is nil, or the reason why the call does not go to the edge host that it was
	// meant for. Route does not block.
	Route(f *offload.Desc) (c Caller, why error)
}

// A Caller runs calls on edge hosts. It is called by many goroutines at once.
type Caller interface {
	// Call runs f on the request in frame[Room:], within ctx and f.Deadline. The
	// bytes before are for the header, which the Caller writes. It does not keep
	// frame. A call that gave no reply is a *offload.CallError.
	Call(ctx context.Context, f *offload.Desc, frame []byte) (*Reply, error)
}

// Room is how many bytes a frame has before the request: enough for the header, so
// that header and request go out in one piece and the request is not copied.
const Room = 64

var router atomic.Pointer[Router]

// Use makes r the router of all elastic functions of this process; nil means no router.
// It returns the router used so far.
func Use(r Router) (before Router) {
	var next *Router
	if r != nil {
		next = &r
	}
	if old := router.Swap(next); old != nil {
		return *old
	}
	return nil
}

// Find asks the router where a call of f runs. Without a router it runs here.
func Find(f *offload.Desc) (Caller, error) {
	r := router.Load()
	if r == nil {
		return nil, nil
	}
	return (*r).Route(f)
}

// MayRepeat says whether a call that failed with err may run again elsewhere: it did
// not start, or its function is idempotent and did not end by itself.
func MayRepeat(err error, idempotent bool) bool {
	var ce *offload.CallError
	if !errors.As(err, &ce) {
		return false // the function's own error: it ran
	}
	return ce.Fate == offload.NotStarted || idempotent && ce.Fate != offload.Ended
}

// A Reply is what a Caller brought back. It comes from NewReply and goes back with
// Release.
type Reply struct {
	Status  abi.Status
	Payload []byte
	Host    string // name of the edge host

	Queue, Run time.Duration  // as the host measured them
	Spans      []offload.Span // parts of Run

	BytesUp, BytesDown int // of the call's frames, headers included
}

var replies = sync.Pool{New: func() any { return new(Reply) }}

// NewReply returns an empty reply. Its Payload has the room of an earlier one.
func NewReply() *Reply {
	r := replies.Get().(*Reply)
	*r = Reply{Payload: r.Payload[:0], Spans: r.Spans[:0]}
	return r
}

// Release gives the reply back. It must not be used after.
func (r *Reply) Release() { replies.Put(r) }
