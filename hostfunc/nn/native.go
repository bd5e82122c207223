//go:build !wasip1

package nn

import (
	"context"
	"crypto/sha256"
	"sync/atomic"
)

// A Backend runs graphs. Implementations are in subpackages. All methods may be called
// from many goroutines at once.
type Backend interface {
	// Graph returns the graph of that name, or an error that wraps ErrNoGraph.
	Graph(name string) (BackendGraph, error)
}

// A BackendGraph is a network that is ready to run.
type BackendGraph interface {
	// Inputs returns the shapes of the inputs, NCHW for images. A size that is 0 is
	// that of the tensor which SetInput gives.
	Inputs() [][]int
	// NewSession returns a session, which one goroutine at a time uses.
	NewSession() (BackendSession, error)
}

// A BatchGraph is a BackendGraph that can compute several sessions as one batch.
type BatchGraph interface {
	BackendGraph
	// MaxBatch returns how many sessions a batch can have: 1 when the network has no
	// free batch dimension.
	MaxBatch() int
	// ComputeBatch computes all sessions, with the results of a Compute of each. The
	// sessions are 1 to MaxBatch of this graph, have all inputs set, and are not used
	// otherwise meanwhile. After an error none has outputs.
	ComputeBatch(ctx context.Context, sessions []BackendSession) error
}

// A Finder is a Backend that can also find its networks by their files.
type Finder interface {
	// Find returns the name of the network of one file whose SHA-256 is digest. It
	// may miss networks that were never used.
	Find(digest [sha256.Size]byte) (name string, ok bool)
}

// A BackendSession is one use of a network. Its owner closes it.
type BackendSession interface {
	// SetInput copies t into input index, and does not keep it.
	SetInput(index int, t Tensor) error
	// SetImage decodes and letterboxes an encoded image into input index, and does
	// not keep encoded. When the bytes cannot be decoded, the error wraps
	// ErrBadImage.
	SetImage(ctx context.Context, index int, encoded []byte) (Fit, error)
	// Compute runs the network. It needs all inputs set.
	Compute(ctx context.Context) error
	// Outputs returns the outputs of the last Compute. They are valid until
	// the next call of Compute or Close.
	Outputs() ([]Tensor, error)
	// Timings returns the times since the last SetImage.
	Timings() Timings
	Close() error
}

var backend atomic.Pointer[Backend]

// Use makes b the backend of this process. Call it once, before the first Load.
func Use(b Backend) { backend.Store(&b) }

// A Graph is a network that can be run. It needs no closing.
type Graph struct{ g BackendGraph }

// Load returns the graph of that name. Its errors wrap ErrNoGraph or ErrNoBackend, or are
// the backend's.
func Load(name string) (*Graph, error) {
	b := backend.Load()
	if b == nil {
		return nil, ErrNoBackend
	}
	g, err := (*b).Graph(name)
	if err != nil {
		return nil, err
	}
	return &Graph{g}, nil
}

// Inputs returns the shapes of the graph's inputs. A size that is 0 is open: SetInput gives it.
func (g *Graph) Inputs() [][]int { return g.g.Inputs() }

// NewSession returns a session of the graph. The caller closes it.
func (g *Graph) NewSession() (*Session, error) {
	s, err := g.g.NewSession()
	if err != nil {
		return nil, err
	}
	return &Session{s: s}, nil
}

// A Session is one use of a Graph.
type Session struct{ s BackendSession }

// SetInput copies t into input index.
func (s *Session) SetInput(index int, t Tensor) error { return s.s.SetInput(index, t) }

// SetImage decodes an encoded image (JPEG, PNG) and letterboxes it into input index. It
// returns how the image was placed. When the bytes cannot be decoded, the error wraps
// ErrBadImage.
func (s *Session) SetImage(ctx context.Context, index int, encoded []byte) (Fit, error) {
	return s.s.SetImage(ctx, index, encoded)
}

// Compute runs the network on the inputs that were set.
func (s *Session) Compute(ctx context.Context) error {
	err := s.s.Compute(ctx)
	if t, ok := ctx.Value(timingsKey{}).(*Timings); ok {
		*t = s.s.Timings()
	}
	return err
}

// Outputs returns all outputs of the last Compute. They are valid until the
// next Compute or Close.
func (s *Session) Outputs() ([]Tensor, error) { return s.s.Outputs() }

// Close frees the session.
func (s *Session) Close() error { return s.s.Close() }

type timingsKey struct{}

// WithTimings returns a context in which a Compute writes the timings of its session to
// t. In a guest it does nothing: there the host keeps the timings.
func WithTimings(ctx context.Context, t *Timings) context.Context {
	return context.WithValue(ctx, timingsKey{}, t)
}
