package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A modelHost is an edge host of a crowd. It has all modules compiled, and runs nothing.
type modelHost struct {
	peer
	adopted chan struct{} // closed when the manager has taken it

	mu    sync.Mutex
	table map[wire.LeaseID]time.Time // leases, and since when
	told  uint64                     // number of the last beat
}

const (
	crowdTurns   = 8                      // cores of a host
	crowdService = 500 * time.Microsecond // that a call takes there
	crowdBeat    = time.Second
	crowdZone    = 16 // hosts that have a label in common: as many as a UE measures
)

// zone is the label of the i-th host.
func zone(i int) string { return fmt.Sprintf("zone=%d", i/crowdZone) }

// addHosts adds n hosts, and returns when the manager has taken all.
func (c *crowd) addHosts(ctx context.Context, n int) error {
	c.hosts = make([]*modelHost, 0, n)
	return together(ctx, n, func(ctx context.Context, i int) error {
		p, err := c.dial(ctx, identity.Host, fmt.Sprintf("edge-%04d", i))
		if err != nil {
			return err
		}
		h := &modelHost{peer: p, adopted: make(chan struct{}), table: map[wire.LeaseID]time.Time{}}
		c.mu.Lock()
		c.hosts = append(c.hosts, h)
		c.mu.Unlock()
		h.listen(h.hear)
		h.say(wire.Register{Addresses: []string{fmt.Sprintf("10.0.%d.%d:7843", i/250, 1+i%250)}, Turns: crowdTurns, Memory: 16 << 30, Labels: []string{zone(i)}, Version: "crowd"})
		h.say(wire.Holding{})
		select {
		case <-h.adopted:
		case <-time.After(crowdPatience):
			return fmt.Errorf("%s: the manager does not take it", h.name)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		h.each(crowdBeat, h.beat)
		return nil
	})
}

// hear does what the manager says.
func (h *modelHost) hear(f wire.ManagerFrame) {
	switch f := f.(type) {
	case wire.Adopted:
		if !isClosed(h.adopted) {
			close(h.adopted)
		}
	case wire.Order:
		h.say(h.obey(f))
	}
}

// obey does what the manager orders.
func (h *modelHost) obey(o wire.Order) wire.Did {
	d := wire.Did{Number: o.Number}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch o.Kind {
	case wire.OrderPrepare:
		h.table[o.ID] = time.Now()
	case wire.OrderStop:
		delete(h.table, o.ID)
	case wire.OrderProbe:
		for range o.N {
			d.Samples = append(d.Samples, crowdService)
		}
	}
	return d
}

// beat tells the manager of the leases: their UEs have come, and call nothing.
func (h *modelHost) beat() {
	h.mu.Lock()
	h.told++
	b := wire.Beat{Number: h.told, Modules: []wire.ModuleBeat{{Module: crowdModule, State: wire.ModuleCompiled}}}
	for id, since := range h.table {
		b.Sessions = append(b.Sessions, wire.SessionBeat{Lease: id, Used: true, Idle: time.Since(since)})
	}
	h.mu.Unlock()
	h.say(b)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
