// Package guesttest has guests written in Go, for tests of what drives guests and of
// what pools them. They work in virtual time.
package guesttest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/internal/abi"
)

// A Raw is a [guest.Raw] in Go: what a guest of the worst kind could answer. Its zero
// value echoes.
type Raw struct {
	Memory   []byte
	Version  uint32 // over abi.Version
	OnBuf    func(n uint32) (uint32, error)
	OnInvoke func(fn, ptr, n uint32) (uint64, error)
	OnShed   func() bool
	Usage    guest.Usage
	Ctx      context.Context // between Begin and End
	Budget   uint64
	Closed   int
}

// Begin implements [guest.Raw].
func (r *Raw) Begin(ctx context.Context, fuel uint64) { r.Ctx, r.Budget = ctx, fuel }

// End implements [guest.Raw].
func (r *Raw) End() guest.Usage { r.Ctx = nil; return r.Usage }

// Start implements [guest.Raw].
func (r *Raw) Start() error { return r.Ctx.Err() }

// ABI implements [guest.Raw].
func (r *Raw) ABI() (uint32, error) { return abi.Version + r.Version, nil }

// Size implements [guest.Raw].
func (r *Raw) Size() uint64 { return uint64(len(r.Memory)) }

// Close implements [guest.Raw].
func (r *Raw) Close() error { r.Closed++; return nil }

// Shed implements [executor.Shedder].
func (r *Raw) Shed() bool { return r.OnShed != nil && r.OnShed() }

// Buf implements [guest.Raw].
func (r *Raw) Buf(n uint32) (uint32, error) {
	if r.OnBuf != nil {
		return r.OnBuf(n)
	}
	r.Memory = make([]byte, 16+uint64(n))
	return 16, nil
}

// Invoke implements [guest.Raw].
func (r *Raw) Invoke(fn, ptr, n uint32, _ int64) (uint64, error) {
	if r.OnInvoke != nil {
		return r.OnInvoke(fn, ptr, n)
	}
	r.Memory[ptr-1] = byte(abi.OK)
	return Reply(ptr-1, n+1), nil
}

// Bytes implements [guest.Raw].
func (r *Raw) Bytes(ptr, n uint32) ([]byte, bool) {
	if !abi.Inside(ptr, n, r.Size()) {
		return nil, false
	}
	return r.Memory[ptr:][:n:n], true
}

// Reply is what bungee_call returns for a reply of n bytes at ptr.
func Reply(ptr, n uint32) uint64 { return uint64(ptr)<<32 | uint64(n) }

// Start makes an instance of r, which is closed at the end of the test.
func Start(t testing.TB, r *Raw, cfg executor.InstanceConfig, need guest.Need) executor.Instance {
	t.Helper()
	link, err := guest.NewLinkage(cfg, need)
	if err != nil {
		t.Fatal(err)
	}
	in, err := guest.New(t.Context(), r, link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

// A Module is an [executor.Module] of guests in Go.
type Module struct {
	Make        func() *Raw   // nil: guests that echo
	Start, Stop time.Duration // what Instantiate and Close take
	Alive       atomic.Int64  // instances that are open
}

// Manifest implements [executor.Module].
func (m *Module) Manifest() capability.Manifest { return capability.Manifest{} }

// Close implements [executor.Module].
func (m *Module) Close() error { return nil }

// Instantiate implements [executor.Module].
func (m *Module) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	link, err := guest.NewLinkage(cfg, guest.Need{})
	time.Sleep(m.Start)
	if err != nil {
		return nil, err
	}
	r := &Raw{}
	if m.Make != nil {
		r = m.Make()
	}
	in, err := guest.New(ctx, r, link)
	if err != nil {
		return nil, err
	}
	m.Alive.Add(1)
	return &counted{in, m}, nil
}

// A counted is an instance that counts in its module as long as it is open.
type counted struct {
	executor.Instance
	m *Module
}

// Shed implements [executor.Shedder].
func (c *counted) Shed() bool {
	s, ok := c.Instance.(executor.Shedder)
	return ok && s.Shed()
}

func (c *counted) Close() error {
	time.Sleep(c.m.Stop)
	c.m.Alive.Add(-1)
	return c.Instance.Close()
}
