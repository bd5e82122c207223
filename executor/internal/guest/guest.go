// Package guest drives guests for engines: it speaks the guest ABI, checks all that a
// guest answers, links what it imports, and counts.
//
// An Engine implements [Raw] over an instance of its own; [New] makes an
// [executor.Instance] of it. In Load an engine calls [Prepare] and [CheckExports], and
// in Instantiate [NewLinkage], then New.
package guest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// A Raw is what an Engine can do with an instance of its own. [New] makes an
// [executor.Instance] of it. Its methods are called by one goroutine at a time, and guest code
// runs between Begin and End only. Their errors are those of [Linkage.Trap].
type Raw interface {
	// Begin prepares for guest code to run until the deadline of ctx, until
	// [executor.CancelGrace] after ctx is cancelled, or until it has used fuel, whichever
	// is first. Zero fuel is no bound. Where the call of ctx has a [executor.Turn], an engine
	// that can suspend a guest lets it yield every millisecond or so.
	Begin(ctx context.Context, fuel uint64)
	// End ends that and returns what was used since Begin.
	End() Usage
	// Start makes the instance and initialises it.
	Start() error
	// ABI calls bungee_abi.
	ABI() (uint32, error)
	// Buf calls bungee_buf.
	Buf(n uint32) (ptr uint32, err error)
	// Invoke calls bungee_call.
	Invoke(fn, ptr, n uint32, deadline int64) (reply uint64, err error)
	// Bytes reads the memory between calls.
	executor.Memory
	// Size returns the bytes of memory.
	Size() uint64
	// Close frees the instance.
	Close() error
}

// A Usage is what an engine counts between Begin and End. It is zero for an
// instance that is not metered.
type Usage struct {
	Fuel          uint64
	CPU           time.Duration
	MemorySeconds float64
}

// An Instance is an [executor.Instance] over a [Raw].
type Instance struct {
	raw    Raw
	link   *Linkage
	broken bool
	last   executor.Bill
}

