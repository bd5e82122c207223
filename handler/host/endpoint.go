package host

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// An endpoint is the far endpoint of one channel. It has an instance of its module for
// itself, because the instance holds the endpoint's state.
type endpoint struct {
	s    *session
	d    *deployment
	in   executor.Instance
	most int64        // bytes of the instance, where its lease is why; 0: the lease is not
	fn   uint32       // the first of the endpoint's three guest functions
	slot budget.Lease // of a channel
}

// openEndpoint makes a far endpoint with the zero value's state.
func (s *session) openEndpoint(ctx context.Context, module offload.Digest, fn uint32) (far.Endpoint, error) {
	if err := s.h.draining(); err != nil {
		return nil, err
	}
	if err := s.grant.covers(module); err != nil {
		return nil, err
	}
	slot, err := s.tenant.channels.Try(1)
	if err != nil {
		return nil, crowded(s.tenant, "channels", s.tenant.channels, s.h.channels)
	}
	e, err := s.makeEndpoint(ctx, module, fn)
	if err != nil {
		slot.Release()
		return nil, explain(err)
	}
	e.slot = slot
	return e, nil
}

func (s *session) makeEndpoint(ctx context.Context, module offload.Digest, fn uint32) (*endpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, s.h.cfg.CallLimit)
	defer cancel()
	for {
		e, err := s.tryEndpoint(ctx, module, fn)
		if err != nil || !s.h.deployed.isRetired(e.d) {
			return e, err
		}
		e.free() // its grant changed while the instance was made
	}
}

func (s *session) tryEndpoint(ctx context.Context, module offload.Digest, fn uint32) (*endpoint, error) {
	d, err := s.h.deployed.get(ctx, s.tenant, module, s.h.cfg.CallLimit)
	if err != nil {
		return nil, err
	}
	ctx, done := context.WithTimeout(ctx, d.deadline)
	defer done()
	cfg, most, err := d.within(s.grant.memory())
	var in executor.Instance
	if err == nil {
		in, err = s.instantiate(ctx, d, cfg)
	}
	if err != nil {
		s.h.deployed.done(d)
		return nil, narrowed(err, most)
	}
	return &endpoint{s: s, d: d, in: in, most: most, fn: fn}, nil
}

// instantiate makes an instance of d's module, in a turn of the session's tenant.
func (s *session) instantiate(ctx context.Context, d *deployment, cfg executor.InstanceConfig) (executor.Instance, error) {
	turn, err := s.h.turns.Take(ctx, s.tenant.Tenant)
	if err != nil {
		return nil, noTurn
	}
	defer turn.Done()
	in, err := d.module.Instantiate(executor.WithCall(ctx, &executor.Call{Account: s.account, Turn: turn}), cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: make an instance: %w", executor.ErrNotStarted, err)
	}
	return in, nil
}

// Handle implements far.Endpoint.
func (e *endpoint) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	return e.call(ctx, e.fn, request)
}

// Save implements far.Endpoint. A state that is too large to cross stays as it is.
func (e *endpoint) Save(ctx context.Context) ([]byte, error) {
	status, state, err := e.call(ctx, e.fn+1, nil)
	if err == nil && status != abi.OK {
		err = answered(status, state)
	}
	return state, about(err, "save the state")
}

// Restore implements far.Endpoint.
func (e *endpoint) Restore(ctx context.Context, state []byte) error {
	status, why, err := e.call(ctx, e.fn+2, state)
	if err == nil && status != abi.OK {
		err = answered(status, why)
	}
	return about(err, fmt.Sprintf("restore a state of %d bytes", len(state)))
}

// about returns err, a *wire.Fail or nil, with what was done before its text.
func about(err error, what string) error {
	if err == nil {
		return nil
	}
	fail := *wire.FailOf(err)
	fail.Text = what + ": " + fail.Text
	return &fail
}

// Limit implements far.Endpoint.
func (e *endpoint) Limit() time.Duration { return e.d.deadline }

// Close implements far.Endpoint.
func (e *endpoint) Close() {
	e.free()
	e.slot.Release()
}

// free closes the instance.
func (e *endpoint) free() {
	e.in.Close()
	e.s.h.deployed.done(e.d)
}

// call runs one of the endpoint's guest functions in its turn. Its error is a
// *wire.Fail.
func (e *endpoint) call(ctx context.Context, fn uint32, request []byte) (abi.Status, []byte, error) {
	reply, err := e.run(ctx, fn, request)
	if err == nil {
		err = tooLarge(reply)
	}
	if err != nil {
		fail := explain(narrowed(err, e.most))
		if fail.Code == offload.CodeTooLarge && fn != e.fn { // only Handle has changed the state
			fail.Started = false
		}
		e.s.h.refusals.add(fail.Code)
		e.s.h.cfg.Logger.Log(ctx, e.level(ctx, fail), "far endpoint failed", "ue", e.s.key.ue, "fn", fn, "code", fail.Code.String(), "why", fail.Text)
		return 0, nil, fail
	}
	if reply.Status == abi.Panic {
		reply.Payload = e.s.panicked(fn, reply.Payload)
	}
	return reply.Status, reply.Payload, nil
}

// tooLarge returns an error if a guest said that its reply is too large to cross, or it is.
func tooLarge(reply executor.Reply) error {
	if len(reply.Payload) > wire.MaxPayload {
		return &wire.Fail{Code: offload.CodeTooLarge, Started: true, Text: fmt.Sprintf("reply of %d bytes; the most is %d", len(reply.Payload), wire.MaxPayload)}
	}
	if reply.Status != abi.Error {
		return nil
	}
	if code, text, err := abi.ParseError(reply.Payload); err == nil && code == abi.CodeTooLarge {
		return &wire.Fail{Code: offload.CodeTooLarge, Started: true, Text: text}
	}
	return nil
}

// level returns how a failure of the far endpoint is logged.
func (e *endpoint) level(ctx context.Context, fail *wire.Fail) slog.Level {
	if ctx.Err() == context.DeadlineExceeded {
		ctx = context.Background() // the UE has not given it up
	}
	return far.Level(ctx, fail)
}

// noTurn says that no core came free in time.
var noTurn = &wire.Fail{Code: offload.CodeDeadline, Text: "while it waited for its turn"}

func (e *endpoint) run(ctx context.Context, fn uint32, request []byte) (executor.Reply, error) {
	var begin, entered time.Time
	if fn == e.fn { // a message: what saves and restores is not told
		begin = time.Now()
		if err := e.s.grant.beginMessage(ctx); err != nil {
			return executor.Reply{}, err
		}
		defer func() { e.s.h.observe(&e.s.h.times.messages, e.d.key.digest, begin, entered, time.Now()) }()
	}
	turn, err := e.s.h.turns.Take(ctx, e.s.tenant.Tenant)
	if err != nil {
		return executor.Reply{}, noTurn
	}
	defer turn.Done()
	defer func() { e.s.account.Charge(e.in.Last()) }()
	entered = time.Now()
	return e.in.Call(executor.WithCall(ctx, &executor.Call{Account: e.s.account, Turn: turn}), fn, request)
}

// answered returns the error that a guest gave in place of saving or restoring a state.
func answered(status abi.Status, payload []byte) error {
	if status == abi.Error {
		if _, text, err := abi.ParseError(payload); err == nil {
			return &wire.Fail{Code: offload.CodeProtocol, Started: true, Text: text}
		}
	}
	return &wire.Fail{Code: offload.CodePanicked, Started: true, Text: string(payload)}
}
