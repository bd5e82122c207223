package host

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"golang.org/x/time/rate"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/hostfunc/egress"
)

// Tenants keep what the guests of each tenant share. The zero value is ready to use, by
// many goroutines.
type Tenants struct {
	mu  sync.Mutex
	all map[string]weak.Pointer[Share] // a tenant without modules is forgotten
}

// Share returns what the guests of tenant share, which is bounded by e. As long as one of
// a tenant's shares is in use, all of its shares are the same, and have the bounds of the last call.
func (t *Tenants) Share(tenant string, e capability.Egress) *Share {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.all[tenant].Value(); s != nil {
		s.set(e)
		return s
	}
	s := newShare(tenant, e)
	if t.all == nil {
		t.all = map[string]weak.Pointer[Share]{}
	}
	t.all[tenant] = weak.Make(s)
	runtime.AddCleanup(s, t.forget, tenant)
	return s
}

// forget removes a tenant whose share is gone, unless it has another one by now.
func (t *Tenants) forget(tenant string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all[tenant].Value() == nil {
		delete(t.all, tenant)
	}
}

// A Share is what the guests of a tenant do in the network together, and may do at most.
// A nil Share has no bounds.
type Share struct {
	tenant string
	bounds atomic.Pointer[bounds]

	mu   sync.Mutex
	open int
}

// bounds are those of a share at a time.
type bounds struct {
	capability.Egress
	calls *rate.Limiter // nil: no bound, as for the others
	begun *rate.Limiter
	bytes *rate.Limiter
}

// newShare returns a share in which nothing was done yet.
func newShare(tenant string, e capability.Egress) *Share {
	s := &Share{tenant: tenant}
	s.set(e)
	return s
}

// set bounds the share by e. What a second allows may come at once.
func (s *Share) set(e capability.Egress) {
	if b := s.bounds.Load(); b != nil && b.Egress == e {
		return
	}
	per := func(n int64) *rate.Limiter {
		if n <= 0 {
			return nil
		}
		return rate.NewLimiter(rate.Limit(n), int(n))
	}
	s.bounds.Store(&bounds{e, per(int64(e.CallsPerSecond)), per(int64(e.ConnectionsPerSecond)), per(e.BytesPerSecond)})
}

// now returns the bounds of the share, none for a nil one.
func (s *Share) now() *bounds {
	if s == nil {
		return &bounds{}
	}
	return s.bounds.Load()
}

// over is the error of what is over a bound.
func (s *Share) over(most int64, what string) error {
	return fmt.Errorf("%w: tenant %q may have %d %s", egress.ErrTooMany, s.tenant, most, what)
}

// call counts a request or a dial.
func (s *Share) call() error {
	b := s.now()
	if b.calls == nil || b.calls.Allow() {
		return nil
	}
	return s.over(int64(b.CallsPerSecond), "requests and dials a second")
}

// admit counts a connection until the function that it returns is called.
func (s *Share) admit() (func(), error) {
	if s == nil {
		return func() {}, nil
	}
	b := s.now()
	if b.begun != nil && !b.begun.Allow() {
		return nil, s.over(int64(b.ConnectionsPerSecond), "new connections a second")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if most := b.Connections; most > 0 && s.open >= most {
		return nil, s.over(int64(most), "open connections")
	}
	s.open++
	return s.release, nil
}

func (s *Share) release() {
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
}

// wait returns once n bytes may be moved, and counts them: at once, unless more were moved
// in the last second than may be. Its error is the cause of ctx, or says that the
// deadline would come first.
func (s *Share) wait(ctx context.Context, n int) error {
	b := s.now()
	if b.bytes == nil {
		return nil
	}
	// Zero bytes wait for one, which pays for what was counted afterwards.
	for n = max(n, 1); n > 0; {
		part := min(n, b.bytes.Burst())
		if err := b.bytes.WaitN(ctx, part); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return s.over(b.BytesPerSecond, "bytes a second, for which the deadline is too near")
		}
		n -= part
	}
	return nil
}

// moved counts n bytes that were moved before anybody knew how many there would be. Later
// ones wait for them.
func (s *Share) moved(n uint64) {
	b := s.now()
	if b.bytes == nil {
		return
	}
	for now := time.Now(); n > 0; {
		part := min(n, uint64(b.bytes.Burst()))
		b.bytes.ReserveN(now, int(part))
		n -= part
	}
}
