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
	// Route decides how one call runs. It does not block. Nil is natively, on the UE, and nobody asks how it was.
	Route(f *offload.Desc) *Way
}

// A Way is how calls run. Nobody changes it, so that calls can share it. The zero Way is natively, on the UE.
type Way struct {
	// Caller runs the call on an edge host. Nil means here: natively, on the UE.
	Caller Caller
	// Fallback is why a call runs here that was meant for an edge host; nil for others.
	Fallback error
	// Hedge is how long after its begin a call that an edge host has not answered is begun here, too. Zero means
	// never. It is for idempotent functions only.
	Hedge time.Duration
	// Account hears how the call was. Nil means that nobody asks; then Hedge is zero.
	Account Account
	// Why is why the call runs there. Account has the words.
	Why Why
}

// A Why is the reason of a decision: a code, and two numbers, as the router has them.
type Why struct {
	Reason uint8
	A, B   float32
}

// An Account hears how calls of one function were. It is called by many goroutines at once.
type Account interface {
	// Times says whether the next native run is to be timed, for Ran.
	Times() bool
	// Ran takes note of a native run.
	Ran(took time.Duration)
	// Answered takes note of a call that an edge host has answered, and of how long it took in all.
	Answered(t *offload.Trace, took time.Duration)
	// MayHedge says whether one more call may be begun here that an edge host has not answered. If so, Hedged is called once,
	// and HedgeEnded when the native run has ended.
	MayHedge() bool
	// Hedged takes note of what was wasted: the time of the native run when the edge host answered first, else how long the
	// edge host was waited for.
	Hedged(hostFirst bool, wasted time.Duration)
	// HedgeEnded takes note that a native run beside an edge host has ended.
	HedgeEnded()
	// Reason returns w in words.
	Reason(w Why) string
}

// ErrOvertaken is the cause of the end of a call whose native run had the result first.
var ErrOvertaken = errors.New("the UE had the result first")

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

// Find asks the router how a call of f runs. Without a router it is nil, and runs here.
func Find(f *offload.Desc) *Way {
	r := router.Load()
	if r == nil {
		return nil
	}
	return (*r).Route(f)
}

// began is any time of the process.
var began = time.Now()

// Now is a clock for short times: it costs half of time.Now.
func Now() time.Duration { return time.Since(began) }

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
