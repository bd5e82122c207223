package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
)

// readiness measures how long a UE waits from its Ask until the host that it is given is ready for it. The host has just begun: it has
// the module in its cache on disk, has to load it, and to make an instance.
func (c Control) readiness(ctx context.Context, name string) (figures []Figure, err error) {
	e, err := c.estate(ctx, true, "edge-a")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.end()) }()
	if err := e.bring(ctx); err != nil {
		return nil, err
	}
	r := newCrowd(e.ca, e.addr)
	defer func() { err = errors.Join(err, r.end()) }()
	r.module, r.need = marked.ExchangeDesc.Module.Digest, wire.Need{Latency: time.Second, Rate: 10, InFlight: 1}
	u, err := r.addUE(ctx, identity.UE.String()) // as the UE is called that has brought the module: the cache is its tenant's
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	for n := range c.pick(100, 2) {
		if err := e.restart(ctx); err != nil {
			return nil, err
		}
		begin := time.Now()
		p, err := u.ask(ctx, uint64(n+1))
		if err == nil && p.Primary.Host == "" {
			err = fmt.Errorf("ask %d is given no host: %s", n+1, p.Why)
		}
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
		u.bye(uint64(n + 1))
	}
	figure := func(metric string, p, target float64) Figure {
		f := Figure{Case: name, Metric: metric, Unit: "s", N: len(took), Value: quantile(took, p).Seconds()}
		f.Note = "from a UE's Ask to its Place, which comes when the host is ready"
		return f.against("<=", target)
	}
	return []Figure{figure("p50", 0.5, 0.15), figure("most", 1, 0.5)}, nil
}

// bring has the UE bring the module to the host, which compiles it. The UE ends.
func (e *estate) bring(ctx context.Context) error {
	t, end, err := e.traffic(ctx, 10)
	if err != nil {
		return err
	}
	_, err = t.elsewhere(ctx, "")
	err = errors.Join(err, end(), e.ue.Close())
	e.ue = nil
	return err
}

// restart ends the hosts in order, and starts them again.
func (e *estate) restart(ctx context.Context) error {
	for _, edge := range e.edges {
		if err := edge.end(); err != nil {
			return err
		}
	}
	if err := e.await(ctx, "the manager misses the hosts", e.all("silent")); err != nil {
		return err
	}
	for _, edge := range e.edges {
		if err := edge.start(); err != nil {
			return err
		}
	}
	return e.await(ctx, "all hosts serve", e.all("ready"))
}
