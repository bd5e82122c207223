package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// detectors measures a network of one model on two backends, in turn: the slower one's
// time over the faster one's.
func (s *stage) detectors(ctx context.Context, scene string) (figures []Figure, err error) {
	f := Figure{Case: scene, Metric: "speed_up", Unit: "x", Note: s.NoDetectors}
	if len(s.Detectors) < 2 {
		if !s.Quick {
			f = f.against(">=", 3)
		}
		return []Figure{f}, nil
	}
	var took [2][]time.Duration
	var runs []func() error
	for i, d := range s.Detectors[:2] {
		compute, done, err := d.network(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Name, err)
		}
		defer done()
		runs = append(runs, appendSample(ctx, &took[i], s.pick(20, 3), s.budget(), compute))
	}
	if err := interleave(s.pick(5, 2), runs...); err != nil {
		return nil, err
	}
	slow, fast := ms(quantile(took[0], 0.5)), ms(quantile(took[1], 0.5))
	f.N, f.Value = len(took[1]), over(slow, fast)
	f.Beside = map[string]float64{s.Detectors[0].Name + "_ms": slow, s.Detectors[1].Name + "_ms": fast}
	f.Note = s.Detectors[0].Model + ", the same file and as many threads"
	return []Figure{f.against(">=", 3)}, nil
}

// network opens d's network and computes once: the first time takes longer. compute
// times a computation.
func (d Detector) network(ctx context.Context) (compute func() (time.Duration, error), done func(), err error) {
	backend, free, err := d.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	session, err := d.session(backend)
	if err != nil {
		return nil, nil, errors.Join(err, free())
	}
	compute = func() (time.Duration, error) {
		begin := time.Now()
		err := session.Compute(ctx)
		return time.Since(begin), err
	}
	done = func() { session.Close(); free() }
	if _, err := compute(); err != nil {
		done()
		return nil, nil, err
	}
	return compute, done, nil
}

// session returns a session with a black image, which takes as long as any.
func (d Detector) session(backend nn.Backend) (nn.BackendSession, error) {
	g, err := backend.Graph(d.Model)
	if err != nil {
		return nil, err
	}
	session, err := g.NewSession()
	if err != nil {
		return nil, err
	}
	shape := g.Inputs()[0]
	n := 1
	for _, side := range shape {
		n *= side
	}
	if err := session.SetInput(0, nn.Tensor{Shape: shape, Data: make([]float32, n)}); err != nil {
		session.Close()
		return nil, err
	}
	return session, nil
}
