package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/lab/internal/siege"
)

// aloneLimit bounds a deploy that nobody holds up, on a machine that others keep busy.
const aloneLimit = 2 * time.Minute

// deployLimit bounds a deploy that attackers hold up.
func (g *ground) deployLimit() time.Duration { return time.Duration(g.pick(120, 15)) * time.Second }

// deploys measures how long a tenant's deploy of a Go module takes beside attacks, over one in peace.
func (g *ground) deploys(attacks []string) trial {
	return func(ctx context.Context, name string) (figures []Figure, err error) {
		wasm, err := readModule(g.GoModule)
		if err != nil {
			return nil, err
		}
		b, err := g.fortress(ctx, name)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, b.end()) }()
		var ratio, alone, under []float64
		var note string
		for range g.pick(5, 1) {
			a, err := b.deploy(ctx, wasm, aloneLimit)
			if err != nil {
				return nil, err
			}
			var u time.Duration
			var failed error
			if err := b.attack(ctx, attacks, func() {
				wait(ctx, peace) // so that they are under way
				u, failed = b.deploy(ctx, wasm, g.deployLimit())
			}); err != nil {
				return nil, err
			}
			if failed != nil { // it did not come about within the limit: it takes longer
				u, note = g.deployLimit(), failed.Error()
			}
			alone, under, ratio = append(alone, ms(a)), append(under, ms(u)), append(ratio, over(ms(u), ms(a)))
			wait(ctx, peace)
		}
		f := Figure{Case: name, Metric: "deploy_over_alone", Unit: "x", Value: quantile(ratio, 0.5), N: len(ratio), Note: note}
		f.Beside = map[string]float64{"alone_ms": quantile(alone, 0.5), "siege_ms": quantile(under, 0.5)}
		return []Figure{f.against("<=", 3), b.memoryFigure(name)}, nil
	}
}

// deploy deploys wasm, as a module that the host has not seen, for a tenant that it has not seen: one
// that has had no compilations lately, alone as well as beside attackers. It gives up after limit.
func (b *fortress) deploy(ctx context.Context, wasm []byte, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	b.deployers++
	conf, err := b.ground.ca.TLS(identity.UE, fmt.Sprintf("deployer-%d", b.deployers))
	if err != nil {
		return 0, err
	}
	u, err := siege.Dial(ctx, siege.WayOfQuiet(b.addr, b.ground.Quiet+b.deployers), conf)
	if err != nil {
		return 0, err
	}
	defer u.Close("")
	begin := time.Now()
	err = u.Deploy(ctx, siege.Distinct(wasm, rand.Uint64()))
	return time.Since(begin), err
}
