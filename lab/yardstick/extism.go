package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"
)

// An order is what to measure of Extism. "instantiate" makes N instances of a plugin that
// is loaded, "load" loads it from the cache of compiled code N times and makes an
// instance each time, "call" calls an empty function N times, and "crowd" makes
// instances until there are N, which stay.
type order struct {
	Do string `json:"do"`
	N  int    `json:"n"`
}

// observed is what an order came to.
type observed struct {
	Micros []float64 `json:"micros"`          // of each; of "call", the mean of each hundred
	Allocs float64   `json:"allocs"`          // of a call
	Pss    int64     `json:"pss"`             // bytes of this process, once there is a crowd
	Error  string    `json:"error,omitempty"` // it was not measured
}

// maxOrder bounds the N of an order.
const maxOrder = 1 << 20

//go:embed testdata/plugin.wasm
var plugin []byte

// manifest is that of a plugin which is stopped at a deadline, as guests of ours are.
var manifest = extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: plugin}}, Timeout: 10_000}

// serveExtism runs the orders of in and writes what each came to to out.
func serveExtism(in io.Reader, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "yardstick-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	h := &extismHost{cache: dir}
	if err := h.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := from.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("order: %w", err)
		}
		seen, err := h.run(context.Background(), o)
		if err != nil {
			seen = observed{Error: err.Error()}
		}
		if err := to.Encode(seen); err != nil {
			return err
		}
	}
}

// An extismHost has the plugin loaded.
type extismHost struct {
	cache string // folder of compiled code
	*loaded
	crowd []*extism.Plugin
}

// loaded is a plugin with what it was compiled in.
type loaded struct {
	code wazero.CompilationCache
	*extism.CompiledPlugin
}

func (h *extismHost) open() (err error) {
	h.loaded, err = loadPlugin(context.Background(), h.cache)
	return err
}

func (h *extismHost) close() error {
	var errs []error
	for _, p := range h.crowd {
		errs = append(errs, p.Close(context.Background()))
	}
	return errors.Join(append(errs, h.loaded.close(context.Background()))...)
}

// loadPlugin loads the plugin with the code that cache holds.
func loadPlugin(ctx context.Context, cache string) (*loaded, error) {
	code, err := wazero.NewCompilationCacheWithDir(cache)
	if err != nil {
		return nil, err
	}
	conf := extism.PluginConfig{RuntimeConfig: wazero.NewRuntimeConfig().WithCompilationCache(code)}
	p, err := extism.NewCompiledPlugin(ctx, manifest, conf, nil)
	if err != nil {
		return nil, errors.Join(err, code.Close(ctx))
	}
	return &loaded{code, p}, nil
}

func (l *loaded) close(ctx context.Context) error {
	return errors.Join(l.CompiledPlugin.Close(ctx), l.code.Close(ctx))
}

func (h *extismHost) run(ctx context.Context, o order) (observed, error) {
	if o.N < 1 || o.N > maxOrder {
		return observed{}, fmt.Errorf("order %+v: n is 1 to %d", o, maxOrder)
	}
	switch o.Do {
	case "instantiate":
		return each(o.N, func() (time.Duration, error) { return h.instantiate(ctx) })
	case "load":
		return each(o.N, func() (time.Duration, error) { return h.load(ctx) })
	case "call":
		return h.call(ctx, o.N)
	case "crowd":
		return h.gather(ctx, o.N)
	}
	return observed{}, fmt.Errorf("order %+v: instantiate, load, call and crowd are known", o)
}

// each runs f n times.
func each(n int, f func() (time.Duration, error)) (o observed, err error) {
	for range n {
		d, err := f()
		if err != nil {
			return o, err
		}
		o.Micros = append(o.Micros, micros(d))
	}
	return o, nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func (h *extismHost) instantiate(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	p, err := h.Instance(ctx, extism.PluginInstanceConfig{})
	if err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, p.Close(ctx)
}

func (h *extismHost) load(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	l, err := loadPlugin(ctx, h.cache)
	if err != nil {
		return 0, err
	}
	p, err := l.Instance(ctx, extism.PluginInstanceConfig{})
	took := time.Since(begin)
	if err == nil {
		err = p.Close(ctx)
	}
	return took, errors.Join(err, l.close(ctx))
}

// hundred is how many calls are timed at once: the clock takes a tenth of one.
const hundred = 100

func (h *extismHost) call(ctx context.Context, n int) (o observed, err error) {
	p, err := h.Instance(ctx, extism.PluginInstanceConfig{})
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	batches := (n + hundred - 1) / hundred
	before := mallocs()
	o, err = each(batches, func() (time.Duration, error) {
		begin := time.Now()
		for range hundred {
			if code, _, err := p.CallWithContext(ctx, "run", nil); err != nil || code != 0 {
				return 0, fmt.Errorf("run answered %d: %v", code, err)
			}
		}
		return time.Since(begin) / hundred, nil
	})
	o.Allocs = float64(mallocs()-before) / float64(batches*hundred)
	return o, err
}

func (h *extismHost) gather(ctx context.Context, n int) (o observed, err error) {
	for len(h.crowd) < n {
		p, err := h.Instance(ctx, extism.PluginInstanceConfig{})
		if err != nil {
			return o, fmt.Errorf("instance %d: %w", len(h.crowd)+1, err)
		}
		h.crowd = append(h.crowd, p)
	}
	o.Pss, err = pss()
	return o, err
}
