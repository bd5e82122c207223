package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
)

// An Upper makes the command of a "bungee up" that keeps all that it needs in a folder, which has certificates of all roles.
type Upper func(dir string) (*exec.Cmd, error)

// ups measures how long it takes from the start of "bungee up" until the first call of a UE has run on one of its hosts, which has the
// module in its cache.
func (c Control) ups(ctx context.Context, name string) (figures []Figure, err error) {
	dir, err := os.MkdirTemp("", "bungee-control-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := identity.Write(dir); err != nil {
		return nil, err
	}
	if _, err := c.up(ctx, dir); err != nil { // it fills the cache
		return nil, err
	}
	var all []time.Duration
	for range c.pick(10, 2) {
		took, err := c.up(ctx, dir)
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	f := Figure{Case: name, Metric: "first_placed_call_most", Unit: "s", N: len(all), Value: quantile(all, 1).Seconds()}
	f.Beside = map[string]float64{"p50": quantile(all, 0.5).Seconds()}
	f.Note = "from the start of bungee up; the UE is in this process"
	return []Figure{f.against("<=", 1.5)}, nil
}

// up starts a "bungee up" and a UE, and returns when a call has run on a host.
func (c Control) up(ctx context.Context, dir string) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, estatePatience)
	defer cancel()
	cmd, err := c.Up(dir)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	p, err := start(cmd)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	line, err := p.line()
	if err != nil {
		return 0, err
	}
	addr, found := strings.CutPrefix(line, "listening on ")
	if !found {
		return 0, fmt.Errorf("bungee up says %q, and not where its manager is", line)
	}
	conf, err := ue.LoadTLS(dir)
	if err != nil {
		return 0, err
	}
	h, err := ue.Start(ctx, ue.Config{TLS: conf, Managers: ue.Addresses{addr}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := h.Prepare(ctx, marked.ExchangeDesc); err != nil {
		return 0, err
	}
	if _, err := marked.Exchange(ctx, make([]byte, small)); err != nil {
		return 0, err
	}
	took = time.Since(begin)
	if s := h.Stats(); s.Edge == 0 {
		return 0, fmt.Errorf("the call ran on the UE: %v", s.Reasons)
	}
	return took, nil
}
