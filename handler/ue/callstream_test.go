package ue

import (
	"bufio"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// An echo is an edge host that answers each call with its request, after hold.
type echo struct {
	hold time.Duration
	more []byte // sent behind each answer

	mu      sync.Mutex
	streams int
	arrived []byte // the first byte of each request, in the order in which they were whole
}

// inEcho gives f a session with an echo, in virtual time.
func inEcho(t *testing.T, air *radio.Air, f func(t *testing.T, s *session, e *echo)) {
	e := &echo{}
	linktest.Connect(t, air, e.serve, func(t *testing.T, ue *link.Conn) {
		s := newSession(link.QUIC, linktest.HostAddr)
		s.host = "edge"
		s.strands.Store(&[]*strand{{conn: ue}})
		f(t, s, e)
	})
}

func (e *echo) serve(st link.Stream) {
	e.mu.Lock()
	e.streams++
	e.mu.Unlock()
	for r := bufio.NewReader(st); ; {
		if typ, err := wire.ReadType(r); err != nil || typ != wire.TypeCall {
			st.Reset()
			return
		}
		c, err := wire.ReadCall(r)
		if err != nil {
			return
		}
		request, err := wire.ReadPayload(r, nil, c.Size)
		if err != nil {
			return
		}
		e.mu.Lock()
		e.arrived = append(e.arrived, request[0])
		e.mu.Unlock()
		select {
		case <-st.Context().Done():
			return
		case <-time.After(e.hold):
		}
		answer := append(wire.AppendResult(nil, wire.Result{Size: len(request)}), request...)
		st.Write(append(answer, e.more...))
	}
}

func (e *echo) seen() (streams int, arrived []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.streams, slices.Clone(e.arrived)
}

// try makes a call whose request is size times b.
func try(ctx context.Context, s *session, d *offload.Desc, b byte, size int) error {
	frame := append(make([]byte, route.Room), slices.Repeat([]byte{b}, size)...)
	reply, _, err := s.call(ctx, d, frame)
	if err != nil {
		return err
	}
	defer reply.Release()
	if len(reply.Payload) != size || reply.Payload[0] != b || reply.BytesUp != size+wire.CallHeader || reply.BytesDown < size {
		return errors.New("another reply")
	}
	return nil
}

var echoed = &offload.Desc{Name: "echo", Module: &offload.Module{}, Deadline: time.Second}

func TestCallsBorrowStreams(t *testing.T) {
	inEcho(t, &radio.Air{OneWay: time.Millisecond}, func(t *testing.T, s *session, e *echo) {
		for n := range 50 {
			if err := try(t.Context(), s, echoed, byte(n), 10+n*1000); err != nil {
				t.Fatalf("call %d: %v", n, err)
			}
		}
		if streams, _ := e.seen(); streams != 1 {
			t.Errorf("50 calls, one after another, took %d streams, want 1", streams)
		}
		all := *s.strands.Load()
		e.hold = 10 * time.Millisecond
		var wg sync.WaitGroup
		for n := range 2 * maxIdle {
			wg.Go(func() {
				if err := try(t.Context(), s, echoed, byte(n), 10); err != nil {
					t.Errorf("call %d at once with others: %v", n, err)
				}
			})
		}
		wg.Wait()
		if streams, _ := e.seen(); streams != 2*maxIdle {
			t.Errorf("%d calls at once took %d streams, want one each", 2*maxIdle, streams)
		}
		if n := len(all[0].idle); n != maxIdle {
			t.Errorf("%d streams are kept, want %d", n, maxIdle)
		}
	})
}

// A call that is given up costs its stream, and no other call's.
func TestCancelledCallCostsItsStream(t *testing.T) {
	inEcho(t, &radio.Air{OneWay: time.Millisecond}, func(t *testing.T, s *session, e *echo) {
		if err := try(t.Context(), s, echoed, 0, 10); err != nil {
			t.Fatal(err)
		}
		e.hold = 100 * time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if err := try(ctx, s, echoed, 1, 10); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled call gave %v", err)
		}
		hurried := *echoed
		hurried.Deadline = 20 * time.Millisecond
		begin := time.Now()
		if err := try(t.Context(), s, &hurried, 2, 10); !errors.Is(err, offload.ErrDeadline) || time.Since(begin) != hurried.Deadline {
			t.Errorf("a late call gave %v after %v, want %v after %v", err, time.Since(begin), offload.ErrDeadline, hurried.Deadline)
		}
		for n := range 3 { // the timer of a call before must not hit them
			if err := try(t.Context(), s, echoed, byte(3+n), 10); err != nil {
				t.Errorf("after those: %v", err)
			}
		}
		if streams, _ := e.seen(); streams != 3 {
			t.Errorf("%d streams, want 3: two calls were given up", streams)
		}
		if all := *s.strands.Load(); all[0].large != 0 || len(all[0].idle) != 1 {
			t.Errorf("%d large calls are counted and %d streams idle, want 0 and 1", all[0].large, len(all[0].idle))
		}
	})
}

// Large requests arrive in the order of their calls, though streams are used again.
func TestLargeCallsKeepTheirOrder(t *testing.T) {
	air := &radio.Air{OneWay: 5 * time.Millisecond}
	inEcho(t, air, func(t *testing.T, s *session, e *echo) {
		for range 3 { // leaves idle streams of several numbers
			var wg sync.WaitGroup
			for n := range 4 {
				wg.Go(func() { try(t.Context(), s, echoed, byte(n), 10) })
			}
			wg.Wait()
		}
		_, before := e.seen()
		var wg sync.WaitGroup
		const frames = 6
		for n := range frames {
			wg.Go(func() {
				if err := try(t.Context(), s, echoed, byte('a'+n), 200<<10); err != nil {
					t.Errorf("frame %d: %v", n, err)
				}
			})
			time.Sleep(time.Microsecond) // the next call begins while this one is being sent
		}
		wg.Wait()
		_, arrived := e.seen()
		if got := arrived[len(before):]; !slices.IsSorted(got) || len(got) != frames {
			t.Errorf("frames arrived in the order %q", got)
		}
	})
}

// A host that says more than its answer has broken the protocol: the next call must
// not read it.
func TestMoreThanAnAnswer(t *testing.T) {
	inEcho(t, &radio.Air{OneWay: time.Millisecond}, func(t *testing.T, s *session, e *echo) {
		e.more = wire.AppendResult(nil, wire.Result{})
		if err := try(t.Context(), s, echoed, 1, 10); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("got %v, want %v", err, wire.ErrFrame)
		}
		if all := *s.strands.Load(); len(all[0].idle) != 0 {
			t.Error("the stream is kept")
		}
	})
}
