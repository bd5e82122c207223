package ue

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// attemptTimeout bounds the search for a host, dial and hello.
const attemptTimeout = 5 * time.Second

// askPatience is how long after its Welcome a host may take to say whether it has
// a module. A host that loads the module first then holds up nothing else.
const askPatience = 20 * time.Millisecond

// A dialer makes the connections to one edge host.
type dialer struct {
	name    string
	conf    *tls.Config
	stripes int
	path    *atomic.Pointer[path] // the handler's
	known   *networks             // the handler's
	look    lookup
	log     *slog.Logger

	bare  bool                    // the peer is no edge host, or is not greeted
	lease *atomic.Pointer[[]byte] // to show to the host; nil: none

	transport Transport
	tcpPort   int                                                      // 0: the UDP port's number
	stream    func(ctx context.Context, addr string) (net.Conn, error) // makes connections of TCP
	direct    func(ctx context.Context, addr string) (net.Conn, error) // and without a proxy, which ends idle ones
}

// open begins a session with one connection to the host, which is found as addr says. If that
// connection cannot change its path, open makes another one.
func (d *dialer) open(ctx context.Context, addr string, wanted modules) (*session, error) {
	s, err := d.find(ctx, addr, wanted)
	if err != nil || !(*s.strands.Load())[0].conn.Stale() {
		return s, err
	}
	s.close()
	return d.beginOver(ctx, s.transport, s.addr, wanted)
}

// find begins a session at the first of the host's addresses that answers. What worked
// before on this network is tried first.
func (d *dialer) find(ctx context.Context, addr string, wanted modules) (*session, error) {
	hosts, err := parseHost(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	p := d.path.Load()
	s, at, err := race(ctx, d.known.recall(addr, p.local), func(ctx context.Context) <-chan found {
		return search(ctx, hosts, d.look)
	}, func(ctx context.Context, at netip.AddrPort) (*session, error) {
		return d.connect(ctx, at, d.known.isBlocked(addr, at, p.local), wanted)
	}, (*session).close)
	if err == nil {
		d.known.remember(addr, at, p.local(at), d.transport == Auto && s.transport == link.TCP)
	}
	return s, err
}

// beginOver connects over a transport and asks the host, at the same time, which of the
// wanted modules it has.
func (d *dialer) beginOver(ctx context.Context, over link.Transport, to *net.UDPAddr, wanted modules) (*session, error) {
	s := newSession(over, to)
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	st, err := d.dial(ctx, s)
	if err != nil {
		return nil, err
	}
	if d.bare {
		return s, s.only(ctx, st)
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	var asked sync.WaitGroup
	for _, m := range wanted {
		asked.Go(func() { s.ask(asking, st.conn, m) })
	}
	w, err := s.join(ctx, st, d.hello())
	defer time.AfterFunc(askPatience, stop).Stop()
	asked.Wait()
	if err != nil && isDone(st.conn.Confirmed()) {
		err = &answered{err}
	}
	if err != nil {
		return nil, err
	}
	s.host, s.lifeline, s.key = w.Name[:min(len(w.Name), wire.MaxName)], w.Lifeline, w.Key
	return s, nil
}

// hello returns what the UE says first on a connection to an edge host.
func (d *dialer) hello() wire.Hello {
	h := wire.Hello{Name: d.name}
	if d.lease == nil {
		return h
	}
	if lease := d.lease.Load(); lease != nil {
		h.Extensions = h.Extensions.Append(wire.ExtensionLease, *lease)
	}
	return h
}

// extend adds a connection to s.
func (d *dialer) extend(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	st, err := d.dial(ctx, s)
	if err == nil {
		_, err = s.join(ctx, st, d.hello())
	}
	return err
}

// dial connects to the host of s.
func (d *dialer) dial(ctx context.Context, s *session) (*strand, error) {
	if s.transport == link.TCP {
		conn, err := d.dialTCP(ctx, s)
		return &strand{conn: conn}, err
	}
	pc, err := d.path.Load().socket(d.log)
	if err != nil {
		return nil, err
	}
	conn, err := link.Dial(ctx, pc, s.addr, d.conf)
	return &strand{conn: conn}, err
}

// settle moves s to the handler's path and adds the stripes beyond the first connection,
// on the same path. A session without them is only slower. One over TCP has neither.
func (d *dialer) settle(ctx context.Context, s *session) {
	if s.transport == link.TCP {
		return
	}
	for n := 1; ; n++ {
		if err := d.reroute(ctx, s); err != nil && !s.isLost() {
			d.log.Warn("path not changed", "why", err)
		}
		if n >= d.stripes || s.isLost() {
			return
		}
		if err := d.extend(ctx, s); err != nil {
			if !s.isLost() {
				d.log.Warn("no further stripe to the edge host", "host", s.host, "addr", s.addr, "stripes", n, "why", err)
			}
			return
		}
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
