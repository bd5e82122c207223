package codegen

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// hedged runs the Wasm version, and the native one beside it when there is no answer after w.Hedge. The first result
// counts, and the other run is cancelled: the stream of the call is reset, or the native function's context ends. A native
// function that does not look at its context runs to its end, for nothing.
//
// The two runs share nothing that either writes. The native one has a request of its own, which it decodes from a copy of
// the frame, and the copy is made while the frame is surely in use; it never sees the caller's values, which the caller may change once
// Call has returned. Its result reaches the caller through a channel, or not at all.
func (f *Func[In, Out]) hedged(ctx context.Context, frame []byte, in In, w *route.Way, begin time.Time, encoded time.Duration) (out Out, ran bool, err error) {
	remote, overtake := context.WithCancelCause(ctx)
	defer overtake(nil)
	local, cancel := context.WithCancel(offload.WithTrace(ctx, nil)) // the trace is the caller's
	defer cancel()
	b := &beside[In, Out]{account: w.Account, request: frame[route.Room:], ended: make(chan native[In, Out], 1)}
	timer := time.AfterFunc(w.Hedge-encoded, func() {
		if request, ok := b.begin(); ok {
			defer overtake(route.ErrOvertaken)
			b.run(local, func() (In, Out, error) { return f.serveOwn(local, request) })
		}
	})
	defer timer.Stop()
	out, t, err := f.exchange(remote, frame, in, w, begin, encoded)
	begun, running := b.over()
	if !running {
		f.tell(ctx, w, &t, time.Since(begin))
		return out, false, err
	}
	if err == nil || !mayWait(err) {
		t.Hedged, t.Wasted = true, time.Since(begun)
		w.Account.Hedged(true, t.Wasted)
		f.tell(ctx, w, &t, time.Since(begin))
		return out, false, err
	}
	out, err = f.await(ctx, b, in, w, begin, err)
	return out, true, err
}

// mayWait says whether the native run counts after err of an edge host.
func mayWait(err error) bool { return errors.Is(err, route.ErrOvertaken) || route.MayRepeat(err, true) }

// serveOwn runs the native version on a request that nobody else has. In is what it decoded.
func (f *Func[In, Out]) serveOwn(ctx context.Context, request []byte) (in In, out Out, err error) {
	r := pack.NewOwnedReader(request)
	in = f.ReadIn(&r)
	if err := r.Done(); err != nil {
		return *new(In), out, err
	}
	out, err = f.native(ctx, in)
	return in, out, err
}

// carry writes to the memory of in what the native run beside changed in its own copy. One that
// panicked has changed what it would have changed in the caller's own memory.
func (f *Func[In, Out]) carry(in, own In) {
	if f.AppendBack == nil {
		return
	}
	r := pack.NewReader(f.AppendBack(nil, own))
	if back := f.readBack(&r, in); r.Done() == nil {
		_ = back.Write() // it does not fit where the request did not decode: then nothing ran
	}
}

// await returns the result of the native run, when the edge host gave none because of why.
func (f *Func[In, Out]) await(ctx context.Context, b *beside[In, Out], in In, w *route.Way, begin time.Time, why error) (out Out, err error) {
	select {
	case n := <-b.ended:
		wasted := time.Since(begin)
		w.Account.Hedged(false, wasted)
		if t := offload.TraceOf(ctx); t != nil {
			*t = offload.Trace{Why: reason(w), Hedged: true, Wasted: wasted, Run: n.took}
			if !errors.Is(why, route.ErrOvertaken) {
				t.Fallback = why
			}
		}
		f.carry(in, n.in)
		return n.out, n.err
	case <-ctx.Done():
		w.Account.Hedged(false, time.Since(begin))
		return out, &offload.CallError{Func: f.Name, Code: offload.CodeOf(ctx.Err()), Fate: offload.Unknown, Err: context.Cause(ctx)}
	}
}

// A beside is a native run beside a call on an edge host.
//
//	waiting --time, allowed--> running --result, panic--> ended
//	   |                          |
//	   +---------- over ----------+  (the edge host has answered, or cannot)
type beside[In, Out any] struct {
	account route.Account
	ended   chan native[In, Out] // cap 1: a run that is over does not wait

	mu      sync.Mutex
	request []byte // nil: over, and the frame may be in other hands
	begun   time.Time
}

// A native is how a native run has ended.
type native[In, Out any] struct {
	in   In
	out  Out
	err  error
	took time.Duration
}

// begin begins the run unless it is over, and returns a copy of the request.
func (b *beside[In, Out]) begin() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.request == nil || !b.account.MayHedge() {
		return nil, false
	}
	b.begun = time.Now()
	return append(make([]byte, 0, len(b.request)), b.request...), true
}

// over lets no run begin. It says when one did.
func (b *beside[In, Out]) over() (begun time.Time, running bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.request = nil
	return b.begun, !b.begun.IsZero()
}

// run runs the function.
func (b *beside[In, Out]) run(ctx context.Context, function func() (In, Out, error)) {
	var n native[In, Out]
	begin := time.Now()
	n.in, n.out, n.err = function()
	n.took = time.Since(begin)
	if ctx.Err() == nil {
		b.account.Ran(n.took)
	}
	b.account.HedgeEnded()
	b.ended <- n
}
