//go:build cgo

package onnx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	ort "github.com/yalue/onnxruntime_go"
)

// A graph is a model with its network. It is an nn.BatchGraph.
type graph struct {
	// Set by New, then constant.
	prepare model.Preparer
	options *ort.SessionOptions
	batch   int           // most sessions of a batch, where the network has batches
	slots   chan struct{} // one in it for each run: cap is how many may be
	quit    <-chan struct{}

	mu    sync.Mutex // held while the network is loaded, too
	m     model.Model
	net   *network // nil until loaded, and once closed; constant in between
	gone  bool
	spare sync.Pool // of *frame: for one session
	large sync.Pool // of *frame: for a batch
}

// load makes the network, unless there is one.
func (g *graph) load() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return ErrClosed
	}
	if g.net != nil {
		return nil
	}
	files, err := g.m.Read()
	if err != nil {
		return err
	}
	n, err := newNetwork(&g.m, files[0], g.options)
	if err == nil && !n.open { // there are no zeros of an open size
		if err = n.run(context.Background(), n.frame(1), 1); err != nil {
			err = errors.Join(fmt.Errorf("run on zeros: %w", err), n.close())
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %q: %s: %w", model.ErrModel, g.m.Name, g.m.Files[0].Path, err)
	}
	g.net = n
	return nil
}

// digest returns the digest of the network's file, "" where it is not known yet.
func (g *graph) digest() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.m.Files[0].SHA256
}

// close frees the network once no session runs it.
func (g *graph) close() error {
	for range cap(g.slots) {
		g.slots <- struct{}{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
	if g.net == nil {
		return nil
	}
	return g.net.close()
}

// Inputs returns the shapes of the inputs, for one session. A size that is open is 0.
func (g *graph) Inputs() [][]int {
	var shapes [][]int
	for _, p := range g.net.in {
		shape := slices.Clone(p.shape)
		for i, d := range shape {
			shape[i] = max(d, 0)
		}
		shapes = append(shapes, shape)
	}
	return shapes
}

// NewSession returns a session.
func (g *graph) NewSession() (nn.BackendSession, error) {
	select {
	case <-g.quit:
		return nil, ErrClosed
	default:
	}
	f, _ := g.spare.Get().(*frame)
	if f == nil {
		f = g.net.frame(1)
	}
	return &session{g: g, f: f, set: make([]bool, len(f.in))}, nil
}

// MaxBatch implements [nn.BatchGraph].
func (g *graph) MaxBatch() int {
	if !g.net.free {
		return 1
	}
	return g.batch
}

// enter waits for the right to run the network.
func (g *graph) enter(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	select {
	case g.slots <- struct{}{}:
	case <-g.quit:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-g.quit:
		g.leave()
		return ErrClosed
	default:
		return nil
	}
}

func (g *graph) leave() { <-g.slots }

// ComputeBatch implements [nn.BatchGraph].
func (g *graph) ComputeBatch(ctx context.Context, sessions []nn.BackendSession) error {
	all, err := g.own(sessions)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := g.enter(ctx); err != nil {
		return err
	}
	defer g.leave()
	got := time.Now()
	if len(all) == 1 {
		err = g.net.run(ctx, all[0].f, 1)
	} else {
		err = g.together(ctx, all)
	}
	if err != nil {
		return fmt.Errorf("onnx: compute %q: %w", g.m.Name, err)
	}
	for _, s := range all {
		s.timings.Queue += got.Sub(start)
		s.timings.Compute += time.Since(got)
		s.done = true
	}
	return nil
}

// own returns the sessions as the graph's own, ready to run.
func (g *graph) own(sessions []nn.BackendSession) ([]*session, error) {
	if len(sessions) < 1 || len(sessions) > g.MaxBatch() {
		return nil, fmt.Errorf("onnx: a batch of %d sessions of %q; want 1 to %d", len(sessions), g.m.Name, g.MaxBatch())
	}
	all := make([]*session, len(sessions))
	for i, b := range sessions {
		s, ok := b.(*session)
		switch {
		case !ok || s.g != g:
			return nil, fmt.Errorf("onnx: session %d of a batch is not one of %q", i, g.m.Name)
		case s.f == nil:
			return nil, ErrClosed
		case slices.Contains(s.set, false):
			return nil, fmt.Errorf("onnx: compute %q: input %d is not set", g.m.Name, slices.Index(s.set, false))
		}
		s.done = false
		all[i] = s
	}
	return all, nil
}

// together runs the network once for all sessions.
func (g *graph) together(ctx context.Context, all []*session) error {
	f, _ := g.large.Get().(*frame)
	if f == nil {
		f = g.net.frame(g.batch)
	}
	defer g.large.Put(f)
	for i, s := range all {
		for k, data := range s.f.in {
			copy(f.in[k][i*len(data):], data)
		}
	}
	if err := g.net.run(ctx, f, len(all)); err != nil {
		return err
	}
	for k, t := range f.out {
		if len(t.Shape) == 0 || t.Shape[0] != len(all) {
			return fmt.Errorf("output %d of a batch of %d has shape %v", k, len(all), t.Shape)
		}
		size := len(t.Data) / len(all)
		for i, s := range all {
			o := &s.f.out[k]
			o.Shape = append(o.Shape[:0], t.Shape...)
			o.Shape[0] = 1
			o.Data = append(o.Data[:0], t.Data[i*size:][:size]...)
		}
	}
	return nil
}
