package codegen_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A slowEdge answers after a while, or never, and counts as an account what it hears.
type slowEdge struct {
	takes, hedge time.Duration // takes 0: it never answers
	err          error         // in place of an answer
	forbid       bool          // no hedging

	ran, answered, hostFirst, ueFirst, ended atomic.Int64
	wasted                                   atomic.Int64
}

func (e *slowEdge) Route(*offload.Desc) *route.Way {
	return &route.Way{Caller: e, Hedge: e.hedge, Account: e, Why: route.Why{Reason: 3}}
}

func (e *slowEdge) Call(ctx context.Context, d *offload.Desc, frame []byte) (*route.Reply, error) {
	frame[route.Room-1]++ // the header
	var done <-chan time.Time
	if e.takes > 0 {
		done = time.After(e.takes)
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, &offload.CallError{Func: d.Name, Fate: offload.Unknown, Code: offload.CodeOf(ctx.Err()), Err: context.Cause(ctx)}
	}
	if e.err != nil {
		return nil, e.err
	}
	b := sum(false, nil).Serve(ctx, bytes.Clone(frame[route.Room:]), nil)
	r := route.NewReply()
	r.Host, r.Status, r.Payload = "edge-1", abi.Status(b[0]), b[1:]
	return r, nil
}

func (e *slowEdge) Times() bool                            { return true }
func (e *slowEdge) Ran(time.Duration)                      { e.ran.Add(1) }
func (e *slowEdge) Answered(*offload.Trace, time.Duration) { e.answered.Add(1) }
func (e *slowEdge) MayHedge() bool                         { return !e.forbid }
func (e *slowEdge) HedgeEnded()                            { e.ended.Add(1) }
func (e *slowEdge) Reason(w route.Why) string              { return "reason " + string('0'+rune(w.Reason)) }
func (e *slowEdge) Hedged(hostFirst bool, wasted time.Duration) {
	if hostFirst {
		e.hostFirst.Add(1)
	} else {
		e.ueFirst.Add(1)
	}
	e.wasted.Add(int64(wasted))
}

// sum is an idempotent function of bytes; native runs before it sums. It writes into its argument, as functions do.
func sum(idempotent bool, native func(context.Context) error) *codegen.Func[[]byte, float64] {
	return &codegen.Func[[]byte, float64]{
		Desc: offload.Desc{Name: "sum", Idempotent: idempotent},
		Native: func(ctx context.Context, b []byte) (float64, error) {
			if native != nil {
				if err := native(ctx); err != nil {
					return 0, err
				}
			}
			n := 0.0
			for i := range b {
				n += float64(b[i])
				b[i] = 0
			}
			return n, nil
		},
		AppendIn: pack.AppendBytes, ReadIn: (*pack.Reader).Bytes, AppendOut: pack.AppendFloat64, ReadOut: (*pack.Reader).Float64,
	}
}

const ms = time.Millisecond

