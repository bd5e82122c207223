package ue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// drainTimeout bounds how long a host that said go away is still used.
const drainTimeout = 10 * time.Second

// A target is an edge host at an address. Calls run on it, and far endpoints of channels
// move to it. Its run goroutine owns the session with the host and
// publishes a view of it; calls only look at the view and report failures. A handler
// has one target an address.
type target struct {
	// Constant.
	h    *Handler
	addr string
	dialer

	begun bool // run is running, or has been; guarded by the handler's mu

	// Any goroutine.
	host    atomic.Pointer[string] // the host's name, as it told last; nil: never
	view    atomic.Pointer[view]
	wake    chan struct{}  // cap 1: a note that reports below have changed
	moved   chan struct{}  // cap 1: a note that the path has changed, for a session over TCP
	left    chan struct{}  // closed when the target is used no more; nil: it is as long as the handler
	felt    *felt          // how calls are; nil: nobody asks
	notify  func()         // called when the view has changed, and does not wait; nil: nobody asks
	retired sync.WaitGroup // retire

	mu      sync.Mutex
	wanted  modules
	late    *session      // missed a deadline since run last looked
	lacking *session      // lacks a module
	doubted *session      // was left by a channel
	changed chan struct{} // closed when view changes
}

// modules are modules by their digest.
type modules map[offload.Digest]*offload.Module

// A view is what calls need to know of the edge host. It is immutable.
type view struct {
	sess    *session
	why     error                    // why no call is sent; nil: calls are sent
	modules map[offload.Digest]error // nil for a deployed one, the reason for a refused one
}

func newTarget(h *Handler, addr string) *target {
	t := &target{
		h: h, addr: addr, dialer: h.dialer,
		wake:    make(chan struct{}, 1),
		moved:   make(chan struct{}, 1),
		wanted:  modules{},
		changed: make(chan struct{}),
	}
	t.view.Store(&view{why: errConnecting})
	return t
}

// Target returns the edge host at addr, written as Config.Edge is, as a place for the far
// endpoints of channels; the empty addr is Config.Edge. Targets of one address are
// equal and share one session. The session begins with the first use of the target. The
// handler keeps it until Close, and begins another one when it is lost.
func (h *Handler) Target(addr string) elastic.Target { return h.targetAt(cmp.Or(addr, h.addr)) }

// targetAt returns the target at addr, which may have to be begun.
func (h *Handler) targetAt(addr string) *target {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.targets[addr]
	if t == nil {
		t = newTarget(h, addr)
		h.targets[addr] = t
	}
	return t
}

// begin starts the run goroutine of t, unless it was started before.
func (t *target) begin() error {
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	switch {
	case t.begun:
		return nil
	case t.addr == "":
		return errNoEdge
	case t.h.ended:
		return errEnded
	case t.conf == nil:
		return errors.New("Config.TLS of the UE offload handler is not set; LoadTLS makes one")
	}
	if _, err := parseHost(t.addr); err != nil {
		return err
	}
	t.begun = true
	t.h.run(t)
	return nil
}

// Name returns the edge host's name, or its address before the host has told its name.
func (t *target) Name() string {
	if name := t.host.Load(); name != nil {
		return *name
	}
	return cmp.Or(t.addr, "no edge host")
}

// Prepare implements elastic.Target.
func (t *target) Prepare(ctx context.Context, f *offload.Desc) (elastic.Host, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	t.want(f.Module)
	for {
		s, err := t.await(ctx, f.Module)
		if err != nil {
			return nil, err
		}
		if s.enter() { // else it is being left, and out of view
			return &readyHost{t: t, s: s}, nil
		}
	}
}

// A readyHost is an edge host that serves far endpoints over one session. The session
// leaves the host only after Release.
type readyHost struct {
	t    *target
	s    *session
	once sync.Once
}

// Open implements elastic.Host.
func (h *readyHost) Open(ctx context.Context, p elastic.Priority) (elastic.Stream, error) {
	st, err := h.s.next().conn.Open(ctx)
	if err != nil {
		return nil, link.Explain(err)
	}
	st.SetPriority(link.Urgency(int8(p)), true)
	return st, nil
}

// Lacks reports that the host has let go of a module that it had: it made room, or its policy changed.
func (h *readyHost) Lacks() { h.t.failed(h.s, &wire.Fail{Code: offload.CodeNoModule}) }

// Felt counts a message as a call: it is how the host is to the UE.
func (h *readyHost) Felt(took time.Duration, missed bool) { h.t.felt.add(took, missed) }

// Stripes implements elastic.Host.
func (h *readyHost) Stripes() int { return len(*h.s.strands.Load()) }

// Watch implements elastic.Host.
func (h *readyHost) Watch(changed func()) (stop func()) { return h.s.watch(changed) }

