package offload

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
)

// A Router says where calls run. The UE offload handler is one. Its methods
// are called by many goroutines at once.
type Router interface {
	// Route is asked at each call. A nil Far means here: natively, on the UE;
	// why then is nil, or what kept the call from the edge host it was meant
	// for. It must not block.
	Route(ctx context.Context, f *Desc) (far Far, why error)
}

// A Far runs calls on an edge host. Its methods are called by many goroutines
// at once.
type Far interface {
	// Call runs f on request, within ctx and f.Deadline. It does not keep
	// request after it returned. A call that gave no reply is a *CallError.
	// The caller releases the reply.
	Call(ctx context.Context, f *Desc, request []byte) (*Reply, error)
}

// A Status is the first byte of a guest function's reply (docs/abi.md): it says
// whether what follows is a result, an error of the function, or a panic.
type Status = abi.Status

// A Reply is what a Far brought back.
type Reply struct {
	Status  Status
	Payload []byte
	Host    string // name of the edge host

	Queue, Run time.Duration // as the host measured them
	Spans      []Span        // parts of Run

	BytesUp, BytesDown int // of the call's frames, headers included

	// Free takes Payload back. Nil when there is nothing to take back.
	Free func()
}

// Release gives the reply's buffer back. Payload must not be used after.
func (r *Reply) Release() {
	if r.Free != nil {
		r.Free()
	}
}

var router atomic.Pointer[Router]

// Use makes r the router of all elastic functions of this process, nil none.
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
