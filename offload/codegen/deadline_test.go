package codegen_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
)

// early stops calls a little before the deadline of their caller.
type early struct{ by time.Duration }

func (e early) Route(*offload.Desc) *route.Way { return &route.Way{Caller: e} }

func (e early) Call(ctx context.Context, d *offload.Desc, _ []byte) (*route.Reply, error) {
	by, _ := ctx.Deadline()
	select {
	case <-time.After(time.Until(by) - e.by):
	case <-ctx.Done():
	}
	return nil, &offload.CallError{Func: d.Name, Host: "edge-1", Code: offload.CodeDeadline, Fate: offload.Stopped, Err: errors.New("stopped by the host")}
}

// A deadline is the context's error, and nobody hears of it before the context has ended.
func TestDeadlineIsTheContexts(t *testing.T) {
	for _, before := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			defer route.Use(route.Use(early{before}))
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			f := brightness
			f.Native = func(context.Context, []byte) (float64, error) { t.Error("ran after the deadline"); return 0, nil }
			begin := time.Now()
			_, err := f.Call(ctx, []byte{1})
			if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil || took != 100*time.Millisecond {
				t.Errorf("stopped %v before: %v after %v, the context: %v", before, err, took, ctx.Err())
			}
		})
	}
}

// The deadline of a mark is another one: what is left of the caller's is for the native run.
func TestDeadlineOfMarkFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer route.Use(route.Use(early{20 * time.Millisecond}))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		f := brightness
		f.Deadline = 80 * time.Millisecond
		begin := time.Now()
		if got, err := f.Call(ctx, []byte{4}); got != 4 || err != nil || time.Since(begin) != 80*time.Millisecond {
			t.Errorf("got %v, %v after %v", got, err, time.Since(begin))
		}
	})
}

// A caller that gave up with a cause of its own has context.Canceled all the same.
func TestCancelIsTheContexts(t *testing.T) {
	err := &offload.CallError{Func: "f", Code: offload.CodeCanceled, Err: errors.New("the user left")}
	if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is no context.Canceled, or a deadline", err)
	}
}
