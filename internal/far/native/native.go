// Package native runs far endpoints natively, for tests and for the checker, whose hosts
// are their own programs.
package native

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// New returns a far endpoint that runs ep's native version. What panics, or is not done when
// its context ends, has a *wire.Fail for error and ends the far endpoint, as a guest's does.
// Native code cannot be stopped: it is left behind on its goroutine, with the state, and
// nothing waits for it.
func New[In, Out any](ep *codegen.Endpoint[In, Out]) far.Endpoint {
	return &endpoint{serving: ep.Serve()}
}

type endpoint struct {
	serving codegen.Serving
	reply   []byte
	broken  error // the state is lost; nil: it is there
}

// Handle implements far.Endpoint.
func (e *endpoint) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	if err := e.run(ctx, e.serving.Handle, request); err != nil {
		return 0, nil, err
	}
	r, err := abi.ParseReply(e.reply)
	return r.Status, r.Payload, err
}

// Save implements far.Endpoint.
func (e *endpoint) Save(ctx context.Context) ([]byte, error) {
	if err := e.run(ctx, e.serving.Save, nil); err != nil {
		return nil, err
	}
	if n := len(e.reply) - 1; n > wire.MaxState {
		return nil, &wire.Fail{Code: offload.CodeTooLarge, Text: fmt.Sprintf("state of %d bytes, over %d", n, wire.MaxState)}
	}
	return e.ok()
}

// Restore implements far.Endpoint.
func (e *endpoint) Restore(ctx context.Context, state []byte) error {
	err := e.run(ctx, e.serving.Restore, state)
	if err == nil {
		_, err = e.ok()
	}
	return err
}

// A serve is one of the functions of a codegen.Serving.
type serve = func(ctx context.Context, request, dst []byte) []byte

// run has f write its reply to e.reply.
func (e *endpoint) run(ctx context.Context, f serve, request []byte) error {
	if e.broken != nil {
		return e.broken
	}
	ended := make(chan outcome, 1) // f may be left behind
	reply, owned := e.reply[:0], given(request)
	go func() {
		o := outcome{err: panicked("it ended its goroutine")}
		defer func() { ended <- o }()
		o = guard(ctx, f, owned, reply)
	}()
	var o outcome
	select {
	case o = <-ended:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil { // also of what was done a moment after
		o.err = late(err)
	}
	e.reply, e.broken = o.reply, o.err
	return o.err
}

type outcome struct {
	reply []byte
	err   error
}

// guard runs f. A panic becomes an error.
func guard(ctx context.Context, f serve, request, dst []byte) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			o = outcome{err: panicked(abi.PanicLine(v))}
		}
	}()
	return outcome{reply: f(ctx, request, dst)}
}

func panicked(text string) error {
	return &wire.Fail{Code: offload.CodePanicked, Started: true, Text: text[:min(len(text), wire.MaxText)]}
}

// late returns the error of code that was not done when its context ended with err.
func late(err error) error {
	f := &wire.Fail{Code: offload.CodeCanceled, Started: true, Text: "native code was left behind: " + err.Error()}
	if err == context.DeadlineExceeded {
		f.Code = offload.CodeDeadline
	}
	return f
}

// given returns b as it can be given away: what is large, in memory of its own.
func given(b []byte) []byte {
	if len(b) < pack.OwnedSize {
		return b
	}
	return bytes.Clone(b)
}

// ok returns the payload of the reply, or the error that the reply tells.
func (e *endpoint) ok() ([]byte, error) {
	r, err := abi.ParseReply(e.reply)
	if err != nil || r.Status == abi.OK {
		return r.Payload, err
	}
	_, text, err := abi.ParseError(r.Payload)
	if err != nil {
		return nil, err
	}
	return nil, &wire.Fail{Code: offload.CodeProtocol, Started: true, Text: text}
}

// Limit implements far.Endpoint.
func (*endpoint) Limit() time.Duration { return 0 }

// Close implements far.Endpoint.
func (*endpoint) Close() {}
