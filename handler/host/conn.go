package host

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A conn is one connection of a UE. Each of its streams has a goroutine.
type conn struct {
	h    *Handler
	link *link.Conn
	id   identity.ID // that its certificate proves
	ue   string      // the names of its tenant and its own
	door *door       // by which it came; nil: the host's own port

	owner  string // the tenant's name
	tenant *tenant
	sent   sending

	dismissed bool // the UE is not accepted any longer; for watchIdentities

	helloed atomic.Bool
	number  atomic.Uint64    // of the session that the UE named in its hello
	greeted chan link.Stream // the hello's stream, once it was answered; cap 1: said once
	revoke  func()           // of its lifeline's key; nil: it has none. Set by the hello

	pings    *rate.Limiter         // before there is a lease
	admitted chan struct{}         // closed when the hello's lease was accepted
	grant    atomic.Pointer[grant] // its lease, set before; nil at a host without a manager

	joining sync.Once
	session *session // set by joined
}

// run serves the UE's streams until the connection ends.
func (c *conn) run() {
	log := c.h.cfg.Logger.With("ue", c.ue, "addr", c.link.RemoteAddr().String())
	log.Info("connection begins")
	var streams sync.WaitGroup
	var held *holding // set by one of streams
	streams.Go(func() { held = c.hold() })
	for {
		st, err := c.link.Accept(context.Background())
		if err != nil {
			break
		}
		c.h.pacer.spend(c.tenant.purse, streamEffort)
		c.h.pacer.await(c.tenant.purse, c.link.Done())
		streams.Go(func() { c.serve(countedStream{st, c}) })
	}
	c.link.Close("")
	streams.Wait()
	held.release()
	c.sent.release(c)
	if c.revoke != nil {
		c.revoke()
	}
	if c.session != nil {
		c.h.part(c.session)
	}
	if g := c.grant.Load(); g != nil {
		c.h.managed.leave(g)
	}
	log.Info("connection ends", "why", c.link.Err())
}

// connCost is what a connection costs the host beside its windows: buffers of TLS and of QUIC,
// goroutines, for which 87 KiB were measured, and the first bytes that are sent and not acknowledged yet.
const connCost = 128<<10 + sentFree

// connectionCost is what a connection holds from its beginning to its end.
const connectionCost = link.FirstWindow + connCost

// A holding is what the host holds for a connection. What its windows grow by is added while
// the connection lasts, by any goroutine.
type holding struct {
	slot  budget.Lease
	bytes budget.Lease

	mu    sync.Mutex // leaf but for the budget's
	ended bool
	grown budget.Lease
}

// release lets go of all of it. Nil is nothing.
func (l *holding) release() {
	if l == nil {
		return
	}
	l.slot.Release()
	l.bytes.Release()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.grown.Release()
}

// grow takes n more bytes for windows, if the tenant holds little.
func (l *holding) grow(t *tenant, n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ended && !t.memory.Pressed() && l.grown.TryGrow(n) == nil
}

// hold takes what the host holds for the connection once it is confirmed: what an attacker has
// sent again must cost its UE's tenant nothing. A connection without room is ended.
func (c *conn) hold() *holding {
	if !c.confirmed() {
		return nil
	}
	l, err := c.admit()
	if err != nil {
		c.link.Close(err.Error())
	}
	return l
}

// admit takes what the host holds for the connection: its slot, and its first windows. Its
// error says why there is no room.
func (c *conn) admit() (*holding, error) {
	t := c.tenant
	l := &holding{grown: t.memory.Empty()}
	var err error
	if l.slot, err = t.peers.Try(1); err != nil {
		return nil, crowded(t, "connections", t.peers, c.h.peers)
	}
	if l.bytes, err = t.memory.Try(connectionCost); err != nil {
		l.slot.Release()
		return nil, noRoom(err)
	}
	c.link.OnGrowth(func(n int64) bool { return l.grow(t, n) })
	return l, nil
}

// joined returns the connection's session. A UE that calls before its hello gets a
// session for this connection alone.
func (c *conn) joined() *session {
	c.joining.Do(func() { c.session = c.h.join(c) })
	return c.session
}

// mayRepeat says whether frames of type t are served before the connection is
// confirmed. Until then an attacker may have sent them again (package link).
func mayRepeat(t wire.Type) bool {
	return t == wire.TypeHello || t == wire.TypeHave || t == wire.TypePing
}

// confirmed waits until the connection is confirmed: the UE sent its frames itself. It
// returns false when the connection ends first.
func (c *conn) confirmed() bool {
	select {
	case <-c.link.Confirmed():
		return true
	case <-c.link.Done():
		return false
	}
}

// streamCost is what a stream costs the host beside its windows: two goroutines at most, and
// their stacks.
const streamCost = 8 << 10

