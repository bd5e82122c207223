package host

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/deadline"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// call runs a call of the session and makes the frame that answers it. Its error is a
// *wire.Fail.
func (s *session) call(ctx context.Context, c wire.Call, request []byte, reply *far.Reply) error {
	err := s.tryCall(ctx, c, request, reply)
	if err == nil {
		return nil
	}
	fail := explain(err)
	s.h.refusals.add(fail.Code)
	s.h.cfg.Logger.Log(ctx, far.Level(ctx, fail), "call failed", "ue", s.key.ue, "fn", c.Fn, "code", fail.Code.String(), "why", fail.Text)
	if !fail.Started {
		s.tenant.pace(ctx)
	}
	return fail
}

// tryCall takes a place in the tenant's queue, then an instance, then a turn.
func (s *session) tryCall(ctx context.Context, c wire.Call, request []byte, reply *far.Reply) error {
	if err := s.h.draining(); err != nil {
		return err
	}
	if err := s.grant.beginCall(c.Module); err != nil {
		return err
	}
	select {
	case s.tenant.queue <- struct{}{}:
		defer func() { <-s.tenant.queue }()
	default:
		return &wire.Fail{Code: offload.CodeOverloaded}
	}
	limit := s.h.cfg.CallLimit
	if c.Deadline > 0 {
		limit = min(limit, c.Deadline)
	}
	begin := time.Now()
	d, err := s.h.deployed.get(ctx, s.tenant, c.Module, limit)
	if err != nil {
		return err
	}
	defer s.h.deployed.done(d)
	waited := time.Since(begin)
	bounded := deadline.New(ctx, cmp.Or(min(limit-waited, d.deadline), -1))
	defer bounded.End()
	call := &executor.Call{Account: s.account}
	in := executor.WithCall(bounded, call)
	defer func() { s.h.observe(&s.h.times.calls, c.Module, begin, call.Entered, time.Now()) }()
	pool, most, done, err := s.h.deployed.poolWithin(d, s.grant.memory())
	if err != nil {
		return err
	}
	defer done()
	err = pool.Call(in, c.Fn, request, func(a executor.Answer) error {
		if len(a.Payload) > wire.MaxPayload {
			return &wire.Fail{Code: offload.CodeTooLarge, Started: true, Text: "reply of the guest function"}
		}
		if a.Status == abi.Panic {
			a.Payload = s.panicked(c.Fn, a.Payload)
		}
		return answer(in, reply, a, waited, call.Spans)
	})
	return narrowed(err, most)
}

// answer makes the frame of a call's answer. It waits for room without a core.
func answer(ctx context.Context, reply *far.Reply, a executor.Answer, waited time.Duration, spans []executor.Span) error {
	res := result(a.Reply, waited+a.Queue, a.Run, spans)
	n := res.HeaderSize() + res.Size
	err := reply.TryRoom(n)
	if err != nil {
		executor.Aside(ctx, func() { err = reply.Room(ctx, n) })
	}
	if err != nil {
		return err
	}
	reply.Frame = append(wire.AppendResult(reply.Frame, res), a.Payload...)
	return nil
}

// panicked logs that a guest function panicked, and returns what the UE is told of it: one
// line.
func (s *session) panicked(fn uint32, payload []byte) []byte {
	line, stack := abi.SplitPanic(payload)
	s.h.cfg.Logger.Debug("guest panicked", "ue", s.key.ue, "fn", fn, "why", line, "stack", string(stack))
	return []byte(line)
}

// draining returns an error if the host takes nothing new, else nil.
func (h *Handler) draining() error {
	select {
	case <-h.ended:
		return &wire.Fail{Code: offload.CodeDraining}
	default:
		return nil
	}
}

func result(r executor.Reply, queue, run time.Duration, spans []executor.Span) wire.Result {
	res := wire.Result{Status: byte(r.Status), Queue: queue, Run: run, Size: len(r.Payload)}
	for _, s := range spans {
		res.Spans = append(res.Spans, wire.Span(s))
	}
	return res
}

// explain returns the Fail for an error of the executor or of this package.
func explain(err error) *wire.Fail {
	var f *wire.Fail
	if errors.As(err, &f) {
		return f
	}
	if fail := denied(err); fail != nil {
		return fail
	}
	fail := &wire.Fail{Code: offload.CodeInternal, Started: !errors.Is(err, executor.ErrNotStarted), Text: err.Error()}
	if exit := (*wasi.ExitError)(nil); errors.As(err, &exit) && !errors.Is(err, executor.ErrMemory) {
		fail.Code = codeOfExit(exit)
		return fail
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			fail.Code = c.code
			if c.plain && fail.Started {
				fail.Text = c.err.Error()
			}
			break
		}
	}
	return fail
}

// codeOfExit returns why a guest has ended its process, as Go's runtime puts it.
func codeOfExit(exit *wasi.ExitError) offload.Code {
	switch said := exit.Fatal; {
	case strings.Contains(said, "deadlock"):
		return offload.CodeDeadlocked
	case strings.Contains(said, "stack overflow"):
		return offload.CodeOutOfStack
	case strings.Contains(said, "out of memory"), strings.Contains(said, "cannot allocate memory"):
		return offload.CodeOutOfMemory
	}
	return offload.CodeExited
}

// codes are those of the executor's errors. Of an error that is several of them, the
// first one counts.
var codes = []struct {
	err   error
	code  offload.Code
	plain bool // the error says it all: where the guest was stopped is chance
}{
	{executor.ErrDeadline, offload.CodeDeadline, true},
	{context.DeadlineExceeded, offload.CodeDeadline, false},
	{executor.ErrFuel, offload.CodeOutOfFuel, false},
	{executor.ErrMemory, offload.CodeOutOfMemory, false},
	{executor.ErrStack, offload.CodeOutOfStack, false},
	{executor.ErrTooLarge, offload.CodeTooLarge, false},
	{executor.ErrTrap, offload.CodeTrapped, false},
	{executor.ErrABI, offload.CodeTrapped, false},
	{executor.ErrDiscarded, offload.CodeTrapped, false},
}
