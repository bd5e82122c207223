package executor_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// A fake is a Raw in Go: what a guest of the worst kind could answer. Its zero value
// echoes.
type fake struct {
	memory  []byte
	version uint32 // over abi.Version
	buf     func(n uint32) (uint32, error)
	invoke  func(fn, ptr, n uint32) (uint64, error)
	usage   executor.Usage
	ctx     context.Context // between Begin and End
	budget  uint64
	closed  int
}

func (f *fake) Begin(ctx context.Context, fuel uint64) { f.ctx, f.budget = ctx, fuel }
func (f *fake) End() executor.Usage                    { f.ctx = nil; return f.usage }
func (f *fake) Start() error                           { return f.ctx.Err() }
func (f *fake) ABI() (uint32, error)                   { return abi.Version + f.version, nil }
func (f *fake) Size() uint64                           { return uint64(len(f.memory)) }
func (f *fake) Close() error                           { f.closed++; return nil }

func (f *fake) Buf(n uint32) (uint32, error) {
	if f.buf != nil {
		return f.buf(n)
	}
	f.memory = make([]byte, 16+uint64(n))
	return 16, nil
}

func (f *fake) Invoke(fn, ptr, n uint32, _ int64) (uint64, error) {
	if f.invoke != nil {
		return f.invoke(fn, ptr, n)
	}
	f.memory[ptr-1] = byte(abi.OK)
	return reply(ptr-1, n+1), nil
}

func (f *fake) Bytes(ptr, n uint32) ([]byte, bool) {
	if !executor.Inside(ptr, n, f.Size()) {
		return nil, false
	}
	return f.memory[ptr:][:n:n], true
}

// reply is what bungee_call returns for a reply of n bytes at ptr.
func reply(ptr, n uint32) uint64 { return uint64(ptr)<<32 | uint64(n) }

// newGuest makes an instance of f.
func newGuest(t testing.TB, f *fake, cfg executor.InstanceConfig, need executor.Need) executor.Instance {
	t.Helper()
	link, err := executor.NewLinkage(cfg, need)
	if err != nil {
		t.Fatal(err)
	}
	in, err := executor.NewGuest(t.Context(), f, link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

// A fakeModule is a Module of fakes, which work in virtual time.
type fakeModule struct {
	need        executor.Need
	make        func() *fake  // nil: fakes that echo
	start, stop time.Duration // what Instantiate and Close take
	alive       atomic.Int64
}

func (m *fakeModule) Manifest() capability.Manifest { return capability.Manifest{} }
func (m *fakeModule) Close() error                  { return nil }

func (m *fakeModule) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	link, err := executor.NewLinkage(cfg, m.need)
	time.Sleep(m.start)
	if err != nil {
		return nil, err
	}
	f := &fake{}
	if m.make != nil {
		f = m.make()
	}
	in, err := executor.NewGuest(ctx, f, link)
	if err != nil {
		return nil, err
	}
	m.alive.Add(1)
	return &counted{in, m}, nil
}

// A counted is an instance that counts in its module as long as it is open.
type counted struct {
	executor.Instance
	m *fakeModule
}

func (c *counted) Close() error {
	time.Sleep(c.m.stop)
	c.m.alive.Add(-1)
	return c.Instance.Close()
}
