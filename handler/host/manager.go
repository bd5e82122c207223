package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// How a host looks for its manager.
const (
	dialFor    = 5 * time.Second // dial and first word
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// How often beats go where the manager does not say, and between which bounds it may.
const (
	defaultBeat = time.Second
	fastestBeat = 100 * time.Millisecond
	slowestBeat = time.Minute
)

// maxLoads bounds the modules that are being loaded at once for leases.
const maxLoads = 64

// A steward keeps the conversation with a manager. One goroutine, run, owns it.
//
//	looking --a manager adopts it--> adopted --connection lost, Fail, another is obeyed--> looking
type steward struct {
	*managed
	epoch   uint64        // the highest that was obeyed
	of      wire.Run      // the manager's, of that epoch
	beats   uint64        // that have gone
	loading chan struct{} // one for each module that is being loaded
	probing chan struct{} // one while a module is being probed
	tried   int           // ports, to find free ones
}

// run looks for a manager and obeys it, until the handler ends or drains.
func (m *managed) run() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := &steward{managed: m, loading: make(chan struct{}, maxLoads), probing: make(chan struct{}, 1)}
	var sweeps sync.WaitGroup
	defer sweeps.Wait()
	defer stop()
	sweeps.Go(func() { m.sweepEach(ctx) })
	sweeps.Go(func() {
		select {
		case <-m.h.ended: // a host that ends is no longer one that its manager can place UEs on
			stop()
		case <-ctx.Done():
		}
	})
	pause := firstPause
	for next := 0; ctx.Err() == nil; next++ {
		addr := m.cfg.Addresses[next/2%len(m.cfg.Addresses)]
		adopted, err := s.serve(ctx, addr, link.Transport(next%2))
		if ctx.Err() != nil {
			return
		}
		m.h.cfg.Logger.Warn("no manager", "addr", addr, "why", err)
		if adopted {
			pause, next = firstPause, next-1 // this one first
		}
		wait(ctx, pause/2+rand.N(pause/2))
		pause = min(2*pause, lastPause)
	}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// sweepEach ends leases each second, whether there is a manager or not.
func (m *managed) sweepEach(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.sweep()
			m.closeDoors()
		case <-ctx.Done():
			return
		}
	}
}

// serve converses with the manager at addr until one of the two ends it. adopted says whether it has come to that
// the manager was obeyed.
func (s *steward) serve(ctx context.Context, addr string, over link.Transport) (adopted bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := s.dial(ctx, addr, over)
	if err != nil {
		return false, err
	}
	defer conn.Close("")
	st, err := conn.Open(ctx)
	if err != nil {
		return false, err
	}
	c := control.Converse(st, control.ManagerToHost)
	var begun sync.WaitGroup // reader and loads
	defer begun.Wait()
	defer conn.Close("")
	defer cancel()
	frames := make(chan heard)
	begun.Go(func() { listen(ctx, c, frames) })
	if err := errors.Join(c.Send(s.register()), c.Send(s.holding())); err != nil {
		return false, err
	}
	late := time.NewTimer(dialFor)
	defer late.Stop()
	beat := time.NewTicker(defaultBeat)
	defer beat.Stop()
	// The manager says something, or the conversation has ended; a beat is due; it has not adopted the host in
	// time; the handler ends.
	for {
		select {
		case f := <-frames:
			if f.err != nil {
				return adopted, f.err
			}
			switch f := f.frame.(type) {
			case wire.Adopted:
				if err := s.adopt(f); err != nil {
					fail := c.Refuse(err)
					await(conn, time.Second) // the end of the connection would overtake the Fail
					return adopted, fail
				}
				adopted = true
				late.Stop()
				beat.Reset(min(max(f.Beat, fastestBeat), slowestBeat))
				if f.Beat == 0 {
					beat.Reset(defaultBeat)
				}
				s.h.cfg.Logger.Info("manager is obeyed", "addr", addr, "id", conn.Peer().String(), "epoch", f.Epoch)
			case wire.Order:
				s.take(ctx, c, f, &begun)
			}
		case <-beat.C:
			if adopted {
				err = c.Send(s.beat())
			}
			if err != nil {
				return adopted, err
			}
		case <-late.C:
			return adopted, fmt.Errorf("the manager has not adopted the host within %v", dialFor)
		case <-ctx.Done():
			return adopted, context.Cause(ctx)
		}
	}
}

