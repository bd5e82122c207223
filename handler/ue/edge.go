package ue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Why the edge host is not used, as the cause of fallbacks.
var (
	errNoEdge     = errors.New("no edge host is configured")
	errConnecting = errors.New("the edge host is not connected yet")
	errDeploying  = errors.New("the module is not on the edge host yet")
	errSilent     = errors.New("the edge host missed a deadline and is being probed")
	errRefused    = errors.New("the edge host refused the module")
)

const (
	attemptTimeout = 5 * time.Second  // dial and hello
	drainTimeout   = 10 * time.Second // of a host that said go away
)

// edge keeps a session with one edge host. Its run goroutine owns the session
// and publishes a view of it; calls only look at the view and report failures.
type edge struct {
	// Constant.
	addr, name string
	conf       *tls.Config
	listen     func() (net.PacketConn, error)
	log        *slog.Logger

	// Any goroutine.
	view atomic.Pointer[view]
	wake chan struct{} // cap 1: a note that reports below have changed

	mu      sync.Mutex
	wanted  map[offload.Digest]*offload.Module
	late    *session      // missed a deadline since run last looked
	lacking *session      // said that it has not got a module
	changed chan struct{} // closed when view changes
}

// A view is what calls need to know of the edge host. It is immutable.
type view struct {
	sess    *session
	why     error                    // why no call is sent; nil: calls are sent
	modules map[offload.Digest]error // deployed: nil; refused: why
}

func newEdge(addr, name string, conf *tls.Config, listen func() (net.PacketConn, error), log *slog.Logger) *edge {
	e := &edge{
		addr: addr, name: name, conf: conf, listen: listen, log: log,
		wake:    make(chan struct{}, 1),
		wanted:  map[offload.Digest]*offload.Module{},
		changed: make(chan struct{}),
	}
	e.view.Store(&view{why: errConnecting})
	return e
}

// serves returns nil when calls of m can be sent, else why not.
func (v *view) serves(m *offload.Module) error {
	if v.why != nil {
		return v.why
	}
	err, ok := v.modules[m.Digest]
	if !ok {
		return errDeploying
	}
	return err
}

// want makes run deploy m to the host, now and after each reconnection.
func (e *edge) want(m *offload.Module) {
	e.mu.Lock()
	e.wanted[m.Digest] = m
	e.mu.Unlock()
	e.nudge()
}

// failed reports a call on s that gave no reply.
func (e *edge) failed(s *session, err error) {
	var f *wire.Fail
	switch {
	case errors.Is(err, ErrLate):
		e.mu.Lock()
		e.late = s
		e.mu.Unlock()
		e.publish(s, errSilent, nil) // at once: the next call must not wait, too
	case errors.As(err, &f) && f.Code == wire.CodeNoModule:
		e.mu.Lock()
		e.lacking = s
		e.mu.Unlock()
	default:
		return
	}
	e.nudge()
}

// reports returns what calls have reported of s since it was last asked, and the
// modules that they want.
func (e *edge) reports(s *session) (late, lacking bool, wanted map[offload.Digest]*offload.Module) {
	e.mu.Lock()
	defer e.mu.Unlock()
	late, lacking = e.late == s, e.lacking == s
	e.late, e.lacking = nil, nil
	return late, lacking, maps.Clone(e.wanted)
}

func (e *edge) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// publish changes the view of s, if s is the session in view, and wakes waiters.
// Nil modules keep those in view.
func (e *edge) publish(s *session, why error, modules map[offload.Digest]error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.view.Load()
	if old.sess != s {
		return
	}
	if modules == nil {
		modules = old.modules
	}
	e.setLocked(&view{sess: s, why: why, modules: modules})
}

// begin puts s in view in place of the session before. Nil is none.
func (e *edge) begin(s *session, why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.late, e.lacking = nil, nil
	e.setLocked(&view{sess: s, why: why})
}

func (e *edge) setLocked(v *view) {
	e.view.Store(v)
	close(e.changed)
	e.changed = make(chan struct{})
}

// await waits until calls of m can be sent. It says why not when the host has
// refused m, or ctx ends.
func (e *edge) await(ctx context.Context, m *offload.Module) error {
	for {
		e.mu.Lock()
		changed := e.changed
		e.mu.Unlock()
		why := e.view.Load().serves(m)
		if why == nil || errors.Is(why, errRefused) {
			return why
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("edge host %s: %w (%w)", e.addr, why, context.Cause(ctx))
		}
	}
}

// run keeps a session until ctx ends:
//
//	connecting --hello--> keep --lost, silent, told to go--> backing off --> connecting
func (e *edge) run(ctx context.Context) {
	for failures := 0; ; {
		err := e.attempt(ctx, func() { failures = 0 })
		if ctx.Err() != nil {
			e.begin(nil, errNoEdge)
			return
		}
		e.begin(nil, err)
		if failures == 0 {
			e.log.Warn("edge host is not there", "addr", e.addr, "why", err)
		}
		select {
		case <-time.After(backoff(failures)):
		case <-ctx.Done():
		}
		failures++
	}
}

// backoff is the wait before the next attempt: 100 ms, doubled to 2 s.
func backoff(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures, 10), 2*time.Second)
}

// attempt connects, and keeps the session until it must end. It says why.
func (e *edge) attempt(ctx context.Context, connected func()) error {
	s, err := e.dial(ctx)
	if err != nil {
		return err
	}
	connected()
	e.log.Info("edge host is connected", "host", s.host, "addr", e.addr)
	e.begin(s, nil)
	k := newKeeper(e, s)
	err = k.keep(ctx)
	e.begin(nil, err)
	if errors.Is(err, errLeave) { // calls in flight end on the host, which waits for us to go
		select {
		case <-s.quit():
		case <-s.conn.Done():
		case <-time.After(drainTimeout):
		case <-ctx.Done():
		}
	}
	s.close("")
	k.wg.Wait()
	return err
}

func (e *edge) dial(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	addr, err := net.ResolveUDPAddr("udp", e.addr)
	if err != nil {
		return nil, err
	}
	pc, err := e.listen()
	if err != nil {
		return nil, err
	}
	return openSession(ctx, pc, addr, e.conf, e.name)
}

// place is the edge host as the target of a move, while its session is s.
type place struct {
	edge *edge
	sess *session
}

func (p place) Name() string { return p.sess.host }

// Prepare returns at once: run has deployed the module ahead of the move, or the
// move fails and says what is lacking.
func (p place) Prepare(_ context.Context, f *offload.Desc) (elastic.Far, error) {
	v := p.edge.view.Load()
	if v.sess != p.sess {
		return nil, errConnecting
	}
	if err := v.serves(f.Module); err != nil {
		return nil, err
	}
	return &far{p.edge, p.sess}, nil
}
