package share

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// A graph is a network of the wrapped backend.
type graph struct {
	nn.BackendGraph
	b     *Backend
	batch nn.BatchGraph // nil where the network has no batches
	most  int           // sessions of a batch

	took []time.Duration // by a run of so many sessions; 0: not known. b.mu guards it.
}

func newGraph(b *Backend, inner nn.BackendGraph) *graph {
	g := &graph{BackendGraph: inner, b: b, most: 1}
	if batch, ok := inner.(nn.BatchGraph); ok {
		g.batch, g.most = batch, max(batch.MaxBatch(), 1)
	}
	g.took = make([]time.Duration, g.most+1)
	return g
}

// NewSession returns a session of the network, shared.
func (g *graph) NewSession() (nn.BackendSession, error) {
	s, err := g.BackendGraph.NewSession()
	if err != nil {
		return nil, err
	}
	return &session{BackendSession: s, g: g}, nil
}

// learnLocked takes note of how long a run of n took. A new time counts a quarter.
func (g *graph) learnLocked(n int, d time.Duration) {
	if g.took[n] > 0 {
		d = (3*g.took[n] + d) / 4
	}
	g.took[n] = max(d, 1)
}

// expectLocked returns how long a run of n takes at most, by what is known of runs of
// as many or fewer. ok is false where nothing is.
func (g *graph) expectLocked(n int) (d time.Duration, ok bool) {
	for k := n; k > 0; k-- {
		if g.took[k] > 0 {
			return g.took[k] * time.Duration(n) / time.Duration(k), true
		}
	}
	return 0, false
}

// A session is a session of the wrapped backend that waits for its turn.
type session struct {
	nn.BackendSession
	g     *graph
	queue time.Duration // since the input was set
}

func (s *session) SetInput(index int, t nn.Tensor) error {
	s.queue = 0
	return s.BackendSession.SetInput(index, t)
}

func (s *session) SetImage(ctx context.Context, index int, encoded []byte) (nn.Fit, error) {
	s.queue = 0
	return s.BackendSession.SetImage(ctx, index, encoded)
}

// Timings are those of the wrapped session, and the time that was spent waiting here.
func (s *session) Timings() nn.Timings {
	t := s.BackendSession.Timings()
	t.Queue += s.queue
	return t
}

// Compute waits for its turn until ctx ends, and computes: for all of its batch, or
// as another's part.
func (s *session) Compute(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	b := s.g.b
	j := b.join(ctx, s)
	var o outcome
	executor.Aside(ctx, func() { o = b.wait(ctx, j) })
	if o.batch == nil {
		return o.err
	}
	return b.run(ctx, o.batch)
}