// await waits for the end of conn, for at most d.
func await(conn *link.Conn, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-conn.Done():
	case <-t.C:
	}
}

// heard is what Next returned.
type heard struct {
	frame wire.ManagerFrame
	err   error
}

// listen hands on what c hears, until it has ended.
func listen(ctx context.Context, c *control.Conversation, to chan<- heard) {
	for {
		f, err := c.Next()
		select {
		case to <- heard{f, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// dial connects to a manager.
func (s *steward) dial(ctx context.Context, addr string, over link.Transport) (*link.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialFor)
	defer cancel()
	conf := identity.ForManager(s.h.cfg.TLS)
	if over == link.TCP {
		c, err := s.cfg.Dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		return link.DialTCP(ctx, c, c.RemoteAddr(), conf)
	}
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	pc, err := s.cfg.Listen()
	if err != nil {
		return nil, err
	}
	return link.Dial(ctx, pc, to, conf)
}

// register returns what the host is.
func (m *managed) register() wire.Register {
	return wire.Register{
		Addresses: m.cfg.Advertise, Turns: m.h.cfg.Calls, Memory: m.h.cfg.InstanceMemory,
		Accelerators: m.cfg.Accelerators, Labels: m.cfg.Labels, Price: m.cfg.Price, Version: m.cfg.Version,
	}
}

// holding returns the leases that the host has.
func (m *managed) holding() (f wire.Holding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.leases.list() {
		f.Leases, f.Addresses = append(f.Leases, g.token), append(f.Addresses, m.addressesLocked(g))
	}
	return f
}

// beat returns what the host does.
func (s *steward) beat() wire.Beat {
	now := time.Now()
	s.beats++
	b := wire.Beat{Number: s.beats, Turns: s.h.turns.InUse(), Held: s.h.memory.Stats().Held}
	b.Modules = s.loads.beats(now, s.h.deployed.states(), s.h.cfg.Modules)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.leases.list() {
		b.Sessions = append(b.Sessions, g.beat(now))
	}
	return b
}

// adopt obeys a manager: the highest epoch that has been seen, and of equal ones the first. Its error is why it does not.
func (s *steward) adopt(a wire.Adopted) error {
	if a.Epoch < s.epoch || a.Epoch == s.epoch && s.of != (wire.Run{}) && a.Run != s.of {
		return &wire.Fail{Code: offload.CodeDenied, Text: fmt.Sprintf("the host obeys another manager, of epoch %d, and this one is of epoch %d", s.epoch, a.Epoch)}
	}
	s.epoch, s.of = a.Epoch, a.Run
	revoked := make(map[string]struct{}, len(a.Revoked))
	for _, who := range a.Revoked {
		revoked[who] = struct{}{}
	}
	s.mu.Lock()
	s.verifier = lease.NewVerifier(s.id.Authority, s.id.String(), a.Keys, a.Runs)
	s.clock = clock{theirs: time.UnixMilli(a.Now), ours: time.Now()}
	s.revoked = revoked
	s.mu.Unlock()
	s.endRevoked()
	return nil
}

// take carries out an order and answers it. Orders take effect one after another; modules are loaded and probed beside
// the conversation.
func (s *steward) take(ctx context.Context, c *control.Conversation, o wire.Order, begun *sync.WaitGroup) {
	answer := func(did wire.Did, err error) {
		did.Number = o.Number
		if err != nil {
			fail := explain(err)
			did.Failed, did.Code, did.Why = true, fail.Code, fail.Text[:min(len(fail.Text), wire.MaxWhy)]
		}
		if err := c.Send(did); err != nil {
			s.h.cfg.Logger.Debug("an order is not answered", "number", o.Number, "why", err)
		}
	}
	if o.Epoch != s.epoch {
		answer(wire.Did{}, &wire.Fail{Code: offload.CodeDenied, Text: fmt.Sprintf("order of epoch %d, and the host obeys epoch %d", o.Epoch, s.epoch)})
		return
	}
	switch o.Kind {
	case wire.OrderPrepare:
		s.takePrepare(ctx, o, answer, begun)
	case wire.OrderProbe:
		s.takeProbe(ctx, o, answer, begun)
	default:
		answer(s.carryOut(o))
	}
}

// takeProbe probes a module beside the conversation. While another one is being probed it answers with the last calls.
func (s *steward) takeProbe(ctx context.Context, o wire.Order, answer func(wire.Did, error), begun *sync.WaitGroup) {
	select {
	case s.probing <- struct{}{}:
		begun.Go(func() {
			did, err := s.probe(ctx, o.Module, o.N, o.Who)
			<-s.probing // the manager may ask again as soon as it has the answer
			answer(did, err)
		})
	default:
		samples, err := s.lastCalls(o.Module, o.N, errBusy)
		answer(wire.Did{Samples: samples, RetryAfter: probeTime}, err)
	}
}

// takePrepare holds a lease and loads its module beside the conversation.
func (s *steward) takePrepare(ctx context.Context, o wire.Order, answer func(wire.Did, error), begun *sync.WaitGroup) {
	g, err := s.prepare(o.Lease)
	if err != nil {
		answer(wire.Did{}, err)
		return
	}
	select {
	case s.loading <- struct{}{}:
		begun.Go(func() {
			defer func() { <-s.loading }()
			answer(s.load(ctx, g))
		})
	default:
		s.loaded(g)
		answer(wire.Did{}, &wire.Fail{Code: offload.CodeOverloaded, Text: fmt.Sprintf("%d modules are being loaded", maxLoads)})
	}
}

// carryOut does what o says. To do it twice changes nothing.
func (m *managed) carryOut(o wire.Order) (did wire.Did, err error) {
	switch o.Kind {
	case wire.OrderLimit:
		m.mu.Lock()
		found := m.leases.limit(time.Now(), o.ID, lease.Limits(o.Limits))
		m.mu.Unlock()
		if !found {
			err = notAccepted(errLeaseEnded)
		}
	case wire.OrderStop: // one that is not there has ended
		m.mu.Lock()
		m.leases.stop(time.Now(), o.ID, o.By)
		m.mu.Unlock()
		m.sweep()
	case wire.OrderDrain:
		m.drain()
	case wire.OrderRevoke:
		m.mu.Lock()
		m.revoked[o.Who] = struct{}{}
		m.mu.Unlock()
		m.endRevoked()
	default:
		err = &wire.Fail{Code: offload.CodeProtocol, Text: fmt.Sprintf("the host does not know orders of kind %d", o.Kind)}
	}
	return did, err
}

// prepare holds a lease, and opens its door. Its manager sends UEs again, so a drain that it ordered is over.
// The caller has its module loaded, or calls loaded.
func (s *steward) prepare(token []byte) (*grant, error) {
	l, known, err := s.checkPrepare(token)
	if err != nil {
		return nil, err
	}
	var d *door
	if !known && s.cfg.Ports != (Ports{}) {
		if d, err = s.openDoor(l); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.holdLocked(time.Now(), l, token)
	if err == nil && g.door == nil {
		g.door, d = d, nil
	}
	if d != nil {
		s.idle = append(s.idle, d)
	}
	if err != nil {
		return nil, err
	}
	s.leases.load(g)
	return g, nil
}

// checkPrepare returns what the token of an order says, and whether the lease is in the table.
func (m *managed) checkPrepare(token []byte) (l lease.Lease, known bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l, err = m.checkLocked(token); err == nil {
		m.draining = false
	}
	return l, m.leases.all[l.ID] != nil, err
}

// loaded takes note that the load which prepare began is over.
func (m *managed) loaded(g *grant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leases.loaded(time.Now(), g)
}

// load loads the module of a lease, if the host has it, else the UE sends it, and makes an instance within the lease's limits.
func (m *managed) load(ctx context.Context, g *grant) (did wire.Did, err error) {
	defer m.loaded(g)
	begin := time.Now()
	owner, err := ownerOf(g.Lease)
	if err != nil {
		return did, err
	}
	t := m.h.enter(owner)
	defer m.h.leave(t)
	if err = m.h.deployed.have(ctx, t, g.Module); err == nil {
		err = m.h.deployed.warmWithin(ctx, t, g.Module, g.memory())
	}
	if isNoModule(err) {
		err = nil
	}
	did.Ready, did.Addresses = time.Since(begin), m.addresses(g)
	return did, err
}

// states returns what the host has of modules, of any tenant.
func (ds *deployments) states() map[digest]wire.ModuleState {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	all := make(map[digest]wire.ModuleState, len(ds.all))
	for key, d := range ds.all {
		state := wire.ModulePresent
		if d.isReady() {
			state = wire.ModuleCompiled
		}
		all[key.digest] = max(all[key.digest], state)
	}
	return all
}
