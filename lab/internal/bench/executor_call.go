package bench

import (
	"bytes"
	"context"
	"errors"
	"math"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// batchCalls is how many calls are timed at once: the clock takes a tenth of one.
const batchCalls = 100

// emptyCall measures a call of a function that does nothing, in a context with a
// deadline, beside Extism: of an instance, and of a pool.
func (b *bout) emptyCall(ctx context.Context, scene string) (figures []Figure, err error) {
	l, err := b.load(ctx, smallGuest, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	in, err := l.instance(ctx)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	pool := executor.NewPool(l.Module, executor.PoolConfig{Size: 1, Instance: l.conf})
	defer pool.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	var direct, pooled caller
	var theirs measured
	per := b.pick(200_000, 20_000) / rounds
	err = interleave(rounds,
		func() error { return direct.run(per, func() error { return emptyCall(ctx, in) }) },
		func() error {
			return pooled.run(per, func() error { return pool.Call(ctx, fnEmpty, nil, ignore) })
		},
		func() error { return b.beside(&theirs, "call", per/8) },
	)
	if err != nil {
		return nil, err
	}
	f := Figure{Case: scene, N: direct.calls, Metric: "time_p50", Unit: "us", Value: quantile(direct.micros, 0.5)}
	g := Figure{Case: scene, N: direct.calls, Metric: "allocs", Unit: "objects", Value: direct.each()}
	h := Figure{Case: scene, N: pooled.calls, Metric: "pool_time_p50", Unit: "us", Value: quantile(pooled.micros, 0.5)}
	i := Figure{Case: scene, N: pooled.calls, Metric: "pool_allocs", Unit: "objects", Value: pooled.each()}
	if len(theirs.Micros) == 0 {
		f, g = noExtism(f), noExtism(g)
	} else {
		f, g = besideExtism(f, quantile(theirs.Micros, 0.5)), besideExtism(g, theirs.Allocs)
	}
	return []Figure{b.aim(f, "<=", 0.5), b.aim(g, "<=", 0), h, i}, nil
}

func emptyCall(ctx context.Context, in executor.Instance) error {
	_, err := in.Call(ctx, fnEmpty, nil)
	return err
}

func ignore(executor.Answer) error { return nil }

// A caller counts calls.
type caller struct {
	micros []float64 // of a call, the mean of each batch
	allocs uint64
	calls  int
}

// run makes n calls, in batches.
func (c *caller) run(n int, call func() error) error {
	took := make([]float64, 0, n/batchCalls+1)
	before := mallocs()
	for range n/batchCalls + 1 {
		begin := time.Now()
		for range batchCalls {
			if err := call(); err != nil {
				return err
			}
		}
		took = append(took, float64(time.Since(begin).Nanoseconds())/1e3/batchCalls)
	}
	c.allocs += mallocs() - before
	c.calls += len(took) * batchCalls
	c.micros = append(c.micros, took...)
	return nil
}

// each is the allocations of a call. A hundredth is the runtime's own, not a call's.
func (c *caller) each() float64 { return math.Round(float64(c.allocs)/float64(c.calls)*100) / 100 }

// megabyte measures a call that brings 1 MB in and takes 1 MB out, into a buffer of the
// host's, beside two copies of 1 MB within the host. The guest answers with its request
// where it is.
func (b *bout) megabyte(ctx context.Context, scene string) (figures []Figure, err error) {
	l, err := b.load(ctx, smallGuest, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	in, err := l.instance(ctx)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	request, between, answer := bytes.Repeat([]byte{7}, 1<<20), make([]byte, 1<<20), make([]byte, 1<<20)
	var took, copies []time.Duration
	per := b.pick(20_000, 2000) / rounds
	err = interleave(rounds,
		appendSample(ctx, &took, per, b.budget()/rounds, func() (time.Duration, error) {
			begin := time.Now()
			r, err := in.Call(ctx, fnEcho, request)
			if n := copy(answer, r.Payload); err == nil && n != len(answer) {
				err = errors.New("the guest's echo is short")
			}
			return time.Since(begin), err
		}),
		appendSample(ctx, &copies, per, b.budget()/rounds, func() (time.Duration, error) {
			begin := time.Now()
			copy(between, request)
			copy(answer, between)
			return time.Since(begin), nil
		}),
	)
	if err != nil {
		return nil, err
	}
	f := Figure{
		Case: scene, N: len(took), Metric: "in_and_out_p50", Unit: "us", Value: ms(quantile(took, 0.5)) * 1e3,
		Beside: map[string]float64{"two_copies": ms(quantile(copies, 0.5)) * 1e3},
	}
	f.Ratio = over(f.Value, f.Beside["two_copies"])
	g := f
	g.Metric, g.Value = "in_and_out_p99", ms(quantile(took, 0.99))*1e3
	return []Figure{b.aim(f, "<=", 80), g}, nil
}
