// Package native runs far endpoints natively, for tests and for the checker, whose hosts
// are their own programs.
package native

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// New returns a far endpoint that runs ep's native version.
func New[In, Out any](ep *codegen.Endpoint[In, Out]) far.Endpoint {
	return &endpoint{serving: ep.Serve()}
}

type endpoint struct {
	serving codegen.Serving
	reply   []byte
}

func (e *endpoint) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	e.reply = e.serving.Handle(ctx, given(request), e.reply[:0])
	r, err := abi.ParseReply(e.reply)
	return r.Status, r.Payload, err
}

func (e *endpoint) Save(ctx context.Context) ([]byte, error) {
	e.reply = e.serving.Save(ctx, nil, e.reply[:0])
	return e.ok()
}

func (e *endpoint) Restore(ctx context.Context, state []byte) error {
	e.reply = e.serving.Restore(ctx, given(state), e.reply[:0])
	_, err := e.ok()
	return err
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
	return nil, errors.New(text)
}

func (*endpoint) Limit() time.Duration { return 0 }

func (*endpoint) Close() {}
