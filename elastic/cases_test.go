package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// The cases of channels that went wrong when strangers tried them, and what is right.
// This file has what they share.

// ueIP is the UE's address.
var ueIP = net.IPv4(10, 0, 0, 1)

// A hook is what happens before a message.
type hook = func(ctx context.Context, s *sum, n int64)

// breaks is a hook that panics at the messages given, with half of its work done.
func breaks(at ...int64) hook {
	return func(_ context.Context, s *sum, n int64) {
		if slices.Contains(at, n) {
			s.Total += 1e9
			panic(fmt.Sprint("poison ", n))
		}
	}
}

// takes is a hook that lets virtual time pass.
func takes(d time.Duration) hook {
	return func(context.Context, *sum, int64) { time.Sleep(d) }
}

// sticks is a hook that waits for free at the messages given, whatever its ctx says.
func sticks(free <-chan struct{}, at ...int64) hook {
	return func(_ context.Context, _ *sum, n int64) {
		if slices.Contains(at, n) {
			<-free
		}
	}
}

// grows is a hook that makes the state large at a message.
func grows(at int64, size int) hook {
	return func(_ context.Context, s *sum, n int64) {
		if n == at {
			s.Pad = make([]byte, size)
			for i := range s.Pad {
				s.Pad[i] = byte(i)
			}
		}
	}
}

func both(hooks ...hook) hook {
	return func(ctx context.Context, s *sum, n int64) {
		for _, h := range hooks {
			h(ctx, s, n)
		}
	}
}

// A guest is a native far endpoint that ends as an instance of a module does: a panic
// ends it and not its host, and it is stopped when its time is over.
type guest struct {
	far.Endpoint
	running *sync.WaitGroup
}

// guests makes far endpoints for a host.
func (w *world) guests(ep *codegen.Endpoint[int64, int64]) func() (far.Endpoint, error) {
	running := new(sync.WaitGroup)
	w.t.Cleanup(running.Wait)
	return func() (far.Endpoint, error) { return guest{native.New(ep), running}, nil }
}

func (g guest) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	type answer struct {
		status  abi.Status
		payload []byte
		err     error
	}
	answered := make(chan answer, 1)
	request = slices.Clone(request)
	g.running.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				answered <- answer{abi.Panic, fmt.Append(nil, v), nil}
			}
		}()
		status, payload, err := g.Endpoint.Handle(context.Background(), request)
		answered <- answer{status, payload, err}
	})
	select {
	case a := <-answered:
		return a.status, a.payload, a.err
	case <-ctx.Done():
		return 0, nil, &wire.Fail{Code: offload.CodeDeadline, Started: true}
	}
}

// collect receives the outcomes of the messages from, from+1 and so on, n in all, and
// compares them with the sequential reference. Those in bad have an error with the
// code given, and are not in the state.
func collect(t *testing.T, c *elastic.Channel[int64, int64], want *int64, from, n int64, bad map[int64]offload.Code) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := from; i < from+n; i++ {
		r, err := c.Recv(ctx)
		if err != nil || r.Seq != uint64(i) {
			t.Fatalf("receive %d: got %+v, %v; the channel is at %q: %+v", i, r, err, c.Where(), c.Stats())
		}
		if code := bad[i]; code != 0 {
			wantBroken(t, r, code)
			continue
		}
		if *want = *want*31 + i; r.Value != *want || r.Err != nil {
			t.Fatalf("result %d: got %+v, want value %d", i, r, *want)
		}
	}
}

// wantBroken checks the outcome of a message that broke or overran its far endpoint.
func wantBroken(t *testing.T, r elastic.Result[int64], code offload.Code) {
	t.Helper()
	var ce *offload.CallError
	if !errors.As(r.Err, &ce) || ce.Code != code {
		t.Errorf("message %d: error %v with code %q, want a CallError with %q", r.Seq, r.Err, offload.CodeOf(r.Err), code)
	}
	if late := code == offload.CodeDeadline; errors.Is(r.Err, offload.ErrDeadline) != late {
		t.Errorf("message %d: error %v is offload.ErrDeadline: %t, want %t", r.Seq, r.Err, !late, late)
	}
}

// pace sends the messages from, from+1 and so on, n in all, one each so often.
func pace(t *testing.T, c *elastic.Channel[int64, int64], from, n int64, every time.Duration) {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	wg.Go(func() {
		for i := from; i < from+n && c.Send(t.Context(), i) == nil; i++ {
			time.Sleep(every)
		}
	})
}

func panicked(at ...int64) map[int64]offload.Code {
	bad := map[int64]offload.Code{}
	for _, n := range at {
		bad[n] = offload.CodePanicked
	}
	return bad
}

func overran(at ...int64) map[int64]offload.Code {
	bad := map[int64]offload.Code{}
	for _, n := range at {
		bad[n] = offload.CodeDeadline
	}
	return bad
}

// move moves within a virtual minute.
func move(t *testing.T, c *elastic.Channel[int64, int64], to elastic.Target) {
	t.Helper()
	if err := moveWithin(t, c, to, time.Minute); err != nil {
		t.Fatalf("move: %v", err)
	}
}

func moveWithin(t *testing.T, c *elastic.Channel[int64, int64], to elastic.Target, d time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return c.Move(ctx, to)
}

// wantAt checks where the channel is, and how often it left a host.
func wantAt(t *testing.T, c *elastic.Channel[int64, int64], where string, fallbacks uint64) {
	t.Helper()
	if s := c.Stats(); c.Where() != where || s.Fallbacks != fallbacks {
		t.Errorf("the channel is at %q after %d fallbacks, want %q after %d: %+v", c.Where(), s.Fallbacks, where, fallbacks, s)
	}
}
