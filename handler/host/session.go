package host

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A session is one UE's connection. Each stream has a goroutine.
type session struct {
	h    *Handler
	conn *link.Conn
	ue   string

	helloed atomic.Bool
	id      atomic.Uint64     // the session that the UE named in its hello
	greeted chan *link.Stream // the session's stream, once the UE said hello; cap 1: said once

	joining sync.Once
	group   *group // set by joined
}

// run serves the UE's streams until the connection ends.
func (s *session) run() {
	log := s.h.cfg.Logger.With("ue", s.ue, "addr", s.conn.RemoteAddr().String())
	log.Info("session begins")
	var streams sync.WaitGroup
	for {
		st, err := s.conn.Accept(context.Background())
		if err != nil {
			break
		}
		streams.Go(func() { s.serve(st) })
	}
	s.conn.Close("")
	streams.Wait()
	if s.group != nil {
		s.h.part(s.group)
	}
	log.Info("session ends", "why", s.conn.Err())
}

// mayRepeat says whether frames of type t are served before the connection is
// confirmed. Somebody else may then have sent them again (package link).
func mayRepeat(t wire.Type) bool {
	return t == wire.TypeHello || t == wire.TypeHave || t == wire.TypePing
}

// confirmed waits until what the UE sent is no repetition.
func (s *session) confirmed() bool {
	select {
	case <-s.conn.Confirmed():
		return true
	case <-s.conn.Done():
		return false
	}
}

// serve answers the frame that st begins with.
func (s *session) serve(st *link.Stream) {
	t, err := control.Begin(st)
	if err != nil || !mayRepeat(t) && !s.confirmed() {
		st.Reset()
		return
	}
	switch t {
	case wire.TypePing:
		err = control.Pong(st)
	case wire.TypeHello:
		err = s.hello(st)
	case wire.TypeHave:
		err = s.have(st)
	case wire.TypePut:
		err = s.put(st)
	case wire.TypeCall, wire.TypeAttach, wire.TypeSingle, wire.TypePart, wire.TypeSnapshot:
		err = s.data(t, st)
	default:
		err = &wire.Fail{Code: wire.CodeProtocol, Text: "no request begins with this frame"}
	}
	if err != nil {
		s.refuse(st, err)
	}
}

// refuse answers a request with err and logs it.
func (s *session) refuse(st *link.Stream, err error) {
	fail := control.Refuse(st, err)
	s.h.cfg.Logger.Warn("request refused", "ue", s.ue, "code", fail.Code.String(), "why", fail.Text)
}

func (s *session) hello(st *link.Stream) error {
	hello, err := control.ReadHello(st)
	if err != nil {
		return err
	}
	if s.helloed.Swap(true) {
		return &wire.Fail{Code: wire.CodeProtocol, Text: "hello was said before"}
	}
	s.id.Store(hello.Session)
	if control.Welcome(st, wire.Welcome{Name: s.h.cfg.Name, Cores: s.h.cfg.Calls, Lifeline: s.h.lifelinePort()}) == nil {
		s.greeted <- st // for goAway
	}
	return nil
}

// goAway tells the UE that no new call is taken.
func (s *session) goAway(reason string) {
	select {
	case st := <-s.greeted:
		control.GoAway(st, reason)
	default:
	}
}

func (s *session) have(st *link.Stream) error {
	d, err := control.ReadHave(st)
	if err != nil {
		return err
	}
	t := s.h.enter(s.ue)
	defer s.h.leave(t)
	if !s.h.mods.has(t, d) && !s.confirmed() {
		return errors.New("connection has ended")
	}
	err = s.h.mods.have(st.Context(), t, d)
	if err != nil && !isNoModule(err) {
		return err
	}
	control.Module(st, err == nil)
	return nil
}

func (s *session) put(st *link.Stream) error {
	d, wasm, err := control.ReadPut(st)
	if err != nil {
		return err
	}
	t := s.h.enter(s.ue)
	defer s.h.leave(t)
	if err := s.h.mods.put(st.Context(), t, d, wasm); err != nil {
		return err
	}
	control.Module(st, true)
	return nil
}
