package ue

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A manager is the UE's end of what it has with an offload manager: Control 1 of paper 000. Its run goroutine owns the
// conversation and the placements; what it decides, calls see in the placements' hostSets.
type manager struct {
	// Constant.
	h        *Handler
	discover Discoverer
	dial     dialer

	at    atomic.Pointer[string] // where the manager is that is connected; nil: none is
	wake  chan struct{}          // cap 1: a note that something below, or a host, has changed
	moved chan struct{}          // cap 1: a note that the path has changed

	mu         sync.Mutex // leaf
	placements map[offload.Digest]*placement
	need       Need
	needs      int // number of the need, from 1

	// Owned by run.
	talk     *talk      // nil: there is none
	dialling chan *talk // gets it; nil: nobody dials
	failures int        // to get one, in a row
	redials  time.Time  // when to try the next
	feels    time.Time  // when to tell how calls are
	measured chan measurement
	wg       sync.WaitGroup // dialling, listening, measuring
}

// A talk is a conversation, and the connection that it is on.
type talk struct {
	s     *session
	st    link.Stream
	c     *control.Conversation
	heard chan wire.ManagerFrame // closed at the end
	begun time.Time
	err   error // why it ended, set before; or why there is none
}

// A measurement is how far the candidates for a module are.
type measurement struct {
	p     *placement
	round uint32
	links []wire.LinkFeel
}

// byeTimeout is how long Close waits for the manager to take what it was told last.
const byeTimeout = 250 * time.Millisecond

func newManager(h *Handler, d Discoverer, need Need) *manager {
	need.Labels = slices.Clone(need.Labels)
	m := &manager{
		h: h, discover: d, dial: h.dialer, need: need, needs: 1,
		wake: make(chan struct{}, 1), moved: make(chan struct{}, 1),
		placements: map[offload.Digest]*placement{}, measured: make(chan measurement),
	}
	m.dial.bare, m.dial.conf, m.dial.tcpPort = true, identity.ForManager(h.dialer.conf), 0
	return m
}

// placementOf returns where the module of d runs. Asked says that the manager is asked for a host, whatever the policy expects.
func (m *manager) placementOf(d *offload.Desc, asked bool) *placement {
	m.mu.Lock()
	p := m.placements[d.Module.Digest]
	if p == nil {
		p = newPlacement(d.Module, m.nudge)
		m.placements[d.Module.Digest] = p
	}
	if _, there := p.required[d]; !there {
		p.required[d] = policy.Requirements{Latency: d.Deadline}
	}
	if asked {
		p.wantedAt, p.unwanted = time.Now(), false
	}
	m.mu.Unlock()
	m.nudge()
	return p
}

// require changes what is required of the calls of d.
func (m *manager) require(d *offload.Desc, r policy.Requirements) {
	if d.Redundancy > 1 {
		return // it has no host by a manager
	}
	p := m.placementOf(d, false)
	m.mu.Lock()
	p.required[d] = r
	m.mu.Unlock()
	m.nudge()
}

// followed counts the channels that are where p is: they need a host, whatever functions do.
func (m *manager) followed(p *placement, more int) {
	m.mu.Lock()
	p.followers += more
	m.mu.Unlock()
}

// giveBackAfter is how long a host is kept that no function of the module is expected to need. To get one anew takes the manager and the
// host some 100 ms, and a module that is compiled.
const giveBackAfter = time.Minute

// expects takes note of whether calls of a module are expected to go to a host. One that is not needed any more is given back after a while.
func (m *manager) expects(now time.Time, wanted map[*offload.Module]bool) {
	m.mu.Lock()
	changed := false
	for module, w := range wanted {
		p := m.placements[module.Digest]
		if p == nil {
			continue
		}
		if w || p.followers > 0 {
			p.wantedAt = now
		}
		unwanted := now.Sub(p.wantedAt) >= giveBackAfter
		changed = changed || p.unwanted != unwanted
		p.unwanted = unwanted
	}
	m.mu.Unlock()
	if changed {
		m.nudge()
	}
}

// want returns where calls of d run.
func (m *manager) want(d *offload.Desc) *atomic.Pointer[hostSet] {
	switch d.Redundancy {
	case 0, 1:
		return &m.placementOf(d, false).where
	case placedOn:
		return &m.placementOf(d, false).pair
	}
	w := &atomic.Pointer[hostSet]{}
	w.Store(&hostSet{none: errRedundant})
	return w
}

// placedOn is how many edge hosts a Place names: the primary and the standby.
const placedOn = 2

var errRedundant = &reason{offload.CodeUnavailable, "an offload manager places a module on two edge hosts, and the function is marked for more"}

func (m *manager) nudge() { note(m.wake) }

