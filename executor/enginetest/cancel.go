package enginetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// cancel checks that a guest sees that its call was cancelled, is left to end by
// itself, and is stopped when it does not.
func (s suite) cancel(t *testing.T) {
	m := s.module(t, Guest(t, "basic"))
	t.Run("Seen", func(t *testing.T) {
		// On a busy machine a guest may not get to run within its grace, but
		// not each time.
		for range 50 {
			if sees(t, m) {
				return
			}
		}
		t.Errorf("a guest that ends once it is cancelled was stopped, 50 times; it has %v", executor.CancelGrace)
	})
	t.Run("Ignored", func(t *testing.T) {
		for range 10 {
			ignores(t, m)
		}
	})
	t.Run("FromElsewhere", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		entered := make(chan struct{})
		in := instance(t, m, executor.InstanceConfig{Log: func(string) { close(entered) }})
		var wg sync.WaitGroup
		wg.Go(func() { <-entered; cancel() })
		_, err := in.Call(ctx, fnLogSpin, nil)
		wg.Wait()
		mentions(t, err, executor.ErrCanceled)
	})
	t.Run("DeadlineInGrace", func(t *testing.T) {
		// Whichever comes first, it is stopped once and for one reason.
		ctx, stop := context.WithTimeout(t.Context(), executor.CancelGrace/2)
		defer stop()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		in := instance(t, m, executor.InstanceConfig{Log: func(string) { cancel() }})
		if _, err := in.Call(ctx, fnLogSpin, nil); !is(err, executor.ErrCanceled) && !is(err, executor.ErrDeadline) && !is(err, executor.ErrNotStarted) {
			t.Errorf("got %v, want %v or %v", err, executor.ErrDeadline, executor.ErrCanceled)
		}
	})
	t.Run("InHostFunction", func(t *testing.T) {
		open := 0
		ctx, cancel := context.WithCancel(t.Context())
		host := instance(t, s.module(t, Guest(t, "host")), executor.InstanceConfig{Host: []executor.HostFuncs{hostModule(&open)}})
		waits := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { <-waits; cancel() })
		_, err := host.Call(context.WithValue(ctx, waitsKey{}, waits), fnWait, nil)
		wg.Wait()
		mentions(t, err, executor.ErrCanceled, "wait")
		mustDiscard(t, host)
	})
	t.Run("Init", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		in, err := s.module(t, Guest(t, "initspin")).Instantiate(ctx, executor.InstanceConfig{})
		if err == nil {
			closed(t, in)
		}
		// It may be cancelled before it begins.
		if !is(err, executor.ErrCanceled) && !is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, executor.ErrCanceled)
		}
	})
}

// sees cancels a call of a guest that waits for that, and says whether it was left to
// end by itself.
func sees(t *testing.T, m executor.Module) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The guest logs when it has been entered.
	in := instance(t, m, executor.InstanceConfig{Log: func(string) { cancel() }})
	r, err := in.Call(ctx, fnAwaitCancel, []byte("entered"))
	if is(err, executor.ErrCanceled) {
		return false
	}
	if err != nil || r.Status != abi.OK {
		t.Fatalf("got %v, %v; want an answer", r, err)
	}
	_, err = in.Call(ctx, fnEcho, nil)
	mentions(t, err, executor.ErrNotStarted)
	mentions(t, err, context.Canceled)
	mustEcho(t, in, "still sound")
	return true
}

// ignores cancels a call of a guest that spins, and checks that it is stopped, and not
// before its grace is over.
func ignores(t *testing.T, m executor.Module) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var at time.Time
	in := instance(t, m, executor.InstanceConfig{Log: func(string) { at = time.Now(); cancel() }})
	_, err := in.Call(ctx, fnLogSpin, nil)
	mentions(t, err, executor.ErrCanceled)
	if took := time.Since(at); took < executor.CancelGrace {
		t.Errorf("stopped %v after it was cancelled; it may go on for %v", took, executor.CancelGrace)
	}
	mustDiscard(t, in)
}
