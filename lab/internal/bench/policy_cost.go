package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// costs are what the parts of deciding cost.
func (p Policy) costs() []scene {
	return []scene{
		{"decide", p.decide}, {"plan", p.plan}, {"notifier", p.notifier}, {"view", p.makeViews}, {"local call", p.localCall}, {"explain", p.explain},
	}
}

// notifier measures the processor time of a notifier at its usual 4 samples a second, beyond what this process takes at rest.
func (p Policy) notifier(ctx context.Context, name string) ([]Figure, error) {
	long := time.Duration(p.pick(5, 1)) * time.Second
	rest, err := coresUsed(ctx, long)
	if err != nil {
		return nil, err
	}
	n, err := notifier.New(nil)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	with, err := coresUsed(ctx, long)
	if err != nil {
		return nil, err
	}
	f := Figure{Case: name, Metric: "cost_at_4_hz", Unit: "% of a core", Value: percent(with - rest), N: int(4 * long / time.Second),
		Beside: map[string]float64{"at rest": percent(rest)}, Note: "processor time of the process, with the first samples, which look for sensors"}
	return []Figure{f.against("<=", 0.2)}, nil
}

// coresUsed returns how many cores this process keeps busy for a while in which nothing is asked of it.
func coresUsed(ctx context.Context, long time.Duration) (float64, error) {
	before, known := notifier.Used()
	if !known {
		return 0, errors.New("this system does not tell the processor time of a process")
	}
	begin := time.Now()
	select {
	case <-time.After(long):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	after, _ := notifier.Used()
	return (after - before).Seconds() / time.Since(begin).Seconds(), nil
}

// doubleFunc returns an elastic function that takes next to no time.
func doubleFunc(name string) *codegen.Func[int64, int64] {
	return &codegen.Func[int64, int64]{
		Desc:   offload.Desc{Name: name, Module: codegen.NewModule([]byte(name)), Deadline: 100 * time.Millisecond, Idempotent: true},
		Native: func(_ context.Context, n int64) (int64, error) { return 2 * n, nil },

		AppendIn:  pack.AppendInt,
		ReadIn:    func(r *pack.Reader) int64 { return r.Int() },
		AppendOut: pack.AppendInt,
		ReadOut:   func(r *pack.Reader) int64 { return r.Int() },
	}
}

// makeViews measures the views that a handler makes of three functions, with the plan of Adaptive.
func (p Policy) makeViews(ctx context.Context, name string) ([]Figure, error) {
	device, err := notifier.New(nil)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	h, err := ue.Start(ctx, ue.Config{Policy: policy.Adaptive{}, Notifier: device})
	if err != nil {
		return nil, err
	}
	defer h.Close()
	functions := []*codegen.Func[int64, int64]{doubleFunc("bench.a"), doubleFunc("bench.b"), doubleFunc("bench.c")}
	call := func() {
		for _, f := range functions {
			_, _ = f.Call(ctx, 1) // it cannot fail
		}
	}
	n := p.pick(5000, 500)
	begin := time.Now()
	for range n {
		call()
	}
	calls := time.Since(begin)
	begin = time.Now()
	for range n {
		call()
		if err := nextView(ctx, h, functions[0]); err != nil {
			return nil, err
		}
	}
	f := Figure{Case: name, Metric: "time", Unit: "us", Value: float64((time.Since(begin) - calls).Nanoseconds()) / 1e3 / float64(n), N: n,
		Note: "the mean of views one after the other, each of a call of three functions, with what Adaptive plans for them and what it takes to wake who makes it"}
	return []Figure{f.against("<=", 20)}, nil
}

// nextView has the handler make a view, and waits for it.
func nextView(ctx context.Context, h *ue.Handler, f *codegen.Func[int64, int64]) error {
	before := h.View()
	if err := h.SetLevels(&f.Desc, nil); err != nil { // which the next view is to tell
		return err
	}
	for h.View() == before && ctx.Err() == nil {
		runtime.Gosched()
	}
	return context.Cause(ctx)
}

// localCall measures what a call that runs on the UE costs with Adaptive, over one of the same function without a handler.
func (p Policy) localCall(ctx context.Context, name string) ([]Figure, error) {
	f := doubleFunc("bench.local")
	call := func() { _, _ = f.Call(ctx, 1) } // it cannot fail
	native := leastTime(func() { _, _ = f.Native(ctx, 1) })
	plain := leastTime(call)
	with, err := withHandler(ctx, nil, func() float64 { return leastTime(call) })
	if err != nil {
		return nil, err
	}
	over := Figure{Case: name, Metric: "over_plain", Unit: "ns", Value: with - native, N: leastOf, Note: "the least of five rounds; beside it the function itself, and its call without a handler",
		Beside: map[string]float64{"function": native, "without a handler": plain, "adaptive": with}}
	return []Figure{over.against("<=", 100)}, nil
}

// withHandler measures with a handler that has Adaptive, and a log of decisions if one is given.
func withHandler(ctx context.Context, log io.Writer, measure func() float64) (float64, error) {
	h, err := ue.Start(ctx, ue.Config{Policy: policy.Adaptive{}, Explain: log})
	if err != nil {
		return 0, err
	}
	x := measure()
	return x, h.Close()
}

const (
	leastRound = 200_000
	leastOf    = 5 * leastRound
)

// leastTime returns the least time of a call of f in five rounds, in ns.
func leastTime(f func()) float64 {
	f()
	var rounds []float64
	for range 5 {
		begin := time.Now()
		for range leastRound {
			f()
		}
		rounds = append(rounds, float64(time.Since(begin).Nanoseconds())/leastRound)
	}
	return slices.Min(rounds)
}

// explain measures the processor time of calls with a log of decisions beside those without: the median of the ratios of rounds in turn.
func (p Policy) explain(ctx context.Context, name string) ([]Figure, error) {
	picture := bytes.Repeat([]byte{7}, blurWide*blurHigh)
	calls := p.pick(40, 5)
	round := func(log io.Writer) (float64, error) {
		var failed error
		used, err := withHandler(ctx, log, func() float64 {
			begin, _ := notifier.Used()
			for range calls {
				if _, err := blurFunc.Call(ctx, picture); err != nil {
					failed = err
				}
			}
			end, _ := notifier.Used()
			return (end - begin).Seconds()
		})
		return used, errors.Join(err, failed)
	}
	var ratios, took []float64
	for range p.pick(9, 3) {
		without, err := round(nil)
		if err != nil {
			return nil, err
		}
		with, err := round(io.Discard)
		if err != nil {
			return nil, err
		}
		ratios, took = append(ratios, with/max(without, 1e-9)), append(took, 1e3*without/float64(calls))
	}
	f := Figure{Case: name, Metric: "cost_of_a_call", Unit: "%", Value: percent(quantile(ratios, 0.5) - 1), N: calls * len(ratios), Ratio: quantile(ratios, 0.5),
		Note: fmt.Sprintf("processor time of calls of %.1f ms on the UE, as many as there can be, the log thrown away; the median of %d rounds", quantile(took, 0.5), len(ratios))}
	return []Figure{f.against("<=", 2)}, nil
}