// Release implements elastic.Host.
func (h *readyHost) Release() {
	h.once.Do(func() {
		h.s.exit()
		h.t.doubt(h.s)
	})
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
func (t *target) want(m *offload.Module) {
	t.mu.Lock()
	t.wanted[m.Digest] = m
	t.mu.Unlock()
	t.nudge()
}

// failed reports a call on s that gave no reply.
func (t *target) failed(s *session, err error) {
	var f *wire.Fail
	switch {
	case errors.As(err, &f):
		if f.Code != offload.CodeNoModule {
			return // the host answers
		}
		t.mu.Lock()
		t.lacking = s
		t.mu.Unlock()
	case errors.Is(err, offload.ErrDeadline):
		t.mu.Lock()
		t.late = s
		t.mu.Unlock()
		t.publish(s, errSilent, nil) // at once: the next call must not wait, too
	default:
		return
	}
	t.nudge()
}

// doubt reports that a channel has left s. The reason may be a host that no longer
// answers, which nobody else would notice soon: so the host is pinged.
func (t *target) doubt(s *session) {
	t.mu.Lock()
	t.doubted = s
	t.mu.Unlock()
	t.nudge()
}

// A report is what calls and channels have reported of a session.
type report struct {
	late, lacking, doubted bool
	wanted                 modules
}

// reports returns what was reported of s since it was last asked, and the modules
// that calls and channels want.
func (t *target) reports(s *session) report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := report{t.late == s, t.lacking == s, t.doubted == s, maps.Clone(t.wanted)}
	t.late, t.lacking, t.doubted = nil, nil, nil
	return r
}

// wants returns the modules that calls want.
func (t *target) wants() modules {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.wanted)
}

func (t *target) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// publish changes the view of s, if s is the session in view, and wakes waiters.
// Nil modules keep those in view.
func (t *target) publish(s *session, why error, modules map[offload.Digest]error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.view.Load()
	if old.sess != s {
		return
	}
	if modules == nil {
		modules = old.modules
	}
	t.setLocked(&view{sess: s, why: why, modules: modules})
}

// show puts s in view in place of the session before. Nil is none.
func (t *target) show(s *session, why error, modules map[offload.Digest]error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late, t.lacking, t.doubted = nil, nil, nil
	t.setLocked(&view{sess: s, why: why, modules: modules})
}

func (t *target) setLocked(v *view) {
	t.view.Store(v)
	close(t.changed)
	t.changed = make(chan struct{})
	if t.notify != nil {
		t.notify()
	}
}

// await waits until calls of m can be sent, and returns the session to send them
// on. It says why not when the host has refused m, or ctx ends; the address is not in it.
func (t *target) await(ctx context.Context, m *offload.Module) (*session, error) {
	for {
		t.mu.Lock()
		v, changed := t.view.Load(), t.changed
		t.mu.Unlock()
		why := v.serves(m)
		if why == nil {
			return v.sess, nil
		}
		if errors.Is(why, errRefused) || errors.Is(why, errEnded) {
			return nil, why
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", why, context.Cause(ctx))
		}
	}
}

// run keeps a session until ctx ends:
//
//	connecting --hello--> keep --lost, silent, told to go--> backing off --> connecting
func (t *target) run(ctx context.Context) {
	defer t.retired.Wait()
	for failures := 0; ; {
		err := t.attempt(ctx, func() { failures = 0 })
		if ctx.Err() != nil || isDone(t.left) {
			t.show(nil, errEnded, nil)
			return
		}
		t.show(nil, unavailable(err), nil)
		if failures == 0 {
			t.log.Warn("edge host is not there", "addr", t.addr, "why", err)
		}
		select {
		case <-time.After(backoff(failures)):
		case <-t.left:
		case <-ctx.Done():
		}
		failures++
	}
}

// remind warns, once a day, of the end of the UE's certificate.
func (t *target) remind() {
	t.h.reminding.Lock()
	err := t.h.reminder.Due(t.conf, time.Now())
	t.h.reminding.Unlock()
	if err != nil {
		t.log.Warn("certificate", "why", err)
	}
}

// backoff is the wait before the next attempt: 100 ms, doubled to 2 s.
func backoff(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures, 10), longest)
}

// longest is the most that backoff returns.
const longest = 2 * time.Second

// attempt connects, and keeps the session, and those that replace it, until it must end.
// It says why.
func (t *target) attempt(ctx context.Context, connected func()) error {
	t.remind()
	s, err := t.open(ctx, t.addr, t.wants())
	if err != nil {
		return err
	}
	connected()
	var before *session
	for {
		next, err := t.keep(ctx, s, before)
		if next == nil {
			return err
		}
		before, s = s, next
	}
}

// keep keeps s until it must end, and says why, or until next can take its place. It retires
// the session whose place s takes, if there is one.
func (t *target) keep(ctx context.Context, s, before *session) (next *session, err error) {
	name := s.host
	t.host.Store(&name)
	t.log.Info("edge host is connected", "host", s.host, "addr", s.addr.String(), "over", s.transport.String())
	t.show(s, nil, s.had)
	if before != nil { // out of view
		t.retired.Go(func() { t.retire(ctx, before) })
	}
	k := newKeeper(t, s)
	lasting, end := context.WithCancel(ctx)
	defer k.wg.Wait()
	defer end()
	if next, err = k.keep(lasting); next != nil {
		return next, nil
	}
	t.show(nil, unavailable(err), nil)
	if errors.Is(err, errLeave) { // what is in flight ends on the host, which waits for us to go
		select {
		case <-s.quit():
		case <-s.lost:
		case <-time.After(drainTimeout):
		case <-ctx.Done():
		}
	}
	s.close()
	return nil, err
}
