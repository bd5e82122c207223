package host

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A conn is one connection of a UE. Each of its streams has a goroutine.
type conn struct {
	h    *Handler
	link *link.Conn
	ue   string // the name that its certificate proves

	tenant *tenant

	helloed atomic.Bool
	id      atomic.Uint64    // the session that the UE named in its hello
	greeted chan link.Stream // the hello's stream, once it was answered; cap 1: said once
	revoke  func()           // of its lifeline's key; nil: it has none. Set by the hello

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
		streams.Go(func() { c.serve(st) })
	}
	c.link.Close("")
	streams.Wait()
	held.release()
	if c.revoke != nil {
		c.revoke()
	}
	if c.session != nil {
		c.h.part(c.session)
	}
	log.Info("connection ends", "why", c.link.Err())
}

// connCost is what a connection costs the host beside its windows: buffers of TLS and of QUIC,
// goroutines, what is sent and not acknowledged yet. 87 KiB were measured.
const connCost = 128 << 10

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
	if l.bytes, err = t.memory.Try(link.FirstWindow + connCost); err != nil {
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
	switch t {
	case wire.TypePing:
		err = control.Pong(st)
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

// refuse answers a request with err and logs it. One that the UE gave up is everyday.
func (c *conn) refuse(st link.Stream, err error) {
	level := far.Level(st.Context(), wire.FailOf(err))
	if link.IsGivenUp(err) {
		level = slog.LevelDebug
	}
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
	c.id.Store(hello.Session)
	w := wire.Welcome{Name: c.h.cfg.Name, Cores: c.h.cfg.Calls}
	if c.link.Transport() == link.QUIC { // the end of the host's process ends one over TCP
		port, key, revoke := c.h.lifeline()
		w.Lifeline, w.Key, c.revoke = port, key, revoke
	}
	if control.Welcome(st, w) == nil {
		c.greeted <- st // for goAway
	}
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
	t := c.h.enter(c.ue)
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
	t := c.h.enter(c.ue)
	defer c.h.leave(t)
	var held budget.Lease
	d, wasm, err := control.ReadPut(st, func(size int) (err error) {
		held, err = t.memory.Acquire(st.Context(), int64(size))
		return noRoom(err)
	})
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
