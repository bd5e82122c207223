//go:build cgo

package onnx

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/internal/cores"
)

// The values of [Config].Provider.
const (
	CPU  = "cpu"
	CUDA = "cuda"
)

// Config configures a [Backend]. The zero Config has no models.
type Config struct {
	// Library is the file of the library. Empty means the files of [Library].
	Library string
	// LibrarySHA256 is the digest that the library's file must have, in hex. Empty means the
	// environment variable [EnvDigest], and without that: any digest for a file that is named, the
	// pinned one for the file that scripts/onnxruntime.sh installs. The library is loaded from
	// the descriptor whose digest was right (Linux; not for CUDA, which looks for more
	// libraries beside the path).
	LibrarySHA256 string
	// Threads is how many threads a network uses. They sleep while it does not run.
	// Zero means GOMAXPROCS.
	Threads int
	// Nets is how many sessions, or batches, of one model compute at once. Zero
	// means 1.
	Nets int
	// Batch bounds the sessions in a batch. Zero means 8, and 1 means no batches.
	// Networks without a free first dimension have no batches.
	Batch int
	// Provider is what runs the networks: [CPU], or [CUDA], which needs a library
	// that was built with it. Empty means CPU.
	Provider string
	// Options are passed to the provider as they are, such as "device_id": "1" and
	// "gpu_mem_limit": "2147483648" to CUDA. CPU has none.
	Options map[string]string
	// Prepare decodes and letterboxes images. Nil means [model.Prepare]. The Prepare
	// of package opencv is faster.
	Prepare model.Preparer
	// Models are the models that can be loaded. They are copied.
	Models []model.Model
}

func (c Config) withDefaults() (Config, error) {
	if c.Threads < 0 || c.Nets < 0 || c.Batch < 0 {
		return c, fmt.Errorf("onnx: %d threads, %d nets and batches of %d; want 0 or more", c.Threads, c.Nets, c.Batch)
	}
	c.Threads = cmp.Or(c.Threads, cores.N())
	c.Nets = cmp.Or(c.Nets, 1)
	c.Batch = cmp.Or(c.Batch, 8)
	if c.Prepare == nil {
		c.Prepare = model.Prepare
	}
	return c, nil
}

// A Backend is an [nn.Backend] on ONNX Runtime.
type Backend struct {
	graphs  map[string]*graph
	options *ort.SessionOptions
	quit    chan struct{} // closed by Close
	close   sync.Once
}

// New loads the library, checks the files of all models and returns a backend with these
// models. Its errors are [ErrNoLibrary], or [model.ErrModel] about a model, or say what is
// wrong with the provider.
func New(cfg Config) (*Backend, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := initialise(cfg); err != nil {
		return nil, err
	}
	b := &Backend{graphs: make(map[string]*graph), quit: make(chan struct{})}
	if b.options, err = sessionOptions(cfg); err != nil {
		return nil, err
	}
	for _, m := range cfg.Models {
		if err := b.add(cfg, m); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	return b, nil
}

// add adds a model that is not loaded yet.
func (b *Backend) add(cfg Config, m model.Model) error {
	if err := m.Check(); err != nil {
		return err
	}
	switch {
	case len(m.Files) != 1:
		return fmt.Errorf("%w: %q has %d files; ONNX Runtime takes one, of ONNX", model.ErrModel, m.Name, len(m.Files))
	case b.graphs[m.Name] != nil:
		return fmt.Errorf("%w: %q is there twice", model.ErrModel, m.Name)
	}
	m.Files = append([]model.File(nil), m.Files...)
	b.graphs[m.Name] = &graph{
		m: m, prepare: cfg.Prepare, options: b.options, batch: cfg.Batch,
		slots: make(chan struct{}, cfg.Nets), quit: b.quit,
	}
	return nil
}

// sessionOptions returns what all networks are made with.
func sessionOptions(cfg Config) (*ort.SessionOptions, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	err = errors.Join(
		o.SetIntraOpNumThreads(cfg.Threads),
		o.SetInterOpNumThreads(1),
		// Threads that spin while they wait would take the guests' cores.
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		provide(o, cfg.Provider, cfg.Options),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("onnx: provider %q: %w", cmp.Or(cfg.Provider, CPU), err), o.Destroy())
	}
	return o, nil
}

// provide gives networks to a provider.
func provide(o *ort.SessionOptions, provider string, options map[string]string) error {
	switch provider {
	case "", CPU:
		if len(options) > 0 {
			return errors.New("it has no options")
		}
		return nil
	case CUDA:
		return provideCUDA(o, options)
	}
	return fmt.Errorf("it is unknown; there are %q and %q", CPU, CUDA)
}

func provideCUDA(o *ort.SessionOptions, options map[string]string) error {
	c, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer c.Destroy()
	if err := c.Update(options); err != nil {
		return err
	}
	return o.AppendExecutionProviderCUDA(c)
}

// Graph returns the model of that name. The first Graph of a model loads it. The error
// wraps [nn.ErrNoGraph] when there is no such model, and [model.ErrModel] when the model
// cannot be used.
func (b *Backend) Graph(name string) (nn.BackendGraph, error) {
	g := b.graphs[name]
	if g == nil {
		return nil, fmt.Errorf("%w: %.*q", nn.ErrNoGraph, nn.MaxName, name)
	}
	if err := g.load(); err != nil {
		return nil, err
	}
	return g, nil
}

// Find implements [nn.Finder].
func (b *Backend) Find(digest [sha256.Size]byte) (string, bool) {
	want := hex.EncodeToString(digest[:])
	for name, g := range b.graphs {
		if strings.EqualFold(g.digest(), want) {
			return name, true
		}
	}
	return "", false
}

// Close waits for running Computes and frees all networks. Sessions return [ErrClosed]
// from then on; their owners still close them.
func (b *Backend) Close() error {
	var err error
	b.close.Do(func() {
		close(b.quit)
		for _, g := range b.graphs {
			err = errors.Join(err, g.close())
		}
		err = errors.Join(err, b.options.Destroy())
	})
	return err
}
