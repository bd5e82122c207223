package host

import (
	"context"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A far is the far endpoint of one channel: an instance of its module that it
// has for itself, because the instance holds the endpoint's state.
type far struct {
	h  *Handler
	in executor.Instance
	fn uint32 // the first of the endpoint's three guest functions
}

// openFar makes a far endpoint with the zero value's state.
func (h *Handler) openFar(ctx context.Context, module offload.Digest, fn uint32) (elastic.Far, error) {
	if err := h.draining(); err != nil {
		return nil, err
	}
	select {
	case h.fars <- struct{}{}:
	default:
		return nil, &wire.Fail{Code: wire.CodeOverloaded, Text: fmt.Sprintf("the host serves %d channels, no more", cap(h.fars))}
	}
	in, err := h.instance(ctx, module)
	if err != nil {
		<-h.fars
		fail := failOf(err)
		return nil, &fail
	}
	return &far{h, in, fn}, nil
}

func (h *Handler) instance(ctx context.Context, module offload.Digest) (executor.Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.CallLimit)
	defer cancel()
	m, err := h.mods.get(ctx, module)
	if err != nil {
		return nil, err
	}
	if err := h.turn(ctx); err != nil {
		return nil, err
	}
	defer h.yield()
	return m.instance(ctx)
}

// Handle implements elastic.Far.
func (f *far) Handle(ctx context.Context, request []byte) (offload.Status, []byte, error) {
	return f.call(ctx, f.fn, request)
}

// Save implements elastic.Far.
func (f *far) Save(ctx context.Context) ([]byte, error) {
	status, state, err := f.call(ctx, f.fn+1, nil)
	if err == nil && status != abi.OK {
		err = answered(status, state)
	}
	return state, err
}

// Restore implements elastic.Far.
func (f *far) Restore(ctx context.Context, state []byte) error {
	status, why, err := f.call(ctx, f.fn+2, state)
	if err == nil && status != abi.OK {
		err = answered(status, why)
	}
	return err
}

// Close implements elastic.Far.
func (f *far) Close() {
	f.in.Close()
	<-f.h.fars
}

// call runs one of the endpoint's guest functions in its turn. Its error is a
// *wire.Fail.
func (f *far) call(ctx context.Context, fn uint32, request []byte) (offload.Status, []byte, error) {
	if d, ok := ctx.Deadline(); !ok || time.Until(d) > f.h.cfg.CallLimit {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.h.cfg.CallLimit)
		defer cancel()
	}
	err := f.h.turn(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer f.h.yield()
	reply, err := f.in.Call(ctx, fn, request)
	if err == nil && len(reply.Payload) > wire.MaxPayload {
		err = &wire.Fail{Code: wire.CodeTooLarge, Started: true, Text: "reply of the guest function"}
	}
	if err != nil {
		fail := failOf(err)
		f.h.cfg.Logger.Warn("far endpoint failed", "fn", fn, "code", fail.Code.String(), "why", fail.Text)
		return 0, nil, &fail
	}
	return reply.Status, reply.Payload, nil
}

// answered is the failure to save or to restore a state, as the guest told it.
func answered(status offload.Status, payload []byte) error {
	if status == abi.Error {
		if _, text, err := abi.ParseError(payload); err == nil {
			return &wire.Fail{Code: wire.CodeProtocol, Started: true, Text: text}
		}
	}
	return &wire.Fail{Code: wire.CodeTrap, Started: true, Text: string(payload)}
}
