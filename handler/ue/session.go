package ue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A session is the UE's side of a connection to an edge host.
type session struct {
	conn  *link.Conn
	host  string      // its name
	leave chan string // receives the reason once the host says go away; cap 1: said once
	ended chan struct{}

	mu      sync.Mutex
	calls   int           // in flight
	leaving bool          // no new calls
	idle    chan struct{} // closed when leaving and no call is in flight
}

// errLeave says that the host told the UE to go.
var errLeave = errors.New("the edge host takes no new calls")

// enter counts a call in. It fails once the session is being left.
func (s *session) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return false
	}
	s.calls++
	return true
}

func (s *session) exit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls--
	if s.leaving && s.calls == 0 {
		close(s.idle)
	}
}

// quit lets no new call begin. The channel it returns is closed when the last
// one has ended. It is called once.
func (s *session) quit() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	if s.calls == 0 {
		close(s.idle)
	}
	return s.idle
}

// openSession connects to addr and says hello.
func openSession(ctx context.Context, pc net.PacketConn, addr net.Addr, conf *tls.Config, name string) (*session, error) {
	conn, err := link.Dial(ctx, pc, addr, conf)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, leave: make(chan string, 1), ended: make(chan struct{}), idle: make(chan struct{})}
	st, err := s.hello(ctx, name)
	if err != nil {
		conn.Close("hello failed")
		return nil, fmt.Errorf("hello to %s: %w", addr, link.Explain(err))
	}
	go s.listen(st) // ends with the connection; close waits for it
	return s, nil
}

func (s *session) hello(ctx context.Context, name string) (*link.Stream, error) {
	st, err := s.conn.Open(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { st.CancelRead(0) })
	defer stop()
	if _, err := st.Write(wire.AppendControl(nil, wire.TypeHello, wire.Hello{Name: name})); err != nil {
		return nil, err
	}
	var w wire.Welcome
	if err := wire.ExpectControl(st, wire.TypeWelcome, &w); err != nil {
		return nil, err
	}
	s.host = w.Name[:min(len(w.Name), wire.MaxName)]
	return st, nil
}

// listen waits on the session's stream for the host to say go away.
func (s *session) listen(st *link.Stream) {
	defer close(s.ended)
	var g wire.GoAway
	if wire.ExpectControl(st, wire.TypeGoAway, &g) == nil {
		s.leave <- g.Reason
	}
}

// close ends the connection.
func (s *session) close(reason string) {
	s.conn.Close(reason)
	<-s.ended
}

// deploy makes the host have m: it asks first, and uploads what is lacking.
func (s *session) deploy(ctx context.Context, m *offload.Module) (uploaded bool, err error) {
	ready, err := s.request(ctx, wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: m.Digest}), nil)
	if ready || err != nil {
		return false, err
	}
	wasm, err := m.Wasm()
	if err != nil {
		return false, err
	}
	put := wire.Put{Digest: m.Digest, Size: len(wasm)}
	ready, err = s.request(ctx, wire.AppendControl(nil, wire.TypePut, put), wasm)
	if err == nil && !ready {
		err = errors.New("the host took the module and does not have it")
	}
	return true, err
}

// request sends a frame about a module, and its bytes, on a stream of their own.
func (s *session) request(ctx context.Context, frame, body []byte) (ready bool, err error) {
	st, err := s.conn.Open(ctx)
	if err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { st.CancelRead(0); st.CancelWrite(0) })
	defer stop()
	_, err = st.Write(frame)
	if err == nil {
		_, err = st.Write(body)
	}
	if err == nil {
		err = st.Close()
	}
	var m wire.Module
	// A host that refuses stops reading and says why: the answer tells more
	// than the failed write.
	if answer := wire.ExpectControl(st, wire.TypeModule, &m); answer != nil {
		st.CancelWrite(0)
		return false, errors.Join(answer, err)
	}
	return m.Ready, nil
}

// ping returns the time to the host and back.
func (s *session) ping(ctx context.Context) (time.Duration, error) {
	st, err := s.conn.Open(ctx)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { st.CancelRead(0); st.CancelWrite(0) })
	defer stop()
	begin := time.Now()
	token := uint64(begin.UnixNano())
	if _, err := st.Write(wire.AppendControl(nil, wire.TypePing, wire.Ping{Token: token})); err != nil {
		return 0, err
	}
	st.Close()
	var p wire.Ping
	if err := wire.ExpectControl(st, wire.TypePong, &p); err != nil {
		return 0, err
	}
	if p.Token != token {
		return 0, fmt.Errorf("%w: pong of another ping", wire.ErrFrame)
	}
	return time.Since(begin), nil
}