// New starts raw and returns an Instance over it, which owns raw and link. It
// fails, and closes both, when the guest does not start or is of another ABI
// version. What the guest does meanwhile has the bounds of a call and is billed as one:
// to the account of ctx, else to the instance's tenant, also where New fails.
func New(ctx context.Context, raw Raw, link *Linkage) (executor.Instance, error) {
	g := &Instance{raw: raw, link: link}
	err := g.start(ctx)
	if err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// start starts the guest and bills it.
func (g *Instance) start(ctx context.Context) error {
	fuel, err := g.fuel()
	if err != nil {
		return err
	}
	g.link.begin(ctx)
	g.raw.Begin(ctx, fuel)
	var v uint32
	if err = g.raw.Start(); err == nil {
		v, err = g.raw.ABI()
	}
	g.count(g.raw.End(), 0, 0, false)
	g.link.end()
	if a := executor.AccountOf(ctx); a != nil {
		a.Charge(g.last)
	} else {
		g.link.tenant.Charge(g.last)
	}
	g.last = executor.Bill{} // it is of no call
	if err == nil && v != abi.Version {
		err = fmt.Errorf("%w: the guest has ABI version %d, this host %d; build the module again", executor.ErrABI, v, abi.Version)
	}
	return err
}

// Close implements [executor.Instance].
func (g *Instance) Close() error {
	g.broken = true
	err := g.raw.Close()
	g.link.Close()
	return err
}

// Shed implements [executor.Shedder], where the engine can.
func (g *Instance) Shed() bool {
	g.broken = true
	s, ok := g.raw.(executor.Shedder)
	return ok && s.Shed()
}

// Last implements [executor.Instance].
func (g *Instance) Last() executor.Bill { return g.last }

// Size implements [executor.Instance].
func (g *Instance) Size() uint64 { return g.raw.Size() }

// Memory returns the linear memory, for tests and tools that compare states. It
// is valid until the next Call.
func (g *Instance) Memory() []byte {
	b, _ := g.raw.Bytes(0, uint32(min(g.raw.Size(), 1<<32-1)))
	return b
}

// Call implements [executor.Instance].
func (g *Instance) Call(ctx context.Context, fn uint32, request []byte) (executor.Reply, error) {
	g.last = executor.Bill{}
	if err := g.admit(ctx, request); err != nil {
		return executor.Reply{}, err
	}
	fuel, err := g.fuel()
	if err != nil {
		return executor.Reply{}, fmt.Errorf("%w: %w", executor.ErrNotStarted, err)
	}
	// Until the guest is known to have come back sound, it is not.
	g.broken = true
	g.link.begin(ctx)
	g.raw.Begin(ctx, fuel)
	reply, entered, err := g.enter(ctx, fn, request)
	g.count(g.raw.End(), len(request), len(reply.Payload), entered)
	g.link.end()
	return reply, err
}

// admit says why a call cannot begin.
func (g *Instance) admit(ctx context.Context, request []byte) error {
	switch {
	case g.broken:
		return executor.ErrDiscarded
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", executor.ErrNotStarted, context.Cause(ctx))
	case len(request) > abi.MaxRequest:
		return fmt.Errorf("%w: %w: the request has %d bytes; at most %d can cross", executor.ErrNotStarted, executor.ErrTooLarge, len(request), abi.MaxRequest)
	}
	return nil
}

// fuel returns what a call, or a start, may use, 0 for no bound: the least of its limit
// and what its tenant has left.
func (g *Instance) fuel() (uint64, error) {
	limit := g.link.Limits.Fuel
	if !g.link.Metered {
		return limit, nil
	}
	have, err := g.link.tenant.Fuel()
	if err != nil {
		return 0, err
	}
	if limit == 0 || have != 0 && have < limit {
		limit = have
	}
	return limit, nil
}

// enter gives the guest its request and runs function fn. entered is false when the
// guest had no buffer, which does it no harm.
func (g *Instance) enter(ctx context.Context, fn uint32, request []byte) (reply executor.Reply, entered bool, err error) {
	n := uint32(len(request))
	ptr, err := g.raw.Buf(n)
	switch {
	case err != nil:
		return executor.Reply{}, true, err
	case ptr == 0 && n > 0:
		g.broken = false
		return executor.Reply{}, false, fmt.Errorf("%w: %w: the guest has no buffer for %d bytes", executor.ErrNotStarted, executor.ErrTooLarge, n)
	}
	b, ok := g.raw.Bytes(ptr, n)
	if !ok && n > 0 {
		return executor.Reply{}, true, fmt.Errorf("%w: its buffer of %d bytes at %#x is outside its memory", executor.ErrABI, n, ptr)
	}
	copy(b, request)
	v, err := g.raw.Invoke(fn, ptr, n, g.link.deadline(ctx))
	if err != nil {
		return executor.Reply{}, true, err
	}
	reply, err = g.reply(v)
	g.broken = err != nil && !errors.Is(err, executor.ErrTooLarge) || reply.Status == abi.Panic
	return reply, true, err
}

// reply reads what bungee_call returned. A result that is too large does the guest no harm: it is left
// where it is. After a panic the guest is unsound, however long the text.
func (g *Instance) reply(v uint64) (executor.Reply, error) {
	ptr, n := abi.SplitReply(v)
	b, ok := g.raw.Bytes(ptr, n)
	if !ok {
		return executor.Reply{}, fmt.Errorf("%w: its reply of %d bytes at %#x is outside its memory", executor.ErrABI, n, ptr)
	}
	if most := g.link.Limits.Output; len(b) > most+1 && executor.Status(b[0]) <= abi.Both && executor.Status(b[0]) != abi.Panic {
		return executor.Reply{}, fmt.Errorf("%w: a reply of %d bytes; the most is %d", executor.ErrTooLarge, n-1, most)
	}
	r, err := abi.ParseReply(b)
	if err != nil {
		return executor.Reply{}, fmt.Errorf("%w: %w", executor.ErrABI, err)
	}
	return r, nil
}

// count makes the bill of a call.
func (g *Instance) count(u Usage, in, out int, entered bool) {
	g.last = executor.Bill{
		BytesIn: uint64(in), BytesOut: uint64(out),
		HostCalls: g.link.calls, HostTime: g.link.hostTime,
		MemoryPeak: g.raw.Size(),
		Fuel:       u.Fuel, CPU: u.CPU, MemorySeconds: u.MemorySeconds,
	}
	if g.link.calls > 0 {
		g.last.NetIn, g.last.NetOut = executor.CallOf(g.link.ctx).TakeNetwork()
	}
	if entered {
		g.last.Calls = 1
	}
	if g.broken {
		g.last.Failed = 1
	}
}
