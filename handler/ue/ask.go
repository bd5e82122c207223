package ue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// deploy makes the host have m: it asks first, and uploads what is lacking.
func (s *session) deploy(ctx context.Context, m *offload.Module) (uploaded bool, err error) {
	st, err := s.open(ctx)
	if err != nil {
		return false, err
	}
	ready, err := s.has(ctx, st, m)
	if ready || err != nil {
		return false, err
	}
	wasm, err := m.Wasm()
	if err != nil {
		return false, err
	}
	if st, err = s.open(ctx); err != nil {
		return false, err
	}
	put := wire.Put{Digest: m.Digest, Size: len(wasm)}
	ready, err = s.request(ctx, st, wire.AppendControl(nil, wire.TypePut, put), wasm)
	if err == nil && !ready {
		err = errors.New("the host took the module and does not have it")
	}
	return true, err
}

// ask takes note of m if the host has it. A host that does not say has it deployed.
func (s *session) ask(ctx context.Context, c *link.Conn, m *offload.Module) {
	ready := false
	err := c.Early(ctx, func(st *link.Stream) (err error) {
		ready, err = s.has(ctx, st, m)
		return err
	})
	if err == nil && ready {
		s.mu.Lock()
		s.had[m.Digest] = nil
		s.mu.Unlock()
	}
}

// has asks the host on st whether it has m.
func (s *session) has(ctx context.Context, st *link.Stream, m *offload.Module) (ready bool, err error) {
	return s.request(ctx, st, wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: m.Digest}), nil)
}

// request sends a frame about a module, and its bytes, on a stream of their own.
func (s *session) request(ctx context.Context, st *link.Stream, frame, body []byte) (ready bool, err error) {
	stop := context.AfterFunc(ctx, st.Reset)
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
	st, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, st.Reset)
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
