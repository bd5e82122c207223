package bench

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/manager"
)

// moves measures what an ordered channel with 100 messages a second sees of n moves that the manager makes, since the
// host that it is on is drained.
func (c Control) moves(n int) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		got, err := c.follow(ctx, name, n, (*estate).drained)
		if err != nil {
			return nil, err
		}
		return append([]Figure{got.gap(0.5), got.gap(0.99).against("<=", 20)}, countFigures(name, &got.check)...), nil
	}
}

// kills measures the same where its host is killed, and how soon the manager knows. Beside the gap stands that of a channel
// whose standby is its own, as in the benchmark of handovers, when its host is killed.
func (c Control) kills(n int) trial {
	return func(ctx context.Context, name string) (figures []Figure, err error) {
		got, err := c.follow(ctx, name, n, (*estate).killed)
		if err != nil {
			return nil, err
		}
		r, err := c.rig(ctx, "edge-a", "edge-b")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, r.end()) }()
		alone := ordeal{rate: got.rate, in: small, pause: 250 * time.Millisecond, events: n, event: r.killed}
		alone.conf.Standby = []elastic.Target{r.target(1)}
		own, err := alone.run(ctx, r, name)
		if err != nil {
			return nil, err
		}
		for _, p := range []float64{0.5, 0.99} {
			f := got.gap(p)
			f.Beside["own_standby"] = own.gap(p).Value
			f.Ratio = over(f.Value, f.Beside["own_standby"])
			figures = append(figures, f)
		}
		view := Figure{Case: name, Metric: "manager_is_right_most", Unit: "s", N: len(got.views), Value: quantile(got.views, 1).Seconds()}
		view.Note = "after the kill: the session is at its standby, and the host silent"
		return append(append(figures, view.against("<=", 3.5)), countFigures(name, &got.check)...), nil
	}
}

// A following is what became of a channel that follows the manager.
type following struct {
	*outcome
	views []time.Duration // that the manager took to know of a kill
}

// A stroke is what happens to the host that has the far endpoint. The mark ends when results come from another host.
type stroke func(e *estate, ctx context.Context, t *traffic, from *edgeProcess, got *following) (mark, error)

// follow has a channel follow the manager through n strokes.
func (c Control) follow(ctx context.Context, name string, n int, s stroke) (got *following, err error) {
	e, err := c.estate(ctx, false, "edge-a", "edge-b", "edge-c")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.end()) }()
	got = &following{outcome: &outcome{name: name, ordeal: ordeal{rate: 100, in: small}}}
	t, end, err := e.traffic(ctx, got.rate)
	if err != nil {
		return nil, err
	}
	for range n {
		if err = e.strike(ctx, t, got, s); err != nil {
			break
		}
	}
	err = errors.Join(err, end())
	got.check, got.delivered, got.start = t.check, t.delivered, t.start
	return got, err
}

// traffic sends messages through a channel that follows the manager, until end is called.
func (e *estate) traffic(ctx context.Context, rate float64) (t *traffic, end func() error, err error) {
	near, err := newNear(elastic.Config{}, small, small)
	if err != nil {
		return nil, nil, err
	}
	follows, stop := context.WithCancel(ctx)
	var follower sync.WaitGroup
	follower.Go(func() { e.ue.Follow(follows, marked.ExchangeDesc, near.ch) }) // ends with stop; a module is placed as a whole
	t = newTraffic(near, rate)
	t.begin(ctx)
	return t, func() error {
		stop()
		follower.Wait()
		return t.finish(context.WithoutCancel(ctx))
	}, nil
}

// strike strikes the host that t is on, when all is calm.
func (e *estate) strike(ctx context.Context, t *traffic, got *following, s stroke) error {
	if err := e.await(ctx, "all hosts serve", e.all("ready")); err != nil {
		return err
	}
	if err := e.await(ctx, "the session runs on a host", every(func(manager.Session) bool { return true })); err != nil {
		return err
	}
	name, err := t.elsewhere(ctx, "")
	if err != nil {
		return err
	}
	wait(ctx, 300*time.Millisecond) // calm, to compare with
	from, err := e.edge(name)
	if err != nil {
		return err
	}
	m, err := s(e, ctx, t, from, got)
	if err != nil {
		return err
	}
	got.marks = append(got.marks, m)
	wait(ctx, 2*settle) // the mark's last gap
	return from.start()
}

// elsewhere waits until results come from a host, which is not from, and returns its name.
func (t *traffic) elsewhere(ctx context.Context, from string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, estatePatience)
	defer cancel()
	for {
		t.mu.Lock()
		at := t.host
		t.mu.Unlock()
		if at != "" && at != from {
			return at, nil
		}
		if err := t.leave(ctx, at); err != nil {
			return "", err
		}
	}
}

// drained drains a host, which ends then.
func (e *estate) drained(ctx context.Context, t *traffic, from *edgeProcess, _ *following) (m mark, err error) {
	m.from = t.now()
	if err := e.manager.Set(ctx, cluster.Member{Name: from.host.Name, Want: cluster.Drain}); err != nil {
		return m, err
	}
	if _, err := t.elsewhere(ctx, from.host.Name); err != nil {
		return m, err
	}
	m.to = t.now()
	if err := e.await(ctx, "the session has left the drained host", every(off(from.host.Name))); err != nil {
		return m, err
	}
	from.kill()
	return m, e.manager.Set(ctx, cluster.Member{Name: from.host.Name, Want: cluster.Serve})
}

// killed kills a host.
func (e *estate) killed(ctx context.Context, t *traffic, from *edgeProcess, got *following) (m mark, err error) {
	if err := e.await(ctx, "the session has a standby", every(off(""))); err != nil {
		return m, err
	}
	begin := time.Now()
	m.from = t.now()
	from.kill()
	if _, err := t.elsewhere(ctx, from.host.Name); err != nil {
		return m, err
	}
	m.to = t.now()
	err = e.await(ctx, "the manager knows", func(s manager.State) bool {
		silent := false
		for _, h := range s.Hosts {
			silent = silent || h.Name == from.host.Name && h.State == "silent"
		}
		for _, x := range s.Sessions {
			if x.Primary == from.host.Name || x.Primary == "" {
				return false
			}
		}
		return silent
	})
	got.views = append(got.views, time.Since(begin))
	return m, err
}
