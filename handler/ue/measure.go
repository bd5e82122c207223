package ue

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/qos"
	"github.com/bungee-xr/bungee/internal/wire"
)

const (
	// pings is how many round trips tell how far a host is. The first packets have made the handshake: these go on a path
	// that is awake.
	pings = 5
	// measureTimeout bounds how long a host may take to be reached and to answer them. One that takes longer is too far.
	measureTimeout = 3 * time.Second
)

// measure returns how far candidates are, in their order: those that answer and are no further than theta, which paper
// 000 calls theta_net. 0 means any.
func (h *Handler) measure(ctx context.Context, candidates []wire.Candidate, theta time.Duration, using map[string]*target) []wire.LinkFeel {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	all := make([]wire.LinkFeel, len(candidates))
	var wg sync.WaitGroup
	for i, c := range candidates {
		wg.Go(func() {
			f, err := h.reach(ctx, c, using[c.Host])
			if err != nil {
				h.log.Info("no way to a candidate", "host", c.Host, "why", err)
				return
			}
			all[i] = f
		})
	}
	wg.Wait()
	near := all[:0]
	for _, f := range all {
		if f.RTT > 0 && (theta == 0 || f.RTT <= theta) {
			near = append(near, f)
		}
	}
	return near
}

// reach pings a candidate: over the session with it, if there is one, else over a connection that ends then.
func (h *Handler) reach(ctx context.Context, c wire.Candidate, t *target) (wire.LinkFeel, error) {
	if t != nil {
		if s := t.view.Load().sess; s != nil {
			return s.distance(ctx, c.Host)
		}
	}
	d := h.dialer
	d.bare = true
	addr := strings.Join(c.Addresses, ",")
	s, err := d.find(ctx, addr, nil)
	if err != nil {
		return wire.LinkFeel{}, err
	}
	defer s.close()
	return s.distance(ctx, c.Host)
}

// distance returns how far the host of s is: the least of some round trips.
func (s *session) distance(ctx context.Context, host string) (wire.LinkFeel, error) {
	var l qos.Link
	conn := s.next().conn
	for range pings {
		rtt, err := pingOver(ctx, conn)
		if err != nil {
			return wire.LinkFeel{}, err
		}
		l.RTT(time.Now(), rtt)
	}
	d, m := l.Distance(), conn.Metrics()
	return wire.LinkFeel{Host: host, RTT: d.RTT, Jitter: d.Jitter, Lost: m.PacketsLost, Sent: m.PacketsSent}, nil
}

func pingOver(ctx context.Context, c *link.Conn) (time.Duration, error) {
	st, err := c.Open(ctx)
	if err != nil {
		return 0, err
	}
	return control.Ping(ctx, st)
}
