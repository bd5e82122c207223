package ue

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// lifelineTimeout bounds the dial of a lifeline, which a firewall before the host may
// drop without an answer.
const lifelineTimeout = time.Second

// errHostEnded says that the host's kernel has closed the lifeline.
var errHostEnded = errors.New("the edge host's process has ended")

// holdOn keeps a lifeline to the host of s, a new one on each path, and ends s at
// once when it is lost. It returns when s is lost.
func (d *dialer) holdOn(ctx context.Context, s *session) {
	for n := uint32(0); !s.isLost(); n++ {
		var lost <-chan struct{}
		l, err := d.dialLifeline(ctx, s, n)
		if err == nil {
			lost = l.Lost()
		} else if !s.isLost() {
			d.log.Warn("no lifeline: deadlines will tell when the edge host is lost", "host", s.host, "why", err)
		}
		// The host's process ends; the session goes to another path; it ends.
		select {
		case <-lost:
			s.abandon(errHostEnded)
		case <-s.moved:
		case <-s.lost:
		}
		if l != nil {
			l.Close()
		}
	}
}

func (d *dialer) dialLifeline(ctx context.Context, s *session, n uint32) (*link.Lifeline, error) {
	ctx, cancel := context.WithTimeout(ctx, lifelineTimeout)
	defer cancel()
	host, _, err := net.SplitHostPort(s.addr.String()) // with the zone of an IPv6 address
	if err != nil {
		return nil, err
	}
	c, err := d.direct(ctx, net.JoinHostPort(host, strconv.Itoa(s.lifeline)))
	if err != nil {
		return nil, err
	}
	return link.AskLifeline(ctx, c, s.key, n)
}
