package offload

import (
	"context"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload/pack"
)

// GeneratedV1 is referred to by generated code. If it is missing, the generated
// code was made for another version of this module: run "go generate" again.
const GeneratedV1 = 1

// A Desc describes an elastic function or an endpoint. It is constant after its
// package's initialisation.
type Desc struct {
	// Name is the marked function's or type's, qualified by its package's import path.
	Name string
	// Index is the guest function's number in its Module; of an endpoint's, the first.
	Index uint32
	// Module holds the Wasm version. Nil in a guest.
	Module *Module
	// Deadline bounds a call, or the handling of a message, on an edge host. Zero
	// means that only the caller's context does.
	Deadline time.Duration
	// Idempotent functions may run again after a call of unknown fate; idempotent
	// endpoints may handle a message again.
	Idempotent bool
	// Redundancy is on how many edge hosts a call runs, whose answers are compared
	// ([Redundant]). Zero and one mean one host, without comparison.
	Redundancy int
}

// A Func is an elastic function as generated code declares it: the native
// version, and codecs for what crosses the network. In and Out are the marked
// function's parameter and result, or structs of them where there are several.
type Func[In, Out any] struct {
	Desc
	// Native is the marked function.
	Native func(context.Context, In) (Out, error)
	// AppendIn and ReadIn are the codec of In.
	AppendIn func([]byte, In) []byte
	ReadIn   func(*pack.Reader) In
	// AppendOut and ReadOut are the codec of Out.
	AppendOut func([]byte, Out) []byte
	ReadOut   func(*pack.Reader) Out
}

// Call runs the function where the router says: natively when there is none.
//
// When a call to an edge host gives no result and may be repeated, because it
// never started there or because the function is idempotent, it runs natively;
// the Trace tells. Else the error is a [CallError]. An error that the function
// itself returned is a [RemoteError] when it comes from an edge host.
// A local call costs no allocation and copies nothing.
func (f *Func[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	r := router.Load()
	if r == nil {
		return f.here(ctx, in, nil)
	}
	far, why := (*r).Route(ctx, &f.Desc)
	if far == nil {
		return f.here(ctx, in, why)
	}
	out, err := f.there(ctx, far, in)
	if err == nil || ctx.Err() != nil || !MayRepeat(err, f.Idempotent) {
		return out, err
	}
	return f.here(ctx, in, err)
}

// here runs the native version. why is what kept the call from an edge host.
func (f *Func[In, Out]) here(ctx context.Context, in In, why error) (Out, error) {
	t := traceOf(ctx)
	if t == nil {
		return f.Native(ctx, in)
	}
	begin := time.Now()
	out, err := f.Native(ctx, in)
	*t = Trace{Fallback: why, Run: time.Since(begin)}
	return out, err
}

// there runs the Wasm version on far.
func (f *Func[In, Out]) there(ctx context.Context, far Far, in In) (out Out, err error) {
	begin := time.Now()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	*buf = f.AppendIn((*buf)[:0], in)
	sent := time.Now()
	reply, err := far.Call(ctx, &f.Desc, *buf)
	if err != nil {
		return out, err
	}
	defer reply.Release()
	back := time.Now()
	if out, err = f.result(reply); err != nil {
		return out, err
	}
	if t := traceOf(ctx); t != nil {
		*t = Trace{
			Host:    reply.Host,
			Encode:  sent.Sub(begin),
			Network: back.Sub(sent) - reply.Queue - reply.Run,
			Queue:   reply.Queue, Run: reply.Run,
			Decode:  time.Since(back),
			Spans:   reply.Spans,
			BytesUp: reply.BytesUp, BytesDown: reply.BytesDown,
		}
	}
	return out, nil
}

// result reads what the guest function answered.
func (f *Func[In, Out]) result(reply *Reply) (out Out, err error) {
	switch reply.Status {
	case abi.OK:
		r := pack.NewReader(reply.Payload)
		out = f.ReadOut(&r)
		if err := r.Done(); err != nil {
			return out, &CallError{Func: f.Name, Host: reply.Host, Fate: Ended, Err: err}
		}
		return out, nil
	case abi.Error:
		code, text, err := abi.ParseError(reply.Payload)
		if err != nil {
			return out, &CallError{Func: f.Name, Host: reply.Host, Fate: Ended, Err: err}
		}
		return out, remoteError(code, text)
	}
	return out, &CallError{Func: f.Name, Host: reply.Host, Fate: Ended, Err: PanicError(reply.Payload)}
}

// Serve runs the native version on a request and appends the reply to dst, as
// the guest ABI has it. Guests serve their calls with it.
func (f *Func[In, Out]) Serve(ctx context.Context, request, dst []byte) []byte {
	r := pack.NewReader(request)
	in := f.ReadIn(&r)
	if err := r.Done(); err != nil {
		return abi.AppendError(append(dst, byte(abi.Error)), "", "request of "+f.Name+": "+err.Error())
	}
	out, err := f.Native(ctx, in)
	if err != nil {
		return abi.AppendError(append(dst, byte(abi.Error)), codeOf(err), err.Error())
	}
	return f.AppendOut(append(dst, byte(abi.OK)), out)
}

// buffers holds requests between calls: a frame is about 50 KB.
var buffers = sync.Pool{New: func() any { return new([]byte) }}
