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
	attemptTimeout = 5 * time.Second // dial and hello
	pongTimeout    = time.Second     // of a host that missed a deadline: then it is lost
	deployTimeout  = 90 * time.Second
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
	k := &keeper{edge: e, sess: s, pong: make(chan error, 1), deployed: make(chan deployment, 1)}
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

// A keeper watches over one session. Its fields belong to keep.
type keeper struct {
	edge *edge
	sess *session
	wg   sync.WaitGroup // ping, deploy

	misses   int       // in a row
	lastMiss time.Time // of the last one
	probing  bool
	held     <-chan time.Time // after a pong: fires when calls may be sent again
	pong     chan error       // cap 1: one ping at a time

	modules   map[offload.Digest]error // as in view; a refused one is not sent again
	deploying bool
	deployed  chan deployment // cap 1: one deployment at a time
}

type deployment struct {
	mod      *offload.Module
	uploaded bool
	err      error
}

// keep returns why the session must end.
func (k *keeper) keep(ctx context.Context) error {
	k.modules = map[offload.Digest]error{}
	k.look(ctx)
	// The session ends; the host asks us to leave; calls report; a pong comes;
	// the time after a missed deadline is over; a module is deployed.
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-k.sess.conn.Done():
			return k.sess.conn.Err()
		case reason := <-k.sess.leave:
			return fmt.Errorf("%w: %q", errLeave, reason)
		case <-k.edge.wake:
			k.look(ctx)
		case err := <-k.pong:
			if err != nil {
				return fmt.Errorf("no answer to a ping within %v: %w", pongTimeout, err)
			}
			k.held = time.After(holdOff(k.misses))
		case <-k.held:
			k.probing, k.held = false, nil
			k.edge.publish(k.sess, nil, nil)
		case d := <-k.deployed:
			if err := k.finish(d); err != nil {
				return err
			}
			k.look(ctx)
		}
	}
}

// look acts on what calls reported.
func (k *keeper) look(ctx context.Context) {
	k.edge.mu.Lock()
	late, lacking := k.edge.late == k.sess, k.edge.lacking == k.sess
	k.edge.late, k.edge.lacking = nil, nil
	wanted := maps.Clone(k.edge.wanted)
	k.edge.mu.Unlock()
	if late && !k.probing {
		k.probe(ctx)
	}
	if lacking {
		clear(k.modules)
	}
	for d, m := range wanted {
		if _, asked := k.modules[d]; !asked && !k.deploying {
			k.deploy(ctx, m)
		}
	}
}

// probe asks a host that missed a deadline whether it is alive.
func (k *keeper) probe(ctx context.Context) {
	if time.Since(k.lastMiss) > missMemory {
		k.misses = 0
	}
	k.misses++
	k.lastMiss = time.Now()
	k.probing = true
	k.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, pongTimeout)
		defer cancel()
		_, err := k.sess.ping(ctx)
		k.pong <- err
	})
}

// missMemory is how long a missed deadline counts against the host.
const missMemory = 10 * time.Second

// holdOff is how long no call is sent to a host that is alive but has missed
// so many deadlines in a row: none after the first, then 250 ms, doubled to 4 s.
func holdOff(misses int) time.Duration {
	if misses < 2 {
		return 0
	}
	return min(250*time.Millisecond<<min(misses-2, 10), 4*time.Second)
}

func (k *keeper) deploy(ctx context.Context, m *offload.Module) {
	k.deploying = true
	k.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, deployTimeout)
		defer cancel()
		uploaded, err := k.sess.deploy(ctx, m)
		k.deployed <- deployment{m, uploaded, err}
	})
}

// finish takes note of a deployment. One that failed for the connection's sake
// ends the session: the next one tries again.
func (k *keeper) finish(d deployment) error {
	k.deploying = false
	log := k.edge.log.With("host", k.sess.host, "module", d.mod.Digest.String()[:12])
	var refusal *wire.Fail
	switch {
	case d.err == nil:
		k.modules[d.mod.Digest] = nil
		log.Info("module is on the edge host", "uploaded", d.uploaded)
	case errors.As(d.err, &refusal), errors.Is(d.err, offload.ErrModule):
		k.modules[d.mod.Digest] = fmt.Errorf("%w: %w", errRefused, d.err)
		log.Warn("edge host refused a module", "why", d.err)
	default:
		return fmt.Errorf("deploy module %s: %w", d.mod.Digest.String()[:12], d.err)
	}
	var why error
	if k.probing {
		why = errSilent
	}
	k.edge.publish(k.sess, why, maps.Clone(k.modules))
	return nil
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
