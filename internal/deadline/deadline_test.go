package deadline_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/deadline"
)

// It ends as a context of the standard library does, whoever looks when.
func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		why    string
		limit  time.Duration
		parent time.Duration // deadline of the parent; 0: none
		cancel time.Duration // of the parent; 0: never
		end    time.Duration // End; 0: never
	}{
		{"at its deadline", 50 * time.Millisecond, 0, 0, 0},
		{"at the parent's, which is earlier", time.Second, 50 * time.Millisecond, 0, 0},
		{"at its own, which is earlier", 50 * time.Millisecond, time.Second, 0, 0},
		{"with its parent", time.Second, 0, 20 * time.Millisecond, 0},
		{"by End", time.Second, 0, 0, 20 * time.Millisecond},
		{"at once, by a limit below zero", -1, 0, 0, 0},
		{"without a limit by End", 0, 0, 0, 20 * time.Millisecond},
		{"without a limit with its parent", 0, 0, 20 * time.Millisecond, 0},
		{"without a limit at the parent's deadline", 0, 50 * time.Millisecond, 0, 0},
		{"End after the deadline changes nothing", 20 * time.Millisecond, 0, 0, 30 * time.Millisecond},
		{"nor does the parent's end", 20 * time.Millisecond, 0, 30 * time.Millisecond, 0},
	} {
		for _, late := range []time.Duration{0, 10 * time.Millisecond, 25 * time.Millisecond, time.Second / 2} { // Done is asked for
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
				defer cancel()
				if tt.parent > 0 {
					parent, cancel = context.WithTimeout(parent, tt.parent)
					defer cancel()
				}
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, cancel)
				}
				ours := deadline.New(parent, tt.limit)
				want, stop := context.WithCancel(parent)
				if tt.limit != 0 {
					want, stop = context.WithTimeout(parent, tt.limit)
				}
				defer stop()
				if tt.end > 0 {
					time.AfterFunc(tt.end, func() { ours.End(); stop() })
				}
				same(t, tt.why, ours, want)
				time.Sleep(late)
				synctest.Wait()
				same(t, tt.why, ours, want)
				begin := time.Now()
				<-want.Done()
				took := time.Since(begin)
				<-ours.Done()
				if d := time.Since(begin) - took; d != 0 {
					t.Errorf("%s: Done, asked for after %v, is %v late", tt.why, late, d)
				}
				same(t, tt.why, ours, want)
				ours.End()
				same(t, tt.why, ours, want)
			})
		}
	}
}

type key struct{}

// same checks that got is as want is.
func same(t *testing.T, why string, got, want context.Context) {
	t.Helper()
	gotAt, gotOK := got.Deadline()
	wantAt, wantOK := want.Deadline()
	if got.Err() != want.Err() || !gotAt.Equal(wantAt) || gotOK != wantOK || got.Value(key{}) != want.Value(key{}) {
		t.Errorf("%s: %v, %v, value %v; want %v, %v, value %v", why, got.Err(), gotAt, got.Value(key{}), want.Err(), wantAt, want.Value(key{}))
	}
	if got.Err() != nil && context.Cause(got) != context.Cause(want) {
		t.Errorf("%s: cause %v, want %v", why, context.Cause(got), context.Cause(want))
	}
}

// Messages overrun now and then, and contexts outlive their messages: the next message is
// never hit, and what is derived from a context ends with it.
func TestNextIsNeverHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 10 * time.Millisecond
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		var wg sync.WaitGroup
		var ended []context.Context
		overran := 0
		for i := range 2000 {
			ctx := deadline.New(t.Context(), limit)
			begin := time.Now()
			if ctx.Err() != nil {
				t.Fatalf("seed %d: message %d begins with %v", seed, i, ctx.Err())
			}
			child, stop := context.Context(ctx), context.CancelFunc(func() {})
			switch r.IntN(5) {
			case 0: // somebody waits, and goes on to wait after the message
				wg.Go(func() { <-ctx.Done() })
			case 1:
				child, stop = context.WithTimeout(ctx, time.Hour)
				context.AfterFunc(child, func() {})
			case 2:
				child = context.WithValue(ctx, key{}, i)
			}
			time.Sleep(time.Duration(r.Int64N(int64(limit + 2*time.Millisecond))))
			synctest.Wait()
			over := time.Since(begin) >= limit
			if got := ctx.Err(); over != (got == context.DeadlineExceeded) || !over && got != nil {
				t.Fatalf("seed %d: message %d after %v of %v: %v", seed, i, time.Since(begin), limit, got)
			}
			if over {
				overran++
			}
			ctx.End()
			synctest.Wait()
			if child.Err() == nil {
				t.Fatalf("seed %d: what message %d made of its context goes on", seed, i)
			}
			stop()
			if ended = append(ended, ctx, child); ended[r.IntN(len(ended))].Err() == nil {
				t.Fatalf("seed %d: after message %d a context of an earlier one goes on", seed, i)
			}
		}
		wg.Wait()
		if overran == 0 {
			t.Errorf("seed %d: no message overran", seed)
		}
	})
}

// Many goroutines use a context while it ends.
func TestHammer(t *testing.T) {
	for range 100 {
		ctx := deadline.New(t.Context(), time.Duration(1+rand.IntN(200))*time.Microsecond)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					ctx.Value(key{})
				}
				<-ctx.Done()
			})
		}
		if rand.IntN(2) == 0 {
			ctx.End()
		}
		wg.Wait()
		ctx.End()
	}
}

// A message for whose end nobody waits costs the context and nothing else.
func TestAllocs(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := testing.AllocsPerRun(100, func() {
		ctx := deadline.New(parent, time.Second)
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
		ctx.End()
	})
	if got > 1 {
		t.Errorf("a context costs %v allocations; want 1", got)
	}
}

func BenchmarkNew(b *testing.B) {
	parent, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.Run("lazy", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx := deadline.New(parent, time.Second)
			ctx.Err()
			ctx.End()
		}
	})
	b.Run("WithTimeout", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithTimeout(parent, time.Second)
			_ = ctx.Err()
			cancel()
		}
	})
}
