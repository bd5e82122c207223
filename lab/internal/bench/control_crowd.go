package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A crowd is edge hosts and UEs of which there is nothing but the conversation with an offload manager. Each has its
// own certificate, socket and connection. Hosts do what they are told at once, and beat; UEs measure
// at once, and once a second say how their calls are.
type crowd struct {
	ca      *identity.Authority
	manager net.Addr
	module  [32]byte  // that all sessions have
	need    wire.Need // of all sessions, but for labels
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu    sync.Mutex
	hosts []*modelHost
	ues   []*modelUE
	errs  []error // of peers whose conversation has ended too soon
}

func newCrowd(ca *identity.Authority, manager net.Addr) *crowd {
	c := &crowd{ca: ca, manager: manager, module: crowdModule, need: crowdNeed}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// crowdModule is the digest of a module that hosts of a crowd have, and crowdNeed is what its sessions ask for.
var (
	crowdModule = [32]byte{'c', 'r', 'o', 'w', 'd'}
	crowdNeed   = wire.Need{Latency: 50 * time.Millisecond, Rate: 10, InFlight: 1, Up: 20 << 10, Down: 1 << 10, Memory: 4 << 20}
)

// end ends all conversations. Its error says which have ended before.
func (c *crowd) end() error {
	c.mu.Lock()
	err := firstErrors(c.errs)
	c.mu.Unlock()
	c.cancel()
	for _, h := range c.hosts {
		h.conn.Close("")
	}
	for _, u := range c.ues {
		u.conn.Close("")
	}
	c.wg.Wait()
	return err
}

// firstErrors joins some of many errors.
func firstErrors(errs []error) error {
	const some = 3
	if len(errs) > some {
		errs = append(errs[:some:some], fmt.Errorf("and %d more", len(errs)-some))
	}
	return errors.Join(errs...)
}

// lost takes note that a peer's conversation has ended.
func (c *crowd) lost(name string, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() == nil {
		c.errs = append(c.errs, fmt.Errorf("%s and the manager: %w", name, why))
	}
}

// A peer is what hosts and UEs have in common.
type peer struct {
	*control.Conversation
	crowd *crowd
	name  string
	conn  *link.Conn
}

// dial connects a peer with the manager.
func (c *crowd) dial(ctx context.Context, role identity.Role, name string) (p peer, err error) {
	conf, err := c.ca.TLS(role, name)
	if err != nil {
		return p, err
	}
	ctx, cancel := context.WithTimeout(ctx, crowdPatience)
	defer cancel()
	p = peer{crowd: c, name: name}
	if p.conn, err = c.connect(ctx, identity.ForManager(conf)); err != nil {
		return p, fmt.Errorf("%s dials the manager: %w", name, err)
	}
	st, err := p.conn.Open(ctx)
	if err != nil {
		return p, errors.Join(fmt.Errorf("%s: %w", name, err), p.conn.Close(""))
	}
	hears := control.ManagerToUE
	if role == identity.Host {
		hears = control.ManagerToHost
	}
	p.Conversation = control.Converse(st, hears)
	return p, nil
}

// connect dials until the manager answers: it takes only so many handshakes a second.
func (c *crowd) connect(ctx context.Context, conf *tls.Config) (*link.Conn, error) {
	for {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		conn, err := link.Dial(ctx, pc, c.manager, conf)
		if err == nil || ctx.Err() != nil || !errors.Is(err, link.ErrNoAnswer) {
			return conn, err
		}
	}
}

// crowdPatience is how long one of a crowd waits for the manager before something is wrong.
const crowdPatience = 30 * time.Second

// say sends f.
func (p *peer) say(f wire.ManagerFrame) {
	if err := p.Send(f); err != nil {
		p.crowd.lost(p.name, err)
	}
}

// listen gives what the manager says to hear, until the connection ends.
func (p *peer) listen(hear func(wire.ManagerFrame)) {
	p.crowd.wg.Go(func() {
		for {
			f, err := p.Next()
			if err != nil {
				p.crowd.lost(p.name, err)
				return
			}
			hear(f)
		}
	})
}

// each calls f once a period, from a random time on, until the crowd ends.
func (p *peer) each(period time.Duration, f func()) {
	p.crowd.wg.Go(func() {
		wait(p.crowd.ctx, rand.N(period))
		tick := time.NewTicker(period)
		defer tick.Stop()
		for p.crowd.ctx.Err() == nil {
			f()
			select {
			case <-tick.C:
			case <-p.crowd.ctx.Done():
			}
		}
	})
}

// together calls f for 0 to n-1, some at once: all handshakes at once would be a flood. It stops at the first error.
func together(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var some sync.WaitGroup
	for range 8 * runtime.NumCPU() {
		some.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	some.Wait()
	return context.Cause(ctx)
}
