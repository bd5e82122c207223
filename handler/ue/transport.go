package ue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// A Transport says what carries the sessions with edge hosts.
//
// QUIC can change its path, so that a session outlives its network, resumes without a round trip, lets
// urgent messages pass, and a lost packet holds up one stream only. TCP has none of
// this; it passes networks that block UDP, and proxies, and costs less CPU.
type Transport int

const (
	// Auto takes QUIC, and TCP where QUIC does not answer within 200 ms. It goes
	// back to QUIC when that works. Where TCP was needed, the handler does not wait for QUIC
	// for the next 10 minutes.
	Auto Transport = iota
	// QUIC takes QUIC only.
	QUIC
	// TCP takes TCP, and QUIC where TCP does not answer within 200 ms. It suits a UE that stays on
	// one wired network.
	TCP
)

// headStart is how long the first transport may take before the other one is tried, too. A
// second connection costs an edge host a handshake, so it is longer than most round trips.
const headStart = 200 * time.Millisecond

// connect begins a session with the host at an address, over the transport that works. blocked says
// that UDP did not work lately.
func (d *dialer) connect(ctx context.Context, at netip.AddrPort, blocked bool, wanted modules) (*session, error) {
	to, first, second, wait := net.UDPAddrFromAddrPort(at), link.QUIC, link.TCP, headStart
	switch {
	case d.transport == QUIC:
		return d.beginOver(ctx, first, to, wanted)
	case d.transport == TCP:
		first, second = second, first
	case blocked:
		wait = 0
	}
	s, why, err := firstOf(ctx, wait, func(ctx context.Context) (*session, error) {
		return d.beginOver(ctx, first, to, wanted)
	}, func(ctx context.Context) (*session, error) {
		s, err := d.beginOver(ctx, second, to, wanted)
		if err != nil {
			err = fmt.Errorf("over %s: %w", second, err)
		}
		return s, err
	})
	if err == nil && d.transport == Auto && s.transport == link.TCP {
		d.log.Info("over TCP", "host", s.host, "why no QUIC", why)
	}
	return s, err
}

// A tried is how one of two attempts ended.
type tried struct {
	s   *session
	err error
}

// firstOf returns the session that is there first: that of a, or that of b, which begins
// wait later, or when a has failed. whyB says why a was not enough. A host that answers a
// and does not want it is not asked again.
func firstOf(ctx context.Context, wait time.Duration, a, b func(context.Context) (*session, error)) (s *session, whyB, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	attempt := func(f func(context.Context) (*session, error)) <-chan tried {
		ended := make(chan tried, 1)
		go func() { // ends soon after ctx; see abandoned
			s, err := f(ctx)
			ended <- tried{s, err}
		}()
		return ended
	}
	fromA := attempt(a)
	var fromB <-chan tried
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var errA, errB error
	// The first attempt ends; the second one may begin, and ends.
	for errA == nil || errB == nil {
		select {
		case r := <-fromA:
			if r.err == nil {
				abandon(cancel, fromB)
				return r.s, nil, nil
			}
			if errA = r.err; isRefusal(errA) {
				abandon(cancel, fromB)
				return nil, nil, errA
			}
			fromA = nil
			timer.Reset(0)
		case <-timer.C:
			if fromB == nil && errB == nil {
				fromB = attempt(b)
			}
		case r := <-fromB:
			if r.err == nil {
				abandon(cancel, fromA)
				return r.s, cmp.Or(errA, errSlow), nil
			}
			errB, fromB = r.err, nil
		}
	}
	if ctx.Err() != nil || errors.Is(errA, link.ErrNoNetwork) && errors.Is(errB, link.ErrNoNetwork) {
		return nil, nil, errA
	}
	return nil, nil, fmt.Errorf("%w; %w", errA, errB)
}

var errSlow = fmt.Errorf("no answer within %v", headStart)

// abandon ends the other attempt, nil if there is none, and waits for its end.
func abandon(cancel context.CancelFunc, ended <-chan tried) {
	cancel()
	if ended == nil {
		return
	}
	if r := <-ended; r.err == nil {
		r.s.close()
	}
}

// isRefusal says whether the host has answered, and does not want the UE, or the UE
// it.
func isRefusal(err error) bool {
	return errors.As(err, new(*answered)) || errors.Is(err, link.ErrIdentity) || errors.Is(err, link.ErrVersion)
}

// dialTCP connects to the host of s over TCP.
func (d *dialer) dialTCP(ctx context.Context, s *session) (*link.Conn, error) {
	addr := *s.addr
	addr.Port = cmp.Or(d.tcpPort, addr.Port)
	c, err := d.stream(ctx, addr.String())
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	default:
		return nil, link.Explain(err)
	}
	return link.DialTCP(ctx, c, &addr, d.conf)
}

const (
	// firstReturn and lastReturn bound the waits between attempts to go back to QUIC. The first
	// is short: QUIC may only have been slow.
	firstReturn = 5 * time.Second
	lastReturn  = 10 * time.Minute
)

// goBack tries to begin a session over QUIC in place of s, which is over TCP, and gives it to
// better: now and then, and at once when the path has changed, and then over any transport.
func (t *target) goBack(ctx context.Context, s *session, better chan<- *session) {
	for wait := firstReturn; ; wait = min(2*wait, lastReturn) {
		moved := false
		var timer <-chan time.Time
		if t.transport == Auto {
			timer = time.After(wait)
		}
		// The time comes; the path changes; the session ends.
		select {
		case <-timer:
		case <-t.moved:
			moved = true
		case <-s.lost:
			return
		case <-ctx.Done():
			return
		}
		var next *session
		var err error
		if moved {
			next, err = t.find(ctx, t.addr, t.wants())
		} else {
			next, err = t.beginOver(ctx, link.QUIC, s.addr, t.wants())
			t.unblocked(s.addr.AddrPort(), err)
		}
		if err != nil {
			t.log.Debug("still over TCP", "host", s.host, "why", err)
			continue
		}
		select {
		case better <- next:
		case <-ctx.Done():
			next.close()
		}
		return
	}
}

// unblocked remembers that UDP works on this network, if err is nil.
func (t *target) unblocked(at netip.AddrPort, err error) {
	if err == nil {
		t.known.remember(t.addr, at, t.path.Load().local(at), false)
	}
}

// retire ends a session that another one has replaced, once nobody uses it any longer.
func (t *target) retire(ctx context.Context, s *session) {
	select {
	case <-s.quit():
	case <-s.lost:
	case <-s.leave:
		select {
		case <-s.idle:
		case <-s.lost:
		case <-time.After(drainTimeout):
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	s.close()
}
