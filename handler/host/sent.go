package host

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// sentFree is what a connection may have sent and not acknowledged before it counts apart: more than
// QUIC's first congestion window, so that small calls never do.
const sentFree = 64 << 10

// A sending counts what was sent on a connection and is perhaps not acknowledged: the host keeps it to
// send it again. That is no more than was sent in all, and than the largest congestion window so far;
// which of it has been acknowledged QUIC does not tell, so it counts until the connection ends.
type sending struct {
	wrote   atomic.Int64
	counted atomic.Int64 // beyond sentFree it is held, or is about to be

	mu   sync.Mutex // leaf
	held int64
}

// writes holds what n bytes more may add, and waits for room. Its error is a refusal of the budget, or
// the cause of ctx.
func (s *sending) writes(ctx context.Context, c *conn, n int) error {
	wrote := s.wrote.Add(int64(n))
	if wrote-sentFree <= s.counted.Load() {
		return nil
	}
	need := s.claim(min(wrote, c.link.Window()) - sentFree)
	if need <= 0 {
		return nil
	}
	if _, err := c.tenant.memory.Acquire(ctx, need); err != nil {
		s.counted.Add(-need)
		return err
	}
	s.mu.Lock()
	s.held += need
	s.mu.Unlock()
	return nil
}

// claim counts up to most, and returns how much more that is.
func (s *sending) claim(most int64) (more int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if more = most - s.counted.Load(); more > 0 {
		s.counted.Add(more)
	}
	return more
}

// release lets go of all that is held. Nobody writes any more.
func (s *sending) release(c *conn) { c.tenant.memory.Release(s.held) }

// A countedStream holds what it sends, and counts what it costs the host beside. A write that finds no room fails, and
// with it what is written. A read waits while the tenant owes.
type countedStream struct {
	link.Stream
	conn *conn
}

func (s countedStream) Read(p []byte) (int, error) {
	h, t := s.conn.h, s.conn.tenant
	h.pacer.await(t.purse, s.conn.link.Done())
	n, err := s.Stream.Read(p)
	h.pacer.spend(t.purse, frameEffort+time.Duration(n)*byteEffort)
	return n, err
}

func (s countedStream) Write(p []byte) (int, error) {
	if err := s.conn.sent.writes(s.Context(), s.conn, len(p)); err != nil {
		return 0, err
	}
	n, err := s.Stream.Write(p)
	s.conn.h.pacer.spend(s.conn.tenant.purse, frameEffort+time.Duration(n)*byteEffort)
	return n, err
}
