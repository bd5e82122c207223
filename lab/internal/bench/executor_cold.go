package bench

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// coldTargets are those of load, instantiate and init, in ms.
var coldTargets = map[guestName]struct{ p50, p99 float64 }{smallGuest: {0.08, 0.3}, cGuest: {0.08, 0.3}, goGuest: {0.4, 2}}

// coldStart measures an instance of a module that is loaded, and all from a module in
// the cache to an instance. The small guest is what Extism's plugin is, so Extism stands
// beside it.
func (b *bout) coldStart(name guestName) trial {
	return func(ctx context.Context, scene string) (figures []Figure, err error) {
		l, err := b.load(ctx, name, false)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, l.close()) }()
		wasm, err := b.wasm(ctx, name)
		if err != nil {
			return nil, err
		}
		src := executor.Bytes(wasm)
		var ready, all []time.Duration
		var theirs, theirsAll measured
		per := max(1, b.pick(5000, 600)/rounds)
		turns := []func() error{
			appendSample(ctx, &ready, per, b.budget()/rounds, func() (time.Duration, error) { return l.start(ctx) }),
			appendSample(ctx, &all, per, b.budget()/rounds, func() (time.Duration, error) { return l.coldStart(ctx, src) }),
		}
		if name == smallGuest {
			turns = append(turns,
				func() error { return b.beside(&theirs, "instantiate", per/2) },
				func() error { return b.beside(&theirsAll, "load", per/8) })
		}
		if err := interleave(rounds, turns...); err != nil {
			return nil, err
		}
		cold := coldTargets[name]
		figure := func(metric string, d []time.Duration, p float64, other *measured) Figure {
			f := Figure{Case: scene, Metric: metric, Unit: "ms", Value: ms(quantile(d, p)), N: len(d)}
			if name != smallGuest {
				return f
			}
			return other.extism(f, p)
		}
		return []Figure{
			figure("instantiate_p50", ready, 0.5, &theirs), figure("instantiate_p99", ready, 0.99, &theirs),
			b.aim(figure("load_instantiate_init_p50", all, 0.5, &theirsAll), "<=", cold.p50),
			b.aim(figure("load_instantiate_init_p99", all, 0.99, &theirsAll), "<=", cold.p99),
		}, nil
	}
}

// appendSample returns a round of sample that appends to d.
func appendSample(ctx context.Context, d *[]time.Duration, n int, budget time.Duration, f func() (time.Duration, error)) func() error {
	return func() error {
		more, err := sample(ctx, n, budget, f)
		*d = append(*d, more...)
		return err
	}
}

// start times an instance with its initialisation.
func (l *loaded) start(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	in, err := l.instance(ctx)
	if err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, in.Close()
}

// coldStart times an instance of a module that is in the cache.
func (l *loaded) coldStart(ctx context.Context, src executor.Source) (time.Duration, error) {
	begin := time.Now()
	m, err := l.engine.Load(ctx, src)
	if err != nil {
		return 0, err
	}
	in, err := m.Instantiate(ctx, l.conf)
	took := time.Since(begin)
	if err == nil {
		err = in.Close()
	}
	return took, errors.Join(err, m.Close())
}

// A FreshHost is a host process that starts, makes an instance of a module that is in
// the cache, and ends: what a [FreshProgram] runs.
type FreshHost struct {
	Engine string // by name
	Cache  string // folder of compiled modules
	Module string // file
	Digest string // hexadecimal SHA-256 of it
}

// A FreshProgram makes the command of a process that runs a [FreshHost].
type FreshProgram struct {
	Name string // what program it is
	Path string // empty: it is not built
	// Note says how to build it, or what it loads that is not the executor's.
	Note    string
	Command func(path string, h FreshHost) *exec.Cmd
}

// Run makes the instance on e and prints a line to out.
func (h FreshHost) Run(ctx context.Context, e executor.Engine, out io.Writer) error {
	src := executor.Source{Wasm: func() ([]byte, error) { return os.ReadFile(h.Module) }}
	digest, err := hex.DecodeString(h.Digest)
	if err != nil || len(digest) != len(src.Digest) {
		return fmt.Errorf("digest %q is not one of SHA-256", h.Digest)
	}
	copy(src.Digest[:], digest)
	m, err := e.Load(ctx, src)
	if err != nil {
		return err
	}
	defer m.Close()
	conf, err := instanceConfig()
	if err != nil {
		return err
	}
	in, err := m.Instantiate(ctx, conf)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	return in.Close()
}

// fresh measures from the start of a host's process to its guest having initialised.
func (b *bout) fresh(name guestName) trial {
	return func(ctx context.Context, scene string) ([]Figure, error) {
		h, err := b.freshHost(ctx, name)
		if err != nil {
			return nil, err
		}
		var figures []Figure
		took := make([][]time.Duration, len(b.Fresh))
		var runs []func() error
		for i, p := range b.Fresh {
			if p.Path != "" {
				runs = append(runs, appendSample(ctx, &took[i], b.pick(20, 3), b.budget()/2, func() (time.Duration, error) {
					return startOf(p.Command(p.Path, h))
				}))
			}
		}
		if err := interleave(b.pick(3, 1), runs...); err != nil {
			return nil, err
		}
		for i, p := range b.Fresh {
			figures = append(figures, b.freshFigures(scene, p, took[i], i == 0)...)
		}
		return figures, nil
	}
}

// freshFigures are those of a program. The first one has the target.
func (b *bout) freshFigures(scene string, p FreshProgram, took []time.Duration, aims bool) []Figure {
	f := Figure{Case: scene, Metric: "to_guest_p50_" + p.Name, Unit: "ms", Value: ms(quantile(took, 0.5)), N: len(took), Note: p.Note}
	g := f
	g.Metric, g.Value = "to_guest_p99_"+p.Name, ms(quantile(took, 0.99))
	switch {
	case len(took) == 0 && (!aims || b.Quick):
		return []Figure{f}
	case len(took) == 0:
		f = b.aim(f, "<=", 10)
		f.OK = false // nobody knows
		return []Figure{f}
	case aims:
		f = b.aim(f, "<=", 10)
	}
	return []Figure{f, g}
}

// freshHost fills the cache and returns what to start.
func (b *bout) freshHost(ctx context.Context, name guestName) (h FreshHost, err error) {
	l, err := b.load(ctx, name, false)
	if err != nil {
		return h, err
	}
	if err := l.close(); err != nil {
		return h, err
	}
	wasm, err := b.wasm(ctx, name)
	if err != nil {
		return h, err
	}
	h = FreshHost{
		Engine: b.engine.Name, Cache: b.cache(string(name)),
		Module: filepath.Join(b.dir, string(name)+".wasm"),
		Digest: fmt.Sprintf("%x", executor.Bytes(wasm).Digest),
	}
	return h, os.WriteFile(h.Module, wasm, 0o600)
}

// startOf times a process from its start to its first line.
func startOf(cmd *exec.Cmd) (time.Duration, error) {
	begin := time.Now()
	p, err := start(cmd)
	if err != nil {
		return 0, err
	}
	_, err = p.line()
	took := time.Since(begin)
	return took, errors.Join(err, p.end())
}
