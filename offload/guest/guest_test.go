package guest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
)

// testHost is a host on the virtual clock of a synctest bubble.
func testHost(canceled *atomic.Bool) host {
	begin := time.Now()
	return host{
		now:      func() int64 { return int64(time.Since(begin)) },
		canceled: canceled.Load,
	}
}

func TestContextEnds(t *testing.T) {
	tests := []struct {
		why      string
		deadline time.Duration
		cancel   time.Duration
		end      bool
		want     error
		after    time.Duration
	}{
		{"at the deadline", 50 * time.Millisecond, 0, false, context.DeadlineExceeded, 50 * time.Millisecond},
		{"at the deadline, between two polls", 52 * time.Millisecond, 0, false, context.DeadlineExceeded, 52 * time.Millisecond},
		{"when cancelled, before the deadline", time.Second, 20 * time.Millisecond, false, context.Canceled, 20 * time.Millisecond},
		{"when cancelled, without a deadline", 0, 20 * time.Millisecond, false, context.Canceled, 20 * time.Millisecond},
		{"with the call", 0, 0, true, context.Canceled, 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			var canceled atomic.Bool
			ctx := &callContext{host: testHost(&canceled), deadline: int64(tt.deadline)}
			if tt.cancel != 0 {
				time.AfterFunc(tt.cancel-time.Nanosecond, func() { canceled.Store(true) })
			}
			if tt.end {
				go ctx.end()
			}
			begin := time.Now()
			<-ctx.Done()
			if took := time.Since(begin); ctx.Err() != tt.want || took != tt.after {
				t.Errorf("%s: %v after %v; want %v after %v", tt.why, ctx.Err(), took, tt.want, tt.after)
			}
			ctx.end()
			if ctx.Err() != tt.want {
				t.Errorf("%s: the end of the call made it %v; want %v", tt.why, ctx.Err(), tt.want)
			}
		})
	}
}

// TestContextErrIsEnough checks that no timer is needed: Err looks by itself,
// and Done afterwards is closed.
func TestContextErrIsEnough(t *testing.T) {
	now := int64(0)
	ctx := &callContext{host: host{now: func() int64 { return now }, canceled: func() bool { return false }}, deadline: 10}
	if err := ctx.Err(); err != nil {
		t.Fatalf("before the deadline: %v", err)
	}
	now = 10
	if err := ctx.Err(); err != context.DeadlineExceeded {
		t.Errorf("at the deadline: %v; want %v", err, context.DeadlineExceeded)
	}
	select {
	case <-ctx.Done():
	default:
		t.Error("Done is open after Err")
	}
}

// A panic becomes a reply that says what and where in its first line.
func TestPanicBecomesAReply(t *testing.T) {
	Register(func(context.Context, []byte, []byte) []byte { panic(errors.New("on purpose")) })
	got := serve(context.Background(), 0, nil, []byte("before"))
	payload, ok := strings.CutPrefix(string(got), "before\x02")
	line, stack := abi.SplitPanic([]byte(payload))
	if !ok || !strings.HasPrefix(line, "on purpose (guest.TestPanicBecomesAReply") || len(stack) == 0 {
		t.Errorf("reply %q; want status 2, what and where, and a stack", got)
	}
}

// TestPanicBounds checks that a reply stays in bounds, whatever was panicked.
func TestPanicBounds(t *testing.T) {
	Register(func(context.Context, []byte, []byte) []byte { panic(strings.Repeat("x", 2*abi.MaxText)) })
	if got := serve(context.Background(), 0, nil, nil); len(got) > abi.MaxText+1 {
		t.Errorf("reply of %d bytes; the most is %d", len(got), abi.MaxText+1)
	}
}