// serve answers what the UE asks on st.
func (c *conn) serve(st link.Stream) {
	held, err := c.tenant.memory.Try(streamCost)
	defer held.Release()
	if err != nil {
		c.refuse(st, noRoom(err))
		return
	}
	t, err := control.Begin(st)
	if err != nil || !mayRepeat(t) && !c.confirmed() {
		st.Reset()
		return
	}
	if t < wire.TypeCall || t == wire.TypePing { // a frame of the control plane
		frame, err := c.tenant.memory.Try(wire.MaxControl)
		defer frame.Release()
		if err != nil {
			c.refuse(st, noRoom(err))
			return
		}
	}
	if t != wire.TypePing && t != wire.TypeHello && !c.awaitLease(st) {
		c.refuse(st, noLease)
		return
	}
	switch t {
	case wire.TypePing:
		if err = c.mayPing(); err == nil {
			err = control.Pong(st)
		}
	case wire.TypeHello:
		err = c.hello(st)
	case wire.TypeHave:
		err = c.have(st)
	case wire.TypePut:
		err = c.put(st)
	case wire.TypeCall, wire.TypeAttach, wire.TypeSingle, wire.TypePart, wire.TypeSnapshot:
		err = c.data(t, st)
	default:
		err = &wire.Fail{Code: offload.CodeProtocol, Text: "no request begins with this frame"}
	}
	if err != nil {
		c.refuse(st, err)
	}
}

// Pings of a UE that has no lease at a managed host: five measure the way, and a few may be lost.
const (
	pingsAtOnce    = 20
	pingsPerSecond = 2
)

// mayPing says why a UE may not measure the way now.
func (c *conn) mayPing() error {
	if c.h.managed == nil || c.grant.Load() != nil || c.pings.Allow() {
		return nil
	}
	return &wire.Fail{Code: offload.CodeOverloaded, Text: "more pings than it takes to measure the way: say Hello with a lease"}
}

// awaitLease waits, at a managed host, until the lease of the connection's hello has been accepted, which may be under
// way beside st. It returns false when none is.
func (c *conn) awaitLease(st link.Stream) bool {
	if c.h.managed == nil || c.grant.Load() != nil {
		return true
	}
	late := time.NewTimer(wire.FrameTimeout)
	defer late.Stop()
	select {
	case <-c.admitted:
		return c.grant.Load() != nil
	case <-c.link.Done():
	case <-st.Context().Done():
	case <-late.C:
	}
	return false
}

// refuse answers a request with err and logs it. One that the UE gave up is everyday.
func (c *conn) refuse(st link.Stream, err error) {
	level := far.Level(st.Context(), wire.FailOf(err))
	if link.IsGivenUp(err) {
		level = slog.LevelDebug
	}
	c.tenant.pace(st.Context())
	fail := control.Refuse(st, err)
	c.h.refusals.add(fail.Code)
	c.h.cfg.Logger.Log(context.Background(), level, "request refused", "ue", c.ue, "code", fail.Code.String(), "why", fail.Text)
}

func (c *conn) hello(st link.Stream) error {
	hello, err := control.ReadHello(st)
	if err != nil {
		return err
	}
	if c.helloed.Swap(true) {
		return &wire.Fail{Code: offload.CodeProtocol, Text: "hello was said before"}
	}
	if err := c.show(hello); err != nil {
		return err
	}
	c.number.Store(hello.Session)
	w := wire.Welcome{Name: c.h.cfg.Name, Cores: c.h.cfg.Calls, Now: time.Now().UnixMilli()}
	if c.link.Transport() == link.QUIC { // the end of the host's process ends one over TCP
		port, key, revoke := c.h.lifeline()
		w.Lifeline, w.Key, c.revoke = port, key, revoke
	}
	if control.Welcome(st, w) == nil {
		c.greeted <- st // for goAway
	}
	return nil
}

// show has a managed host accept the lease of a hello.
func (c *conn) show(hello wire.Hello) error {
	m := c.h.managed
	if m == nil {
		return nil
	}
	defer close(c.admitted)
	if !c.confirmed() { // what an attacker sends again uses no lease
		return errors.New("connection has ended")
	}
	g, err := m.admit(c.id, c.door, hello)
	if err != nil {
		return err
	}
	c.grant.Store(g)
	return nil
}

// goAway tells the UE that no new call is taken.
func (c *conn) goAway(reason string) {
	select {
	case st := <-c.greeted:
		control.GoAway(st, reason)
	default:
	}
}

func (c *conn) have(st link.Stream) error {
	d, err := control.ReadHave(st)
	if err != nil {
		return err
	}
	if err := c.grant.Load().covers(d); err != nil {
		return err
	}
	t := c.h.enter(c.owner)
	defer c.h.leave(t)
	if !c.h.deployed.has(t, d) && !c.confirmed() {
		return errors.New("connection has ended")
	}
	err = c.h.deployed.have(st.Context(), t, d)
	if err != nil && !isNoModule(err) {
		return err
	}
	control.Loaded(st, err == nil)
	return nil
}

func (c *conn) put(st link.Stream) error {
	t := c.h.enter(c.owner)
	defer c.h.leave(t)
	var held budget.Lease
	d, wasm, err := control.ReadPut(st, func(size int) (err error) {
		held, err = t.memory.Acquire(st.Context(), int64(size))
		return noRoom(err)
	})
	if err == nil {
		err = c.grant.Load().covers(d)
	}
	if err != nil {
		held.Discard()
		return err
	}
	if err := c.h.deployed.put(st.Context(), t, d, wasm, held); err != nil {
		return err
	}
	control.Loaded(st, true)
	return nil
}

// data has the session serve a stream of the data plane, whose first type is t.
func (c *conn) data(t wire.Type, st link.Stream) error {
	if t != wire.TypeCall && !c.helloed.Load() {
		return &wire.Fail{Code: offload.CodeProtocol, Text: "a channel needs a hello before it"}
	}
	c.joined().far.Serve(st.Context(), t, st)
	return nil
}
