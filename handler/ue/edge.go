package ue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Why the edge host is not used, as the cause of fallbacks.
var (
	errNoEdge     = errors.New("no edge host is configured")
	errEnded      = errors.New("the UE offload handler has ended")
	errConnecting = errors.New("the edge host is not connected yet")
	errDeploying  = errors.New("the module is not on the edge host yet")
	errSilent     = errors.New("the edge host missed a deadline and is being probed")
	errRefused    = errors.New("the edge host refused the module")
)

// drainTimeout bounds how long a host that said go away is still used.
const drainTimeout = 10 * time.Second

// edge keeps a session with one edge host. Its run goroutine owns the session
// and publishes a view of it; calls only look at the view and report failures.
type edge struct {
	// Constant.
	addr string
	dialer

	begun bool // run is running, or has been; guarded by the handler's mu

	// Any goroutine.
	host atomic.Pointer[string] // the host's name, as it told last; nil: never
	view atomic.Pointer[view]
	wake chan struct{} // cap 1: a note that reports below have changed

	mu      sync.Mutex
	wanted  modules
	late    *session      // missed a deadline since run last looked
	lacking *session      // said that it has not got a module
	doubted *session      // was left by a channel
	changed chan struct{} // closed when view changes
}

// modules are modules by their digest.
type modules map[offload.Digest]*offload.Module

// A view is what calls need to know of the edge host. It is immutable.
type view struct {
	sess    *session
	why     error                    // why no call is sent; nil: calls are sent
	modules map[offload.Digest]error // deployed: nil; refused: why
}

func newEdge(addr string, d dialer) *edge {
	e := &edge{
		addr: addr, dialer: d,
		wake:    make(chan struct{}, 1),
		wanted:  modules{},
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

// doubt reports that a channel has left s. It may have done so for want of answers,
// and then nobody else would find out soon that the host is lost.
func (e *edge) doubt(s *session) {
	e.mu.Lock()
	e.doubted = s
	e.mu.Unlock()
	e.nudge()
}

// A report is what calls and channels have reported of a session.
type report struct {
	late, lacking, doubted bool
	wanted                 modules
}

// reports returns what was reported of s since it was last asked, and the modules
// that calls and channels want.
func (e *edge) reports(s *session) report {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := report{e.late == s, e.lacking == s, e.doubted == s, maps.Clone(e.wanted)}
	e.late, e.lacking, e.doubted = nil, nil, nil
	return r
}

// wants returns the modules that calls want.
func (e *edge) wants() modules {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.wanted)
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
func (e *edge) begin(s *session, why error, modules map[offload.Digest]error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.late, e.lacking, e.doubted = nil, nil, nil
	e.setLocked(&view{sess: s, why: why, modules: modules})
}

func (e *edge) setLocked(v *view) {
	e.view.Store(v)
	close(e.changed)
	e.changed = make(chan struct{})
}

// await waits until calls of m can be sent, and returns the session to send them
// on. It says why not when the host has refused m, or ctx ends.
func (e *edge) await(ctx context.Context, m *offload.Module) (*session, error) {
	for {
		e.mu.Lock()
		v, changed := e.view.Load(), e.changed
		e.mu.Unlock()
		why := v.serves(m)
		if why == nil {
			return v.sess, nil
		}
		if errors.Is(why, errRefused) || errors.Is(why, errEnded) {
			return nil, fmt.Errorf("edge host %s: %w", e.addr, why)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("edge host %s: %w (%w)", e.addr, why, context.Cause(ctx))
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
			e.begin(nil, errEnded, nil)
			return
		}
		e.begin(nil, err, nil)
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
	s, err := e.open(ctx, e.addr, e.wants())
	if err != nil {
		return err
	}
	connected()
	name := s.host
	e.host.Store(&name)
	e.log.Info("edge host is connected", "host", s.host, "addr", e.addr)
	e.begin(s, nil, s.had)
	k := newKeeper(e, s)
	lasting, end := context.WithCancel(ctx)
	err = k.keep(lasting)
	e.begin(nil, err, nil)
	if errors.Is(err, errLeave) { // what is in flight ends on the host, which waits for us to go
		select {
		case <-s.quit():
		case <-s.lost:
		case <-time.After(drainTimeout):
		case <-ctx.Done():
		}
	}
	s.close()
	end()
	k.wg.Wait()
	return err
}
