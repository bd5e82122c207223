package bench

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/offload"
)

// ColdStart configures the measurement of a module's cold start: loaded from the
// engine's cache, instantiated and initialised.
type ColdStart struct {
	// NewEngine makes an engine, as an edge host does when it starts. Each
	// measurement has a fresh one; all share a cache.
	NewEngine func() (executor.Engine, error)
	Module    *offload.Module
	Instance  executor.InstanceConfig
	N         int // measurements
}

// Run measures.
func (c ColdStart) Run(ctx context.Context) ([]Figure, error) {
	var load, instantiate, total []time.Duration
	for i := range c.N + 1 {
		l, in, err := c.once(ctx)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			continue // fills the cache
		}
		load, instantiate, total = append(load, l), append(instantiate, in), append(total, l+in)
	}
	figure := func(metric string, d []time.Duration, p float64) Figure {
		return Figure{
			Bench: "coldstart", Case: "from the cache", Metric: metric,
			Value: quantile(d, p).Seconds() * 1e3, Unit: "ms", N: len(d), OK: true,
		}
	}
	return []Figure{
		figure("load_p50", load, 0.5),
		figure("instantiate_init_p50", instantiate, 0.5),
		figure("load_instantiate_init_p50", total, 0.5).against("<=", 2),
		figure("load_instantiate_init_p99", total, 0.99),
	}, nil
}

func (c ColdStart) once(ctx context.Context) (load, instantiate time.Duration, err error) {
	e, err := c.NewEngine()
	if err != nil {
		return 0, 0, err
	}
	defer e.Close()
	begin := time.Now()
	m, err := executor.Load(ctx, e, c.Module.Digest, c.Module.Wasm)
	if err != nil {
		return 0, 0, err
	}
	defer m.Close()
	loaded := time.Now()
	i, err := m.Instantiate(ctx, c.Instance)
	if err != nil {
		return 0, 0, err
	}
	defer i.Close()
	return loaded.Sub(begin), time.Since(loaded), nil
}
