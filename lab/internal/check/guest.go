package check

import (
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A guest is a native far endpoint that breaks as a guest would at a message with
// poison, and on a host that refuses states.
type guest struct {
	far.Endpoint
	// refuses says what the host refuses now: to give a state, to take one.
	refuses func() (save, restore bool)
}

func newGuest(g *ground, refuses func() (save, restore bool)) guest {
	return guest{native.New(g.endpoint()), refuses}
}

// Handle implements far.Endpoint.
func (g guest) Handle(ctx context.Context, request []byte) (status abi.Status, payload []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // as the guest's own entry does
			status, payload, err = abi.Panic, fmt.Append(nil, p), nil
		}
	}()
	status, payload, err = g.Endpoint.Handle(ctx, request)
	switch {
	case err != nil:
		return 0, nil, err
	case ctx.Err() != nil:
		return 0, nil, &wire.Fail{Code: offload.CodeDeadline, Started: true}
	}
	if err := poisonIn(request).outcome(); err != nil {
		return 0, nil, err
	}
	return status, payload, nil
}

// Save implements far.Endpoint.
func (g guest) Save(ctx context.Context) ([]byte, error) {
	if save, _ := g.refuses(); save {
		return nil, &wire.Fail{Code: offload.CodeTooLarge, Text: "state"}
	}
	return g.Endpoint.Save(ctx)
}

// Restore implements far.Endpoint.
func (g guest) Restore(ctx context.Context, state []byte) error {
	if _, restore := g.refuses(); restore {
		return &wire.Fail{Code: offload.CodeOutOfMemory, Started: true, Text: "state"}
	}
	return g.Endpoint.Restore(ctx, state)
}
