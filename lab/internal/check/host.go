package check

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// open makes a far endpoint, as an edge host does when a channel is attached.
type open func(ctx context.Context, module offload.Digest, fn uint32) (far.Endpoint, error)

// An edge is one life of an edge host: it serves far endpoints, native ones, to
// each UE that connects.
type edge struct {
	open open
	ln   listener
	wg   sync.WaitGroup

	mu       sync.Mutex
	draining bool
	servers  map[*far.Server]struct{}
}

// A listener is a link.Listener or a link.TCPListener.
type listener interface {
	Accept(ctx context.Context) (*link.Conn, error)
	Close() error
}

// serveEdge begins to serve at pc.
func serveEdge(pc net.PacketConn, conf *tls.Config, o open) (*edge, error) {
	ln, err := link.Listen(pc, conf)
	if err != nil {
		return nil, err
	}
	return serveAt(ln, o), nil
}

// serveAt begins to serve those whom ln accepts.
func serveAt(ln listener, o open) *edge {
	e := &edge{open: o, ln: ln, servers: map[*far.Server]struct{}{}}
	e.wg.Go(e.accept)
	return e
}

// close ends the host with all of its connections and returns when its last
// goroutine has ended.
func (e *edge) close() {
	e.ln.Close()
	e.wg.Wait()
}

func (e *edge) accept() {
	for {
		conn, err := e.ln.Accept(context.Background())
		if err != nil {
			return
		}
		e.wg.Go(func() { e.session(conn) })
	}
}

// session serves a UE's connection.
func (e *edge) session(conn *link.Conn) {
	srv := e.server()
	var streams sync.WaitGroup
	for {
		st, err := conn.Accept(context.Background())
		if err != nil {
			break
		}
		streams.Go(func() { serveStream(srv, st) })
	}
	conn.Close("")
	streams.Wait()
	srv.Close()
	e.mu.Lock()
	delete(e.servers, srv)
	e.mu.Unlock()
}

// server makes the far end of a session.
func (e *edge) server() *far.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	srv := far.NewServer(far.Config{Open: e.open})
	e.servers[srv] = struct{}{}
	if e.draining {
		srv.Drain(leave)
	}
	return srv
}

// leave is why a host that drains wants to be left.
const leave = "the host is about to end"

// drain asks all far endpoints to leave, and takes no new ones.
func (e *edge) drain() {
	e.mu.Lock()
	e.draining = true
	all := slices.Collect(maps.Keys(e.servers))
	e.mu.Unlock()
	for _, srv := range all {
		srv.Drain(leave)
	}
}

func serveStream(srv *far.Server, st link.Stream) {
	t, err := wire.ReadType(st)
	if err != nil {
		st.Reset()
		return
	}
	srv.Serve(st.Context(), t, st)
}
