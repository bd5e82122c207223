package check

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// broken is a far endpoint with a fault.
type broken struct {
	far.Endpoint
	handle  func(ctx context.Context, f far.Endpoint, request []byte) (abi.Status, []byte, error)
	save    func(state []byte) []byte
	restore func(state []byte) []byte
}

func (b broken) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	if b.handle == nil {
		return b.Endpoint.Handle(ctx, request)
	}
	return b.handle(ctx, b.Endpoint, request)
}

func (b broken) Save(ctx context.Context) ([]byte, error) {
	state, err := b.Endpoint.Save(ctx)
	if b.save != nil {
		state = b.save(state)
	}
	return state, err
}

func (b broken) Restore(ctx context.Context, state []byte) error {
	if b.restore != nil {
		state = b.restore(state)
	}
	return b.Endpoint.Restore(ctx, state)
}

// A checker that finds nothing proves nothing: each of these faults must be
// found, and shrunk to a script that a person can read.
func TestFaultsAreFound(t *testing.T) {
	faults := []struct {
		name, want string
		sabotage   sabotage
	}{
		{"a result is doubled", "got message", results(func(r elastic.Result[out], got func(elastic.Result[out])) {
			if got(r); r.Seq%10 == 3 {
				got(r)
			}
		})},
		{"a result is lost", "got message", results(func(r elastic.Result[out], got func(elastic.Result[out])) {
			if r.Seq%10 != 3 {
				got(r)
			}
		})},
		{"results change places", "got message", results(exchange())},
		{"a message is handled twice", "was given message", faulty(broken{handle: func(ctx context.Context, f far.Endpoint, request []byte) (abi.Status, []byte, error) {
			if third(request) {
				f.Handle(ctx, request)
			}
			return f.Handle(ctx, request)
		}})},
		{"an outcome lacks its values", "got message", faulty(broken{handle: func(ctx context.Context, f far.Endpoint, request []byte) (abi.Status, []byte, error) {
			status, payload, err := f.Handle(ctx, request)
			if err == nil && third(request) {
				payload = make([]byte, 4)
			}
			return status, payload, err
		}})},
		{"a trap leaves no error", "got message", faulty(broken{handle: func(ctx context.Context, f far.Endpoint, request []byte) (abi.Status, []byte, error) {
			status, payload, err := f.Handle(ctx, request)
			if fail, ok := err.(*wire.Fail); ok && fail.Code == offload.CodeTrapped {
				return 0, make([]byte, 4), nil
			}
			return status, payload, err
		}})},
		{"a move forgets the state", "got message", faulty(broken{restore: func([]byte) []byte { return nil }})},
		{"the standbys before a Place stay", "stands by unbidden", sabotage{standBy: func([]elastic.Target, func(...elastic.Target) error) error { return nil }}},
		{"a checkpoint is another state", "no far endpoint left", faulty(broken{save: func([]byte) []byte {
			return []byte{1, 0, 0xc4, 0}
		}})},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			s := &Seeds{N: 1000, First: 1, sabotage: &fault.sabotage}
			t.Run("seeds", s.test)
			switch f := s.failure; {
			case f == nil:
				t.Errorf("%d seeds did not find it: %s", s.N, s.Counts.String())
			case len(f.Script.Steps) > 18: // of about 26: a fault that needs luck is not shrunk to the last step
				t.Errorf("the script is not short:\n%v", f)
			case !strings.Contains(f.Why, fault.want):
				t.Errorf("got %v, want a reason with %q", f, fault.want)
			default:
				t.Logf("after %d seeds: %v", s.Counts.Seeds.Load(), f)
			}
		})
	}
}

func results(f func(elastic.Result[out], func(elastic.Result[out]))) sabotage {
	return sabotage{result: f}
}

func faulty(b broken) sabotage {
	return sabotage{wrap: func(f far.Endpoint) far.Endpoint {
		b := b
		b.Endpoint = f
		return b
	}}
}

// third says whether a request is that of message 3, 13, and so on.
func third(request []byte) bool {
	r := pack.NewReader(request)
	return readMessage(&r).seq%10 == 3
}

// exchange holds results back until the next one has been given.
func exchange() func(elastic.Result[out], func(elastic.Result[out])) {
	var held atomic.Pointer[elastic.Result[out]]
	return func(r elastic.Result[out], got func(elastic.Result[out])) {
		if r.Seq%10 == 3 && held.CompareAndSwap(nil, &r) {
			return
		}
		got(r)
		if h := held.Swap(nil); h != nil {
			got(*h)
		}
	}
}

// The end of a run that hangs, panics or leaks must be a failure like any other.
func TestEndsAreFound(t *testing.T) {
	ends := []struct {
		name, want string
		handle     func()
	}{
		{"panic", "boom", func() { panic("boom") }},
		{"hang", "did not come within", func() { select {} }},
		{"leak", "goroutines are left", func() { go func() { select {} }() }},
	}
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			r := runner{t: t, count: new(Counts), sabotage: &sabotage{result: func(r elastic.Result[out], got func(elastic.Result[out])) {
				got(r)
				end.handle()
			}}}
			s, err := Parse("channel\nsend n=1")
			if err != nil {
				t.Fatal(err)
			}
			if why := r.run(s); !strings.Contains(why, end.want) {
				t.Errorf("got %q, want a reason with %q", fmt.Sprintf("%.500s", why), end.want)
			}
		})
	}
}
