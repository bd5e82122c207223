package share

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a backend whose networks take the bubble's time: a batch of n takes
// each and n times more. What a session computes is twice its input.
type fake struct {
	most       int // sessions of a batch
	each, more time.Duration

	mu      sync.Mutex
	running int
	peak    int      // most that ran at once
	runs    []string // what ran, in order: inputs joined by +
	fail    error    // of batches of more than one
	deaf    bool     // nothing stops a computation
	closed  int      // sessions
}

func (f *fake) Graph(name string) (nn.BackendGraph, error) {
	if name == "none" {
		return nil, nn.ErrNoGraph
	}
	return &fakeGraph{f, name}, nil
}

type fakeGraph struct {
	f    *fake
	name string
}

func (g *fakeGraph) Inputs() [][]int { return [][]int{{1}} }
func (g *fakeGraph) MaxBatch() int   { return g.f.most }
func (g *fakeGraph) NewSession() (nn.BackendSession, error) {
	return &fakeSession{g: g}, nil
}

func (g *fakeGraph) ComputeBatch(ctx context.Context, sessions []nn.BackendSession) error {
	g.f.begin(sessions)
	defer g.f.end()
	if g.f.deaf {
		ctx = context.WithoutCancel(ctx)
	}
	d := g.f.each + time.Duration(len(sessions))*g.f.more
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if g.f.fail != nil && len(sessions) > 1 {
		return g.f.fail
	}
	for _, b := range sessions {
		s := b.(*fakeSession)
		if s.in < 0 {
			panic("a network that cannot take negative numbers")
		}
		s.out, s.took = 2*s.in, s.took+d
	}
	return nil
}

func (f *fake) begin(sessions []nn.BackendSession) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running++
	f.peak = max(f.peak, f.running)
	what := ""
	for _, s := range sessions {
		what += fmt.Sprintf("+%v", s.(*fakeSession).in)
	}
	f.runs = append(f.runs, what[1:])
}

func (f *fake) end() {
	f.mu.Lock()
	f.running--
	f.mu.Unlock()
}

// ran returns what ran so far.
func (f *fake) ran() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.runs)
}

type fakeSession struct {
	nn.BackendSession
	g       *fakeGraph
	in, out float32
	took    time.Duration
}

func (s *fakeSession) SetInput(_ int, t nn.Tensor) error {
	s.in, s.took = t.Data[0], 0
	return nil
}

func (s *fakeSession) Compute(ctx context.Context) error {
	return s.g.ComputeBatch(ctx, []nn.BackendSession{s})
}

func (s *fakeSession) Outputs() ([]nn.Tensor, error) {
	return []nn.Tensor{{Shape: []int{1}, Data: []float32{s.out}}}, nil
}
func (s *fakeSession) Timings() nn.Timings { return nn.Timings{Compute: s.took} }
func (s *fakeSession) Close() error {
	s.g.f.mu.Lock()
	defer s.g.f.mu.Unlock()
	s.g.f.closed++
	return nil
}

// released returns how many sessions were closed.
func (f *fake) released() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// tenant returns a context of a call of a tenant.
func tenant(ctx context.Context, name string, weight int) context.Context {
	t := executor.NewTenant(name, capability.Quota{Weight: weight})
	return executor.WithCall(ctx, &executor.Call{Account: &executor.Account{Tenant: t}})
}

// double has the network double v, in a session of its own.
func double(ctx context.Context, b *Backend, v float32) (nn.Timings, error) {
	return doubleOn(ctx, b, "net", v)
}

func doubleOn(ctx context.Context, b *Backend, name string, v float32) (nn.Timings, error) {
	g, err := b.Graph(name)
	if err != nil {
		return nn.Timings{}, err
	}
	s, err := g.NewSession()
	if err != nil {
		return nn.Timings{}, err
	}
	defer s.Close()
	if err := s.SetInput(0, nn.Tensor{Shape: []int{1}, Data: []float32{v}}); err != nil {
		return nn.Timings{}, err
	}
	if err := s.Compute(ctx); err != nil {
		return s.Timings(), err
	}
	out, err := s.Outputs()
	if err == nil && out[0].Data[0] != 2*v {
		err = errors.New("the result is another's")
	}
	return s.Timings(), err
}
