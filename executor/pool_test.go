package executor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wazero"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Functions of the guest basic.
const (
	fnEcho  = 0
	fnPanic = 2
	fnCount = 3
	fnTrap  = 4
)

// module loads a guest of enginetest.
func module(t *testing.T, name string) executor.Module {
	t.Helper()
	e, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Load(t, e, enginetest.Guest(t, name))
}

func newPool(t *testing.T, guest string, size int) *executor.Pool {
	t.Helper()
	p := executor.NewPool(module(t, guest), executor.PoolConfig{Size: size})
	t.Cleanup(p.Close)
	return p
}

func ignore(executor.Answer) error { return nil }

func TestPoolKeepsInstances(t *testing.T) {
	p := newPool(t, "basic", 4)
	for want := uint32(1); want <= 3; want++ {
		err := p.Call(t.Context(), fnCount, nil, func(r executor.Answer) error {
			if got := binary.LittleEndian.Uint32(r.Payload); got != want {
				t.Errorf("call %d: got count %d: calls one after the other share an instance", want, got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := p.Stats(), (executor.PoolStats{Instances: 1, Calls: 3, Made: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPoolDiscards(t *testing.T) {
	tests := []struct {
		why     string
		fn      uint32
		request int
		want    error // of Call
		left    executor.PoolStats
	}{
		{"a trap leaves memory as it was", fnTrap, 0, executor.ErrTrap, executor.PoolStats{Calls: 1, Discarded: 1, Made: 1}},
		{"a panic may leave locks held", fnPanic, 0, nil, executor.PoolStats{Calls: 1, Discarded: 1, Made: 1}},
		{"a refused request was never seen", fnEcho, 4097, executor.ErrNotStarted, executor.PoolStats{Calls: 1, Instances: 1, Made: 1}},
	}
	for _, tt := range tests {
		p := newPool(t, "basic", 1)
		if err := p.Call(t.Context(), tt.fn, make([]byte, tt.request), ignore); !errors.Is(err, tt.want) {
			t.Errorf("function %d: got %v, want %v", tt.fn, err, tt.want)
		}
		if got := p.Stats(); got != tt.left {
			t.Errorf("function %d: got %+v, want %+v: %s", tt.fn, got, tt.left, tt.why)
		}
		if err := p.Call(t.Context(), fnEcho, nil, ignore); err != nil {
			t.Errorf("the next call: %v", err)
		}
	}
}

func TestPoolKeepsTheInstanceOfATooLargeReply(t *testing.T) {
	cfg := executor.PoolConfig{Size: 1, Instance: executor.InstanceConfig{Limits: executor.Limits{Output: 100}}}
	p := executor.NewPool(module(t, "basic"), cfg)
	t.Cleanup(p.Close)
	if err := p.Call(t.Context(), fnEcho, make([]byte, 101), ignore); !errors.Is(err, executor.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, executor.ErrTooLarge)
	}
	if got, want := p.Stats(), (executor.PoolStats{Instances: 1, Calls: 1, Made: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPoolReturnsTheErrorOfUse(t *testing.T) {
	p := newPool(t, "basic", 1)
	broken := errors.New("broken pipe")
	err := p.Call(t.Context(), fnEcho, nil, func(executor.Answer) error { return broken })
	if err != broken {
		t.Errorf("got %v, want %v", err, broken)
	}
	if got := p.Stats(); got.Instances != 1 || got.Discarded != 0 {
		t.Errorf("got %+v; want the instance kept: the guest did its part", got)
	}
}

// hold calls p and keeps the instance until release is called, which waits for
// the call's end.
func hold(t *testing.T, p *executor.Pool) (release func()) {
	t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := p.Call(t.Context(), fnEcho, nil, func(executor.Answer) error {
			close(held)
			<-free
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	return func() { close(free); wg.Wait() }
}

func TestPoolWaitEndsWithContext(t *testing.T) {
	p := newPool(t, "basic", 1)
	release := hold(t, p)
	defer release()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("frame is stale"))
	defer cancel()
	err := p.Call(ctx, fnEcho, nil, ignore)
	if !errors.Is(err, executor.ErrNotStarted) || !errors.Is(err, context.Cause(ctx)) {
		t.Errorf("got %v; want %v because of %v", err, executor.ErrNotStarted, context.Cause(ctx))
	}
	if got := p.Stats(); got.Calls != 1 || got.Busy != 1 {
		t.Errorf("got %+v; want the one call that holds the instance", got)
	}
}

func TestPoolQueueTime(t *testing.T) {
	p := newPool(t, "basic", 1)
	release := hold(t, p)
	begin := time.Now()
	var queued time.Duration
	var wg sync.WaitGroup
	wg.Go(func() {
		err := p.Call(t.Context(), fnEcho, nil, func(a executor.Answer) error {
			queued = a.Queue
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	release()
	wg.Wait()
	if took := time.Since(begin); queued <= 0 || queued > took {
		t.Errorf("got queue time %v of %v", queued, took)
	}
}

func TestPoolCloseWaitsForCalls(t *testing.T) {
	p := newPool(t, "basic", 2)
	var ended atomic.Bool
	var wg sync.WaitGroup
	err := p.Call(t.Context(), fnEcho, []byte("payload"), func(r executor.Answer) error {
		wg.Go(func() {
			p.Close()
			if !ended.Load() {
				t.Error("Close returned before the call ended")
			}
		})
		// Once Close has begun, calls are refused.
		for p.Call(t.Context(), fnEcho, nil, ignore) == nil {
		}
		if string(r.Payload) != "payload" {
			t.Errorf("got %q; want the reply whole until use returns", r.Payload)
		}
		ended.Store(true)
		return nil
	})
	wg.Wait()
	if err != nil {
		t.Errorf("the running call: %v", err)
	}
	if err := p.Call(t.Context(), fnEcho, nil, ignore); !errors.Is(err, executor.ErrPoolClosed) {
		t.Errorf("call after Close: got %v, want %v", err, executor.ErrPoolClosed)
	}
	if got := p.Stats(); got.Instances != 0 || got.Busy != 0 {
		t.Errorf("after Close: got %+v; want no instance", got)
	}
}

func TestPoolWarm(t *testing.T) {
	p := newPool(t, "basic", 3)
	for _, step := range []struct {
		n, want int
		why     string
	}{
		{2, 2, "as many as asked for"},
		{1, 2, "there are enough"},
		{9, 3, "no more than its size"},
	} {
		if err := p.Warm(t.Context(), step.n); err != nil {
			t.Fatal(err)
		}
		if got := p.Stats(); got.Instances != step.want || got.Busy != 0 {
			t.Errorf("Warm(%d): got %+v, want %d instances: %s", step.n, got, step.want, step.why)
		}
	}
}

func TestPoolInstanceThatCannotBeMade(t *testing.T) {
	p := newPool(t, "unknown", 1)
	for range 2 { // the second finds the ticket of the first given back
		err := p.Call(t.Context(), fnEcho, nil, ignore)
		if !errors.Is(err, executor.ErrNotStarted) || !errors.Is(err, executor.ErrABI) {
			t.Errorf("got %v; want %v because of %v", err, executor.ErrNotStarted, executor.ErrABI)
		}
	}
	if err := p.Warm(t.Context(), 1); !errors.Is(err, executor.ErrABI) {
		t.Errorf("Warm: got %v, want %v", err, executor.ErrABI)
	}
	if got, want := p.Stats(), (executor.PoolStats{}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Warm, calls of both kinds and Close at once: nothing is lost or held.
func TestPoolHammer(t *testing.T) {
	const callers, rounds, size = 6, 100, 2
	p := newPool(t, "basic", size)
	var wg sync.WaitGroup
	var closed atomic.Uint64
	for c := range callers {
		wg.Go(func() {
			for i := range rounds {
				if c == 0 && i == rounds/2 {
					p.Close()
				}
				fn := uint32(fnEcho)
				if i%10 == c {
					fn = fnTrap
				}
				err := p.Call(t.Context(), fn, nil, ignore)
				if errors.Is(err, executor.ErrPoolClosed) {
					closed.Add(1)
				} else if (err != nil) != (fn == fnTrap) {
					t.Errorf("caller %d round %d, function %d: %v", c, i, fn, err)
				}
				if err := p.Warm(t.Context(), size); err != nil && !errors.Is(err, executor.ErrPoolClosed) {
					t.Errorf("warm: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := p.Stats(); got.Calls+closed.Load() != callers*rounds || got.Instances != 0 || got.Busy != 0 {
		t.Errorf("got %+v and %d refused; want %d in all and no instance left", got, closed.Load(), callers*rounds)
	}
}

func TestAddSpan(t *testing.T) {
	call := &executor.Call{}
	ctx := executor.WithCall(t.Context(), call)
	for i := range 40 {
		executor.AddSpan(ctx, string(rune('a'+i%20)), time.Millisecond)
	}
	executor.AddSpan(context.Background(), "nobody listens", 1)
	spans := call.Spans
	if len(spans) != 16 || spans[0] != (executor.Span{Name: "a", Time: 2 * time.Millisecond}) {
		t.Errorf("got %d spans, the first %v; want 16, and two of a added up", len(spans), spans[:1])
	}
}
