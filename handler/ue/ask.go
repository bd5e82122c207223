package ue

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
)

// deploy makes m ready on the host: it asks for it, and uploads it if the host lacks it.
func (s *session) deploy(ctx context.Context, m *offload.Module) (uploaded bool, err error) {
	st, err := s.open(ctx)
	if err != nil {
		return false, err
	}
	ready, err := control.Have(ctx, st, m.Digest)
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
	return true, control.Put(ctx, st, m.Digest, wasm)
}

// ask notes that the host has m, if it says so. If it does not, deploy comes later.
func (s *session) ask(ctx context.Context, c *link.Conn, m *offload.Module) {
	ready := false
	err := c.Early(ctx, func(st link.Stream) (err error) {
		ready, err = control.Have(ctx, st, m.Digest)
		return err
	})
	if err == nil && ready {
		s.mu.Lock()
		s.had[m.Digest] = nil
		s.mu.Unlock()
	}
}

// ping returns the round-trip time to the host.
func (s *session) ping(ctx context.Context) (time.Duration, error) {
	st, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	return control.Ping(ctx, st)
}
