package share

import (
	"context"
	"errors"
	"sync"
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

	mu     sync.Mutex // leaf
	runs   bool       // a computation waits or runs, perhaps for nobody any longer
	closed bool
}

// errRuns is the error of a session whose computation did not stop when its context ended.
var errRuns = errors.New("share: the session's last computation still runs, though its context has ended; wait, or use another session")

// begin notes that a computation begins, unless one runs.
func (s *session) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs {
		return errRuns
	}
	s.runs = true
	return nil
}

// ended notes that the computation has ended, and closes the session where that was to be done.
func (s *session) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = false
	if s.closed {
		s.BackendSession.Close() // nobody is left to hear how that went
	}
}

// idle returns an error while a computation runs.
func (s *session) idle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs {
		return errRuns
	}
	return nil
}

func (s *session) SetInput(index int, t nn.Tensor) error {
	if err := s.idle(); err != nil {
		return err
	}
	s.queue = 0
	return s.BackendSession.SetInput(index, t)
}

func (s *session) SetImage(ctx context.Context, index int, encoded []byte) (nn.Fit, error) {
	if err := s.idle(); err != nil {
		return nn.Fit{}, err
	}
	s.queue = 0
	return s.BackendSession.SetImage(ctx, index, encoded)
}

func (s *session) Outputs() ([]nn.Tensor, error) {
	if err := s.idle(); err != nil {
		return nil, err
	}
	return s.BackendSession.Outputs()
}

// Timings are those of the wrapped session, and the time that was spent waiting here. Of a computation
// that still runs it is only the latter.
func (s *session) Timings() (t nn.Timings) {
	if s.idle() == nil {
		t = s.BackendSession.Timings()
	}
	t.Queue += s.queue
	return t
}

// Close closes the session, once it has no computation that runs.
func (s *session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed = true; s.runs {
		return nil
	}
	return s.BackendSession.Close()
}

// Compute waits for its turn until ctx ends, and computes: for all of its batch, or as another's
// part. What does not stop soon after ctx has ended goes on without its caller, and counts
// for its tenant; until it ends, the session is of no use.
func (s *session) Compute(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	b := s.g.b
	j := b.join(ctx, s)
	if j == nil {
		s.ended()
		executor.SpareOf(ctx)()
		return executor.ErrWanted
	}
	var o outcome
	executor.Aside(ctx, func() { o = b.wait(ctx, j) })
	if o.batch != nil {
		go b.run(ctx, o.batch)
		o = j.result(ctx)
	}
	if o.broken != nil {
		panic(o.broken)
	}
	return o.err
}