// redial has the manager reached over the path that there is now.
func (m *manager) redial() { note(m.moved) }

func note(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is noted
	}
}

// all returns the placements, in an order that does not change, and what is asked for.
func (m *manager) all() ([]*placement, Need, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.SortedFunc(maps.Values(m.placements), func(a, b *placement) int { return cmp.Compare(a.session, b.session) })
	return all, m.need, m.needs
}

// run keeps a conversation, and does what the manager says, until ctx ends.
func (m *manager) run(ctx context.Context) {
	for {
		m.look(ctx, time.Now())
		var heard <-chan wire.ManagerFrame
		if m.talk != nil {
			heard = m.talk.heard
		}
		timer := time.NewTimer(m.rest(time.Now()))
		// The handler ends; the path has changed; modules, needs or hosts have; a manager is reached, or not; it says something;
		// candidates are measured; it is time to do something.
		select {
		case <-ctx.Done():
			timer.Stop()
			m.leave()
			return
		case <-m.moved:
			m.hangUp()
		case <-m.wake:
		case t := <-m.dialling:
			m.answered(t)
		case f, ok := <-heard:
			if ok {
				m.hear(ctx, time.Now(), f)
			} else {
				m.lost(m.talk.err)
			}
		case r := <-m.measured:
			m.tellMeasured(r)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// look does what is due.
func (m *manager) look(ctx context.Context, now time.Time) {
	if m.talk == nil && m.dialling == nil && !now.Before(m.redials) {
		m.reach(ctx)
	}
	all, need, number := m.all()
	feel := m.talk != nil && !now.Before(m.feels)
	if feel {
		m.feels = now.Add(feelEvery)
	}
	for _, p := range all {
		if p.settle(now, m.h) {
			p.publish()
		}
		m.ask(now, p, need, number)
		if feel && p.primary != nil {
			m.say(p.feel())
		}
	}
}

// ask asks for p if nothing was asked, or something else, or it is time to ask again.
func (m *manager) ask(now time.Time, p *placement, need Need, number int) {
	m.mu.Lock()
	want, unwanted := p.wantLocked(number), p.unwanted
	m.mu.Unlock()
	if unwanted {
		m.giveBack(now, p)
		return
	}
	waits := !p.retry.IsZero()
	switch {
	case m.talk == nil, p.asked == want && !waits, waits && now.Before(p.retry) && p.asked.need == want.need:
		return
	}
	p.asked, p.retry = want, time.Time{}
	m.say(need.ask(p.session, p.module.Digest, want, p.names()))
}

// giveBack ends the session of p, if there is one: no function of the module needs a host.
func (m *manager) giveBack(now time.Time, p *placement) {
	if p.asked.need == 0 || m.talk == nil {
		return
	}
	if p.measure != nil {
		p.measure()
	}
	m.say(wire.Bye{Session: p.session})
	p.place(now, m.h, wire.Place{Number: p.number + 1})
	p.asked, p.number, p.retry, p.why = asked{}, 0, time.Time{}, errUnneeded
	p.publish()
	m.h.log.Info("an edge host is given back: the policy does not need it", "module", p.module.Digest.String()[:12])
}

// rest returns how long nothing is due.
func (m *manager) rest(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	if m.talk == nil && m.dialling == nil {
		earlier(m.redials)
	}
	all, _, _ := m.all()
	for _, p := range all {
		if m.talk != nil {
			earlier(p.retry)
		}
		if m.talk != nil && p.primary != nil {
			earlier(m.feels)
		}
		if len(p.before) > 0 {
			earlier(p.until)
		}
	}
	return next.Sub(now)
}

// reach dials a manager.
func (m *manager) reach(ctx context.Context) {
	result := make(chan *talk, 1)
	m.dialling = result
	n := m.failures
	m.wg.Go(func() { result <- m.dialOne(ctx, n) })
}

// dialOne returns a conversation, or why there is none.
func (m *manager) dialOne(ctx context.Context, n int) *talk {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	addr, err := find(ctx, m.discover, n)
	if err != nil {
		return &talk{err: err}
	}
	s, err := m.dial.find(ctx, addr, nil)
	if err != nil {
		return &talk{err: err}
	}
	st, err := s.open(ctx)
	if err != nil {
		s.close()
		return &talk{err: err}
	}
	return &talk{s: s, st: st, c: control.Converse(st, control.ManagerToUE), heard: make(chan wire.ManagerFrame)}
}

// answered begins the conversation: everything is said again.
func (m *manager) answered(t *talk) {
	m.dialling = nil
	if t.err != nil {
		m.lost(t.err)
		return
	}
	m.talk, t.begun = t, time.Now()
	addr := t.s.addr.String()
	m.at.Store(&addr)
	m.h.log.Info("offload manager is connected", "addr", addr, "over", t.s.transport.String())
	all, _, _ := m.all()
	for _, p := range all {
		p.asked.latency, p.number = -1, 0
	}
	m.wg.Go(t.listen)
}

// listen hears what the manager says, until the connection ends.
func (t *talk) listen() {
	defer close(t.heard)
	done := (*t.s.strands.Load())[0].conn.Done()
	for {
		f, err := t.c.Next()
		if err != nil {
			t.err = err
			return
		}
		select {
		case t.heard <- f:
		case <-done:
			t.err = link.Explain(t.s.next().conn.Err())
			return
		}
	}
}

// lost takes note that there is no conversation. Hosts stay as they are.
func (m *manager) lost(why error) {
	if m.talk != nil && time.Since(m.talk.begun) > longest { // one that takes the connection and ends it is no better than none
		m.failures = 0
	}
	if m.failures == 0 {
		m.h.log.Warn("offload manager is not there: edge hosts stay as they are", "why", why)
	}
	m.end()
	wait := backoff(m.failures)
	m.redials = time.Now().Add(wait/2 + rand.N(wait)) // UEs that lost it together come back apart
	m.failures++
}

// hangUp ends the conversation, to begin another one at once.
func (m *manager) hangUp() {
	m.end()
	m.redials = time.Time{}
}

// end ends the conversation and its connection.
func (m *manager) end() {
	t := m.talk
	m.talk = nil
	m.at.Store(nil)
	if t == nil {
		return
	}
	t.s.close()
	for range t.heard {
	}
}

// say tells the manager something. If it does not take it, the conversation ends.
func (m *manager) say(f wire.ManagerFrame) {
	if m.talk == nil {
		return
	}
	if err := m.talk.c.Send(f); err != nil {
		m.lost(link.Explain(err))
	}
}

// leave ends everything: the manager is told that the sessions end.
func (m *manager) leave() {
	defer m.wg.Wait()
	all, _, _ := m.all()
	for _, p := range all {
		if p.measure != nil {
			p.measure()
		}
		if p.asked.need > 0 {
			m.say(wire.Bye{Session: p.session})
		}
	}
	if m.dialling != nil {
		if t := <-m.dialling; t.err == nil { // its context has ended
			t.s.close()
		}
	}
	if t := m.talk; t != nil {
		t.st.Close()
		timer := time.NewTimer(byeTimeout)
		defer timer.Stop()
		for waits := true; waits; {
			select {
			case _, waits = <-t.heard: // closed when the manager has read to the end
			case <-timer.C:
				waits = false
			}
		}
	}
	m.end()
}

// hear does what the manager says.
func (m *manager) hear(ctx context.Context, now time.Time, f wire.ManagerFrame) {
	all, _, _ := m.all()
	of := func(session uint64) *placement { // one that was given back is of no session
		if i := slices.IndexFunc(all, func(p *placement) bool { return p.session == session && p.asked.need > 0 }); i >= 0 {
			return all[i]
		}
		return nil
	}
	switch f := f.(type) {
	case wire.Candidates:
		if p := of(f.Session); p != nil {
			m.measure(ctx, p, f)
		}
	case wire.Place:
		if p := of(f.Session); p != nil && f.Number > p.number {
			p.place(now, m.h, f)
			m.h.log.Info("placed by the offload manager", "module", p.module.Digest.String()[:12], "hosts", p.names(), "why", f.Why, "retry", f.RetryAfter)
		}
	}
}

// measure has the candidates measured, in place of those before.
func (m *manager) measure(ctx context.Context, p *placement, f wire.Candidates) {
	if p.measure != nil {
		p.measure()
	}
	ctx, p.measure = context.WithCancel(ctx)
	p.round = f.Round
	using := map[string]*target{}
	for _, s := range p.sites() {
		using[s.host] = s.t
	}
	m.wg.Go(func() {
		links := m.h.measure(ctx, f.Hosts, f.Theta, using)
		select {
		case m.measured <- measurement{p, f.Round, links}:
		case <-ctx.Done():
		}
	})
}

// tellMeasured answers Candidates.
func (m *manager) tellMeasured(r measurement) {
	if r.round != r.p.round {
		return // others were named meanwhile
	}
	r.p.tellNear(r.links)
	f := r.p.feel()
	f.Links = r.links
	m.say(f)
}

// await waits until a host serves f.
func (m *manager) await(ctx context.Context, f *offload.Desc) error {
	if f.Redundancy > placedOn {
		return errRedundant
	}
	return m.placementOf(f, true).await(ctx, m.want(f))
}
