package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
)

// A demand says how often the tenants that behave well make calls.
type demand struct {
	work time.Duration // of a call
	// share of the cores that they want together, each at random times; 0: the next
	// call follows at once.
	share float64
}

// Demands of the neighbours: like frames of video, now and then, and without pause.
var (
	light = demand{5 * time.Millisecond, 1. / 3}
	busy  = demand{time.Millisecond, 0}
)

// rest is the mean time between the calls of one of n tenants.
func (want demand) rest(n int) time.Duration {
	if want.share == 0 {
		return 0
	}
	return time.Duration(float64(n) * float64(want.work) / (want.share * float64(runtime.GOMAXPROCS(0))))
}

const (
	tenants = 100
	// antagonistLimit is the deadline of a call that spins or takes memory.
	antagonistLimit = 100 * time.Millisecond
	antagonistBytes = 64 << 20
)

// neighbours measures the calls of 98 tenants, alone, and with one beside them that spins
// and one that takes memory, in turn. All go through the Pools, Turns and Tenants of
// an edge host.
func (b *bout) neighbours(want demand) trial {
	return func(ctx context.Context, scene string) (figures []Figure, err error) {
		h, err := b.house(ctx, max(4, b.pick(tenants, tenants/4)))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, h.close()) }()
		n, err := h.calibrate(ctx, want.work)
		if err != nil {
			return nil, err
		}
		var alone, with []time.Duration
		phase := func(antagonists bool, took *[]time.Duration) func() error {
			return func() error {
				d, err := h.live(ctx, want, n, b.phase(), antagonists)
				*took = append(*took, d...)
				return err
			}
		}
		// On a machine that stands still for a phase nobody calls: it goes on until both sides have shown something.
		for len(alone) == 0 || len(with) == 0 {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err := interleave(b.pick(4, 2), phase(false, &alone), phase(true, &with)); err != nil {
				return nil, err
			}
		}
		f := Figure{Case: scene, Metric: "p99_over_alone", Unit: "x", N: len(with), Beside: map[string]float64{
			"with_p99_ms": ms(quantile(with, 0.99)), "alone_p99_ms": ms(quantile(alone, 0.99)),
			"with_p50_ms": ms(quantile(with, 0.5)), "alone_p50_ms": ms(quantile(alone, 0.5)),
		}}
		f.Note = fmt.Sprintf("%d tenants, calls of %v, %d of them alone", len(h.homes), want.work, len(alone))
		f.Value = over(f.Beside["with_p99_ms"], f.Beside["alone_p99_ms"])
		return []Figure{b.aim(f, "<=", 1.2)}, nil
	}
}

// phase is how long the neighbours live at a time.
func (s *stage) phase() time.Duration {
	switch {
	case s.brief:
		return 100 * time.Millisecond
	case s.Quick:
		return 300 * time.Millisecond
	}
	return 3 * time.Second
}

// A house is tenants in one engine.
type house struct {
	engine executor.Engine
	homes  []*home
}

// A home is a tenant's.
type home struct {
	account *executor.Account
	module  executor.Module
	pool    *executor.Pool
}

// house makes n tenants, each with a module, a pool and an account of its own.
func (b *bout) house(ctx context.Context, n int) (*house, error) {
	e, err := b.open("tenants")
	if err != nil {
		return nil, err
	}
	h := &house{engine: e}
	turns := executor.NewTurns(0)
	for i := range n {
		home, err := b.home(ctx, e, turns, fmt.Sprintf("tenant %d", i))
		if err != nil {
			return nil, errors.Join(err, h.close())
		}
		h.homes = append(h.homes, home)
	}
	return h, nil
}

func (b *bout) home(ctx context.Context, e executor.Engine, turns *executor.Turns, name string) (*home, error) {
	conf, err := instanceConfig()
	if err != nil {
		return nil, err
	}
	src := executor.Bytes(guestWasm)
	src.Tenant = name
	m, err := e.Load(ctx, src)
	if err != nil {
		return nil, err
	}
	conf.Tenant = executor.NewTenant(name, capability.Quota{})
	conf.Limits.Memory = antagonistBytes
	pool := executor.NewPool(m, executor.PoolConfig{Size: 2, Instance: conf, Turns: turns})
	h := &home{&executor.Account{Tenant: conf.Tenant, Name: name}, m, pool}
	if err := pool.Warm(ctx, 1); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *home) close() error {
	h.pool.Close()
	return h.module.Close()
}

func (h *house) close() error {
	var errs []error
	for _, home := range h.homes {
		errs = append(errs, home.close())
	}
	return errors.Join(append(errs, h.engine.Close())...)
}

// call makes a call of at most limit, and says how long it took.
func (h *home) call(ctx context.Context, limit time.Duration, fn uint32, request []byte) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ctx = executor.WithCall(ctx, &executor.Call{Account: h.account})
	begin := time.Now()
	err := h.pool.Call(ctx, fn, request, ignore)
	return time.Since(begin), err
}

// callLimit is the deadline of calls that should end.
const callLimit = 10 * time.Second

// calibrate returns how much the guest has to work for that time.
func (h *house) calibrate(ctx context.Context, work time.Duration) (uint32, error) {
	const some = 1_000_000
	took, err := sample(ctx, 20, time.Second, func() (time.Duration, error) {
		return h.homes[0].call(ctx, callLimit, fnWork, workRequest(some))
	})
	if err != nil {
		return 0, err
	}
	return uint32(some * work.Seconds() / least(took).Seconds()), nil
}

// live lets all but the first two tenants make calls for some time. The first two, if they
// take part, spin and take memory. It returns how long the calls of the others took.
func (h *house) live(ctx context.Context, want demand, work uint32, long time.Duration, antagonists bool) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var wg sync.WaitGroup
	if antagonists {
		wg.Go(func() { h.homes[0].annoy(ctx, fnSpin) })
		wg.Go(func() { h.homes[1].annoy(ctx, fnBomb) })
	}
	took := make([][]time.Duration, len(h.homes))
	errs := make([]error, len(h.homes))
	for i := 2; i < len(h.homes); i++ {
		wg.Go(func() { took[i], errs[i] = h.homes[i].behave(ctx, want.rest(len(h.homes)), work) })
	}
	wg.Wait()
	var all []time.Duration
	for _, d := range took {
		all = append(all, d...)
	}
	return all, errors.Join(errs...)
}

// annoy makes calls that end badly, one after the other.
func (h *home) annoy(ctx context.Context, fn uint32) {
	for ctx.Err() == nil {
		// It must fail.
		_, _ = h.call(ctx, antagonistLimit, fn, nil)
	}
}

// behave calls until ctx ends. What is under way then is not stopped.
func (h *home) behave(ctx context.Context, rest time.Duration, work uint32) (took []time.Duration, err error) {
	apart := context.WithoutCancel(ctx)
	for pause(ctx, rest) {
		d, err := h.call(apart, callLimit, fnWork, workRequest(work))
		if err != nil {
			return took, err
		}
		took = append(took, d)
	}
	return took, nil
}

// pause waits for a random time of that mean, and says whether ctx goes on.
func pause(ctx context.Context, mean time.Duration) bool {
	if mean == 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(time.Duration(rand.ExpFloat64() * float64(mean)))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
