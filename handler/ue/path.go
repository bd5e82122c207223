package ue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bungee-xr/bungee/internal/link"
)

// A path is a way to the network: where sockets come from.
type path struct {
	listen func() (net.PacketConn, error)
	last   atomic.Pointer[net.Addr] // of its last socket; nil: none yet
}

// socket returns another socket on p.
func (p *path) socket(log *slog.Logger) (net.PacketConn, error) {
	pc, err := p.listen()
	if err != nil {
		return nil, err
	}
	addr := pc.LocalAddr()
	p.last.Store(&addr)
	return link.Logged(pc, log), nil
}

// local returns the UE's address on p for packets to an address. It is invalid if there is no
// socket, or no route. The first time it makes a socket to find out.
func (p *path) local(to netip.AddrPort) netip.Addr {
	last := p.last.Load()
	if last == nil {
		pc, err := p.listen()
		if err != nil {
			return netip.Addr{}
		}
		addr := pc.LocalAddr()
		pc.Close()
		last = &addr
		p.last.Store(last)
	}
	if ip := addrOf(*last); ip.IsValid() {
		return ip
	}
	return sourceFor(to)
}

// SwitchPath moves the connections to all edge hosts to sockets of listen, one for
// each connection: from Wi-Fi to cellular, for example. It probes each new path before
// using it, and what is in flight stays in flight. A session over TCP cannot be moved: another
// one begins, and takes what begins from then on. A connection that cannot be moved within
// 5 s, or until ctx ends, stays where it is, and the error says so. Later connections use
// listen in any case.
func (h *Handler) SwitchPath(ctx context.Context, listen func() (net.PacketConn, error)) error {
	h.path.Store(&path{listen: listen})
	if h.manager != nil {
		h.manager.redial()
	}
	h.mu.Lock()
	targets := slices.Collect(maps.Values(h.targets))
	h.mu.Unlock()
	errs := make([]error, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { errs[i] = t.follow(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// follow moves the session to the handler's path. A session that is not in view
// yet follows by itself.
func (t *target) follow(ctx context.Context) error {
	s := t.view.Load().sess
	if s == nil {
		return nil
	}
	if s.transport == link.TCP {
		select {
		case t.moved <- struct{}{}:
		default: // said before
		}
		return fmt.Errorf("session with %s is over TCP and stays on its network: another one begins", s.host)
	}
	return t.reroute(ctx, s)
}

// reroute moves the connections of s that are not on the handler's path there.
func (d *dialer) reroute(ctx context.Context, s *session) error { return d.turn(ctx, s, false) }

// renew moves all connections of s to sockets of their own anew, within pongTimeout.
func (d *dialer) renew(ctx context.Context, s *session) error {
	late := fmt.Errorf("%w on a fresh path within %v", link.ErrNoAnswer, pongTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, pongTimeout, late)
	defer cancel()
	return d.turn(ctx, s, true)
}

// turn moves the connections of s to the handler's path: those that are there only with again.
func (d *dialer) turn(ctx context.Context, s *session, again bool) error {
	select {
	case s.moving <- struct{}{}:
		defer func() { <-s.moving }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p, all := d.path.Load(), *s.strands.Load()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, st := range all {
		if again || st.path != p {
			wg.Go(func() { errs[i] = d.move(ctx, s, st, p) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// move moves one connection to p. The session's moving is held.
func (d *dialer) move(ctx context.Context, s *session, st *strand, p *path) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	pc, err := p.socket(d.log)
	if err == nil {
		err = st.conn.SwitchPath(ctx, pc)
	}
	if err != nil {
		return fmt.Errorf("connection to %s stays on its path: %w", s.host, err)
	}
	first := st.path == nil
	st.path = p
	if first {
		return nil
	}
	d.log.Info("path changed", "host", s.host, "addr", s.addr)
	s.rerouted()
	select {
	case s.moved <- struct{}{}:
	default:
	}
	return nil
}
