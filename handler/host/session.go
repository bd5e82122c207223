package host

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

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
	st.SetReadDeadline(time.Now().Add(wire.FrameTimeout))
	t, err := wire.ReadType(st)
	if err != nil || !mayRepeat(t) && !s.confirmed() {
		st.Reset()
		return
	}
	switch t {
	case wire.TypePing:
		err = s.pong(st)
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

// refuse answers a control request with err and ends the stream.
func (s *session) refuse(st *link.Stream, err error) {
	fail := wire.FailOf(err)
	s.h.cfg.Logger.Warn("request refused", "ue", s.ue, "code", fail.Code.String(), "why", fail.Text)
	answer(st, wire.AppendFail(nil, *fail))
}

// answer sends the last bytes of a stream. When it cannot, the UE is gone or has
// given the request up, and there is nobody to tell.
func answer(st *link.Stream, b []byte) {
	st.CloseRead()
	st.SetWriteDeadline(time.Now().Add(wire.FrameTimeout))
	if _, err := st.Write(b); err != nil {
		st.Reset()
		return
	}
	st.Close()
}

func (s *session) hello(st *link.Stream) error {
	var hello wire.Hello
	if err := wire.ReadControl(st, &hello); err != nil {
		return err
	}
	if s.helloed.Swap(true) {
		return &wire.Fail{Code: wire.CodeProtocol, Text: "hello was said before"}
	}
	s.id.Store(hello.Session)
	w := wire.Welcome{Name: s.h.cfg.Name, Cores: s.h.cfg.Calls, Lifeline: s.h.lifelinePort()}
	if _, err := st.Write(wire.AppendControl(nil, wire.TypeWelcome, w)); err != nil {
		st.Reset()
		return nil
	}
	s.greeted <- st // for goAway
	return nil
}

// goAway tells the UE that no new call is taken.
func (s *session) goAway(reason string) {
	select {
	case st := <-s.greeted:
		answer(st, wire.AppendControl(nil, wire.TypeGoAway, wire.GoAway{Reason: reason}))
	default:
	}
}

func (s *session) pong(st *link.Stream) error {
	var p wire.Ping
	if err := wire.ReadControl(st, &p); err != nil {
		return err
	}
	answer(st, wire.AppendControl(nil, wire.TypePong, p))
	return nil
}

func (s *session) have(st *link.Stream) error {
	var have wire.Have
	if err := wire.ReadControl(st, &have); err != nil {
		return err
	}
	t := s.h.enter(s.ue)
	defer s.h.leave(t)
	if !s.h.mods.has(t, have.Digest) && !s.confirmed() {
		return errors.New("connection has ended")
	}
	err := s.h.mods.have(st.Context(), t, have.Digest)
	if err != nil && !isNoModule(err) {
		return err
	}
	m := wire.Module{Ready: err == nil}
	answer(st, wire.AppendControl(nil, wire.TypeModule, m))
	return nil
}

func (s *session) put(st *link.Stream) error {
	var put wire.Put
	if err := wire.ReadControl(st, &put); err != nil {
		return err
	}
	if put.Size < 1 || put.Size > wire.MaxModule {
		return &wire.Fail{Code: wire.CodeTooLarge, Text: "module size out of bounds"}
	}
	st.SetReadDeadline(time.Now().Add(wire.BulkTimeout))
	wasm, err := wire.ReadPayload(st, nil, put.Size)
	if err != nil {
		return err
	}
	t := s.h.enter(s.ue)
	defer s.h.leave(t)
	if err := s.h.mods.put(st.Context(), t, put.Digest, wasm); err != nil {
		return err
	}
	answer(st, wire.AppendControl(nil, wire.TypeModule, wire.Module{Ready: true}))
	return nil
}
