package elastic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/bungee-xr/bungee/offload"
)

// ErrMoved is the cause of a call that found its channel's far endpoint back on
// the UE. The call did not start: it belongs there.
var ErrMoved = errors.New("far endpoint has moved to the UE")

// Calls is an elastic channel in mode Calls: messages are independent, each is
// answered on a stream of its own, in any order. Elastic functions use it.
//
// The zero Calls is open and has its far endpoint on the UE. It may be used by
// many goroutines at once.
type Calls struct {
	cur   atomic.Pointer[serving] // nil: on the UE
	moves atomic.Uint64

	moving sync.Mutex // one move at a time; held while a target prepares
	closed bool       // guarded by moving
}

// serving is one stay of the far endpoint at a target. Its epoch is its own
// identity: a call keeps to the serving that it began with.
type serving struct {
	name  string
	place Place

	mu      sync.Mutex
	calls   int  // in flight
	retired bool // no new calls; place is released when calls is 0
}

// Where returns the name of the edge host that serves the channel, "" when its
// far endpoint is on the UE.
func (c *Calls) Where() string {
	if s := c.cur.Load(); s != nil {
		return s.name
	}
	return ""
}

// Moves returns how often the far endpoint has moved.
func (c *Calls) Moves() uint64 { return c.moves.Load() }

// Call sends a request to the far endpoint and returns its reply. It is for
// calls that belong on an edge host: with the far endpoint on the UE, where a
// call is a function call, it fails with a cause of ErrMoved.
func (c *Calls) Call(ctx context.Context, f *offload.Desc, request []byte) (*offload.Reply, error) {
	for {
		s := c.cur.Load()
		if s == nil {
			return nil, &offload.CallError{Func: f.Name, Host: "the UE", Fate: offload.NotStarted, Err: ErrMoved}
		}
		if s.begin() {
			defer s.end()
			return s.place.Call(ctx, f, request)
		}
	}
}

// Move moves the far endpoint to t, nil to the UE. The new place is ready
// before the old one is left: when Move fails, nothing has changed.
//
// Calls begun before the switch end where they began; later ones go to the new
// place. Each is answered once, so a move loses and doubles nothing.
func (c *Calls) Move(ctx context.Context, f *offload.Desc, t Target) error {
	c.moving.Lock()
	defer c.moving.Unlock()
	if c.closed {
		return ErrClosed
	}
	var next *serving
	if t != nil {
		place, err := t.Prepare(ctx, f)
		if err != nil {
			return fmt.Errorf("move %s to %s: %w", f.Name, t.Name(), err)
		}
		next = &serving{name: t.Name(), place: place}
	}
	old := c.cur.Swap(next)
	if old != nil || next != nil {
		c.moves.Add(1)
	}
	if old != nil {
		old.retire()
	}
	return nil
}

// Close brings the far endpoint back to the UE for good. Calls in flight on an
// edge host end there.
func (c *Calls) Close() error {
	c.moving.Lock()
	defer c.moving.Unlock()
	c.closed = true
	if old := c.cur.Swap(nil); old != nil {
		old.retire()
	}
	return nil
}

// begin counts a call in. It fails on a serving that was retired meanwhile.
func (s *serving) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired {
		return false
	}
	s.calls++
	return true
}

func (s *serving) end() {
	s.mu.Lock()
	s.calls--
	last := s.retired && s.calls == 0
	s.mu.Unlock()
	if last {
		s.place.Release()
	}
}

func (s *serving) retire() {
	s.mu.Lock()
	s.retired = true
	last := s.calls == 0
	s.mu.Unlock()
	if last {
		s.place.Release()
	}
}
