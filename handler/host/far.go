package host

import (
	"context"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A farEnd is the far endpoint of one channel: an instance of its module that it
// has for itself, because the instance holds the endpoint's state.
type farEnd struct {
	h  *Handler
	g  *group
	m  *module
	in executor.Instance
	fn uint32 // the first of the endpoint's three guest functions
}

// openFar makes a far endpoint with the zero value's state.
func (g *group) openFar(ctx context.Context, module offload.Digest, fn uint32) (far.Endpoint, error) {
	h := g.h
	if err := h.draining(); err != nil {
		return nil, err
	}
	if err := g.holdFar(); err != nil {
		return nil, err
	}
	f, err := g.makeFar(ctx, module, fn)
	if err != nil {
		g.releaseFar()
		return nil, explain(err)
	}
	return f, nil
}

// holdFar counts a far endpoint of the tenant and of the host.
func (g *group) holdFar() error {
	select {
	case g.tenant.fars <- struct{}{}:
	default:
		return &wire.Fail{Code: wire.CodeOverloaded, Text: fmt.Sprintf("tenant %q has %d channels, and may have no more", g.tenant.Name(), cap(g.tenant.fars))}
	}
	select {
	case g.h.fars <- struct{}{}:
		return nil
	default:
		<-g.tenant.fars
		return &wire.Fail{Code: wire.CodeOverloaded, Text: fmt.Sprintf("the host serves %d channels, no more", cap(g.h.fars))}
	}
}

func (g *group) releaseFar() {
	<-g.h.fars
	<-g.tenant.fars
}

func (g *group) makeFar(ctx context.Context, digest offload.Digest, fn uint32) (*farEnd, error) {
	ctx, cancel := context.WithTimeout(ctx, g.h.cfg.CallLimit)
	defer cancel()
	m, err := g.h.mods.get(ctx, g.tenant, digest, g.h.cfg.CallLimit)
	if err != nil {
		return nil, err
	}
	in, err := g.instantiate(ctx, m)
	if err != nil {
		g.h.mods.done(m)
		return nil, err
	}
	return &farEnd{g.h, g, m, in, fn}, nil
}

// instantiate makes an instance of m, in a turn of the session's tenant.
func (g *group) instantiate(ctx context.Context, m *module) (executor.Instance, error) {
	turn, err := g.h.turns.Take(ctx, g.tenant.Tenant)
	if err != nil {
		return nil, noTurn
	}
	defer turn.Done()
	return m.mod.Instantiate(executor.WithCall(ctx, &executor.Call{Account: g.account, Turn: turn}), m.instance)
}

// Handle implements far.Endpoint.
func (f *farEnd) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	return f.call(ctx, f.fn, request)
}

// Save implements far.Endpoint.
func (f *farEnd) Save(ctx context.Context) ([]byte, error) {
	status, state, err := f.call(ctx, f.fn+1, nil)
	if err == nil && status != abi.OK {
		err = answered(status, state)
	}
	return state, err
}

// Restore implements far.Endpoint.
func (f *farEnd) Restore(ctx context.Context, state []byte) error {
	status, why, err := f.call(ctx, f.fn+2, state)
	if err == nil && status != abi.OK {
		err = answered(status, why)
	}
	return err
}

// Limit implements far.Endpoint.
func (f *farEnd) Limit() time.Duration { return f.m.deadline }

// Close implements far.Endpoint.
func (f *farEnd) Close() {
	f.in.Close()
	f.h.mods.done(f.m)
	f.g.releaseFar()
}

// call runs one of the endpoint's guest functions in its turn. Its error is a
// *wire.Fail.
func (f *farEnd) call(ctx context.Context, fn uint32, request []byte) (abi.Status, []byte, error) {
	reply, err := f.run(ctx, fn, request)
	if err == nil && len(reply.Payload) > wire.MaxPayload {
		err = &wire.Fail{Code: wire.CodeTooLarge, Started: true, Text: "reply of the guest function"}
	}
	if err != nil {
		fail := explain(err)
		f.h.cfg.Logger.Warn("far endpoint failed", "ue", f.g.key.ue, "fn", fn, "code", fail.Code.String(), "why", fail.Text)
		return 0, nil, fail
	}
	return reply.Status, reply.Payload, nil
}

// noTurn says that no core came free in time.
var noTurn = &wire.Fail{Code: wire.CodeDeadline, Text: "while it waited for its turn"}

func (f *farEnd) run(ctx context.Context, fn uint32, request []byte) (executor.Reply, error) {
	turn, err := f.h.turns.Take(ctx, f.g.tenant.Tenant)
	if err != nil {
		return executor.Reply{}, noTurn
	}
	defer turn.Done()
	defer func() { f.g.account.Charge(f.in.Last()) }()
	return f.in.Call(executor.WithCall(ctx, &executor.Call{Account: f.g.account, Turn: turn}), fn, request)
}

// answered is the failure to save or to restore a state, as the guest told it.
func answered(status abi.Status, payload []byte) error {
	if status == abi.Error {
		if _, text, err := abi.ParseError(payload); err == nil {
			return &wire.Fail{Code: wire.CodeProtocol, Started: true, Text: text}
		}
	}
	return &wire.Fail{Code: wire.CodeTrap, Started: true, Text: string(payload)}
}
