package far

import (
	"context"
	"errors"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload"
)

// Native returns a far endpoint that runs ep's native version: for a host that is
// a program of one's own, and for tests.
func Native[In, Out any](ep *offload.Endpoint[In, Out]) Endpoint {
	return &native{serving: ep.Serve()}
}

type native struct {
	serving offload.Serving
	reply   []byte
}

func (n *native) Handle(ctx context.Context, request []byte) (offload.Status, []byte, error) {
	n.reply = n.serving.Handle(ctx, request, n.reply[:0])
	r, err := abi.ParseReply(n.reply)
	return r.Status, r.Payload, err
}

func (n *native) Save(ctx context.Context) ([]byte, error) {
	n.reply = n.serving.Save(ctx, nil, n.reply[:0])
	return n.ok()
}

func (n *native) Restore(ctx context.Context, state []byte) error {
	n.reply = n.serving.Restore(ctx, state, n.reply[:0])
	_, err := n.ok()
	return err
}

// ok returns the payload of the reply, or the error that it is.
func (n *native) ok() ([]byte, error) {
	r, err := abi.ParseReply(n.reply)
	if err != nil || r.Status == abi.OK {
		return r.Payload, err
	}
	_, text, err := abi.ParseError(r.Payload)
	if err != nil {
		return nil, err
	}
	return nil, errors.New(text)
}

func (*native) Limit() time.Duration { return 0 }

func (*native) Close() {}