func after(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestHedge(t *testing.T) {
	lost := &offload.CallError{Fate: offload.Unknown, Err: errors.New("lost")}
	own := errors.New("too dark")
	nested := &offload.CallError{Func: "nested", Fate: offload.NotStarted, Err: errors.New("no room")}
	tests := []struct {
		name       string
		edge       *slowEdge
		native     func(context.Context) error
		idempotent bool
		want       float64
		err        error
		took       time.Duration
		trace      offload.Trace
		runs       int64 // of the native version
	}{
		{"the edge is in time", &slowEdge{takes: 10 * ms, hedge: 20 * ms}, nil, true, 6, nil, 10 * ms, offload.Trace{Host: "edge-1", Network: 10 * ms}, 0},
		{"the edge never answers", &slowEdge{hedge: 20 * ms}, after(5*ms, nil), true, 6, nil, 25 * ms, offload.Trace{Hedged: true, Wasted: 25 * ms, Run: 5 * ms}, 1},
		{"the edge is late, and first", &slowEdge{takes: 22 * ms, hedge: 20 * ms}, after(5*ms, nil), true, 6, nil, 22 * ms, offload.Trace{Host: "edge-1", Network: 22 * ms, Hedged: true, Wasted: 2 * ms}, 1},
		{"it must not run twice", &slowEdge{takes: 500 * ms, hedge: 20 * ms}, nil, false, 6, nil, 500 * ms, offload.Trace{Host: "edge-1", Network: 500 * ms}, 0},
		{"no more hedging is allowed", &slowEdge{takes: 500 * ms, hedge: 20 * ms, forbid: true}, nil, true, 6, nil, 500 * ms, offload.Trace{Host: "edge-1", Network: 500 * ms}, 0},
		{"the edge is lost meanwhile", &slowEdge{takes: 22 * ms, hedge: 20 * ms, err: lost}, after(5*ms, nil), true, 6, nil, 25 * ms, offload.Trace{Hedged: true, Wasted: 25 * ms, Run: 5 * ms, Fallback: lost}, 1},
		{"the function fails on the UE", &slowEdge{hedge: 20 * ms}, after(5*ms, own), true, 0, own, 25 * ms, offload.Trace{Hedged: true, Wasted: 25 * ms, Run: 5 * ms}, 1},
		{"a function that it calls fails: it ran", &slowEdge{hedge: 20 * ms}, after(5*ms, nested), true, 0, nested, 25 * ms, offload.Trace{Hedged: true, Wasted: 25 * ms, Run: 5 * ms}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer route.Use(route.Use(tt.edge))
				var runs atomic.Int64
				f := sum(tt.idempotent, func(ctx context.Context) error {
					runs.Add(1)
					if offload.TraceOf(ctx) != nil {
						t.Error("the run beside can write to the caller's trace")
					}
					if tt.native == nil {
						return nil
					}
					return tt.native(ctx)
				})
				begin := time.Now()
				var tr offload.Trace
				got, err := f.Call(offload.WithTrace(t.Context(), &tr), []byte{1, 2, 3})
				if took := time.Since(begin); got != tt.want || !errors.Is(err, tt.err) || took != tt.took {
					t.Errorf("%v, %v after %v; want %v, %v after %v", got, err, took, tt.want, tt.err, tt.took)
				}
				synctest.Wait()
				if tt.trace.Why = "reason 3"; tr.Host != tt.trace.Host || tr.Why != tt.trace.Why || tr.Hedged != tt.trace.Hedged || tr.Wasted != tt.trace.Wasted ||
					tr.Run != tt.trace.Run || tr.Network != tt.trace.Network || tr.Fallback != tt.trace.Fallback {
					t.Errorf("trace %+v\nwant  %+v", tr, tt.trace)
				}
				e := tt.edge
				if n := runs.Load(); n != tt.runs || e.ended.Load() != n || e.hostFirst.Load()+e.ueFirst.Load() != n || e.wasted.Load() != int64(tt.trace.Wasted) {
					t.Errorf("%d native runs, %d ended, %d times the edge was first, %d times the UE, %v wasted; want %d", n, e.ended.Load(), e.hostFirst.Load(), e.ueFirst.Load(), time.Duration(e.wasted.Load()), tt.runs)
				}
			})
		})
	}
}

// A native run that the edge host has overtaken hears that it is not needed.
func TestHedgeCancelsTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer route.Use(route.Use(&slowEdge{takes: 30 * ms, hedge: 20 * ms}))
		var stopped atomic.Bool
		f := sum(true, func(ctx context.Context) error {
			err := after(time.Hour, nil)(ctx)
			stopped.Store(err != nil)
			return err
		})
		if got, err := f.Call(t.Context(), []byte{1, 2, 3}); got != 6 || err != nil {
			t.Errorf("%v, %v", got, err)
		}
		synctest.Wait()
		if !stopped.Load() {
			t.Error("the native run goes on")
		}
	})
}

// A panic of the native run is an error, as without hedging.
func TestHedgePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer route.Use(route.Use(&slowEdge{hedge: 20 * ms}))
		_, err := sum(true, func(context.Context) error { panic("boom") }).Call(t.Context(), []byte{1})
		if offload.CodeOf(err) != offload.CodePanicked {
			t.Errorf("got %v, want the function's panic", err)
		}
	})
}

// A caller that gives up does not wait for either run.
func TestHedgeCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer route.Use(route.Use(&slowEdge{hedge: 20 * ms}))
		ctx, cancel := context.WithTimeout(t.Context(), 30*ms)
		defer cancel()
		begin := time.Now()
		_, err := sum(true, func(context.Context) error { return after(time.Second, nil)(context.Background()) }).Call(ctx, []byte{1})
		if took := time.Since(begin); took != 30*ms || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %v", err, took)
		}
		time.Sleep(2 * time.Second) // the run that nobody can stop
	})
}

// Callers change what they gave as soon as Call returns, while the other run may be under way; frames are used again at once. Both
// runs write into their arguments. The race detector sees what is shared.
func TestHedgeSharesNothing(t *testing.T) {
	for _, takes := range []time.Duration{50 * time.Microsecond, 200 * time.Microsecond} {
		defer route.Use(route.Use(&slowEdge{takes: takes, hedge: 100 * time.Microsecond}))
		f := sum(true, nil)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for n := range 100 {
					in := make([]byte, 40<<10) // large enough to be given away
					for i := range in {
						in[i] = byte(g + n)
					}
					want := float64(len(in)) * float64(byte(g+n))
					got, err := f.Call(t.Context(), in)
					clear(in)
					if got != want || err != nil {
						t.Errorf("got %v, %v; want %v", got, err, want)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}
