//go:build cgo && opencv

package opencv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// ErrClosed is returned by sessions that were closed, or whose backend was.
var ErrClosed = errors.New("opencv: closed")

// Config configures a [Backend].
type Config struct {
	// Threads is how many threads OpenCV uses, in the whole process. Zero keeps
	// OpenCV's own number, one for each core.
	Threads int
	// Nets bounds the networks of one model, and so how many of its sessions compute
	// at once. Networks are made on demand. Zero means 1.
	Nets int
	// Models are the models that can be loaded. They are copied.
	Models []Model
}

// A Backend is an [nn.Backend] on OpenCV's DNN module.
type Backend struct {
	graphs map[string]*graph
	quit   chan struct{} // closed by Close
	close  sync.Once
}

// New checks the files of all models and returns a backend with these models. Its errors
// about a model wrap [model.ErrModel].
func New(cfg Config) (*Backend, error) {
	if cfg.Threads < 0 || cfg.Nets < 0 {
		return nil, fmt.Errorf("opencv: %d threads and %d nets; want 0 or more", cfg.Threads, cfg.Nets)
	}
	b := &Backend{graphs: make(map[string]*graph), quit: make(chan struct{})}
	for _, m := range cfg.Models {
		if err := m.Check(); err != nil {
			return nil, err
		}
		if !m.TakesImage() {
			return nil, fmt.Errorf("%w: %q: the size of its image is not given, and OpenCV's networks take images only", model.ErrModel, m.Name)
		}
		if b.graphs[m.Name] != nil {
			return nil, fmt.Errorf("%w: %q is there twice", model.ErrModel, m.Name)
		}
		b.graphs[m.Name] = newGraph(m, max(cfg.Nets, 1), b.quit)
	}
	if cfg.Threads > 0 {
		setThreads(cfg.Threads)
	}
	return b, nil
}

// Graph returns the model of that name, or an error that wraps [nn.ErrNoGraph].
// It reads nothing: the first NewSession makes the model's first network.
func (b *Backend) Graph(name string) (nn.BackendGraph, error) {
	if g := b.graphs[name]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("%w: %.*q", nn.ErrNoGraph, nn.MaxName, name)
}

// Find implements [nn.Finder]. It knows the ONNX files that a network was made of.
func (b *Backend) Find(digest [sha256.Size]byte) (string, bool) {
	want := hex.EncodeToString(digest[:])
	for name, g := range b.graphs {
		if len(g.m.Files) == 1 && strings.EqualFold(g.loader.digest(), want) {
			return name, true
		}
	}
	return "", false
}

// Warm makes n networks of a model, or as many as Config.Nets allows, and runs each one
// once, since the first run of a network takes 2 to 3 times as long. It returns when they
// are ready.
func (b *Backend) Warm(ctx context.Context, name string, n int) error {
	g := b.graphs[name]
	if g == nil {
		return fmt.Errorf("%w: %.*q", nn.ErrNoGraph, nn.MaxName, name)
	}
	return g.nets.warm(ctx, n)
}

// Close waits for running Computes and frees all networks and buffers. Sessions return
// [ErrClosed] from then on; their owners still close them.
func (b *Backend) Close() error {
	b.close.Do(func() {
		close(b.quit)
		for _, g := range b.graphs {
			g.nets.drain()
			g.drain()
		}
	})
	return nil
}

// A graph is a model with its networks. It is an nn.BackendGraph.
type graph struct {
	m      Model
	loader *loader
	nets   *pool
	spare  chan *buffers // of closed sessions
	quit   <-chan struct{}
}

func newGraph(m Model, nets int, quit <-chan struct{}) *graph {
	m.Files = append([]model.File(nil), m.Files...)
	l := &loader{m: m}
	// As many spare buffers as networks: more sessions than that wait anyway.
	return &graph{m: m, loader: l, nets: newPool(nets, l.load, quit), spare: make(chan *buffers, nets), quit: quit}
}

// Inputs returns the shape of the one input.
func (g *graph) Inputs() [][]int { return [][]int{{1, 3, g.m.InputH, g.m.InputW}} }

// NewSession returns a session. It makes the model's first network where there
// is none, so that a model which cannot be used fails here.
func (g *graph) NewSession() (nn.BackendSession, error) {
	select {
	case <-g.quit:
		return nil, ErrClosed
	default:
	}
	if err := g.nets.first(); err != nil {
		return nil, err
	}
	select {
	case b := <-g.spare:
		return &session{g: g, buf: b}, nil
	default:
		return &session{g: g, buf: newBuffers()}, nil
	}
}

// keep takes the buffers of a closed session for the next one.
func (g *graph) keep(b *buffers) {
	select {
	case g.spare <- b:
	default:
		b.close()
	}
	select {
	case <-g.quit:
		g.drain() // Close may have drained before b came
	default:
	}
}

// drain frees the spare buffers.
func (g *graph) drain() {
	for {
		select {
		case b := <-g.spare:
			b.close()
		default:
			return
		}
	}
}
