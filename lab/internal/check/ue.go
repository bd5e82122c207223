package check

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
)

// A target is an edge host as the UE sees it. The channels share its connection,
// which is dialled when it is needed.
type target struct {
	name string
	addr net.Addr
	conf *tls.Config
	// listen returns a socket of the UE.
	listen func() (net.PacketConn, error)
	// stream connects over TCP. Nil is QUIC.
	stream func(ctx context.Context) (net.Conn, error)

	dialling chan struct{} // cap 1: held while one dials

	mu   sync.Mutex
	conn *link.Conn // the last one
}

func newTarget(name string, addr net.Addr, conf *tls.Config, listen func() (net.PacketConn, error)) *target {
	return &target{name: name, addr: addr, conf: conf, listen: listen, dialling: make(chan struct{}, 1)}
}

// Name implements elastic.Target.
func (t *target) Name() string { return t.name }

// Prepare implements elastic.Target.
func (t *target) Prepare(ctx context.Context, _ *offload.Desc) (elastic.Host, error) {
	select {
	case t.dialling <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-t.dialling }()
	if conn := t.current(); conn != nil {
		if conn.Err() == nil {
			return ready{conn}, nil
		}
		conn.Close("") // its socket
	}
	conn, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.conn = conn
	t.mu.Unlock()
	return ready{conn}, nil
}

func (t *target) dial(ctx context.Context) (*link.Conn, error) {
	if t.stream != nil {
		c, err := t.stream(ctx)
		if err != nil {
			return nil, err
		}
		return link.DialTCP(ctx, c, t.addr, t.conf)
	}
	pc, err := t.listen()
	if err != nil {
		return nil, err
	}
	return link.Dial(ctx, pc, t.addr, t.conf)
}

func (t *target) current() *link.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conn
}

// drop ends the connection: the host is known to be gone, or the UE is.
func (t *target) drop() {
	if conn := t.current(); conn != nil {
		conn.Close("")
	}
}

// A ready is a target's connection.
type ready struct{ conn *link.Conn }

// Open implements elastic.Host.
func (r ready) Open(ctx context.Context, _ elastic.Priority) (elastic.Stream, error) {
	st, err := r.conn.Open(ctx)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// Stripes implements elastic.Host: large messages of mode Latest go in parts, here all
// over one connection.
func (ready) Stripes() int { return 3 }

// Watch implements elastic.Host. The checker does not watch for changes of path.
func (ready) Watch(func()) (stop func()) { return func() {} }

// Release implements elastic.Host. The connection stays.
func (ready) Release() {}
