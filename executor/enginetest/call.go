package enginetest

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// spinTime is the deadline of guests that never end.
const spinTime = 30 * time.Millisecond

// call checks what sound guests do.
func (s suite) call(t *testing.T) {
	m := s.module(t, Guest(t, "basic"))
	in := instance(t, m, executor.InstanceConfig{})
	t.Run("Echo", func(t *testing.T) {
		for _, n := range []int{0, 1, 100, 4096, 65536} {
			mustEcho(t, in, strings.Repeat("x", n))
		}
	})
	t.Run("NoBuffer", func(t *testing.T) {
		in := instance(t, s.module(t, Guest(t, "buf0")), executor.InstanceConfig{})
		for range 2 { // bungee_buf answers -1, which is of no interest where there are no bytes
			call(t, in, 0, "", abi.OK)
		}
	})
	t.Run("Error", func(t *testing.T) {
		code, text, err := abi.ParseError([]byte(call(t, in, fnError, "no such frame", abi.Error)))
		if code != "" || text != "no such frame" || err != nil {
			t.Errorf("got code %q, text %q, %v; want no code and %q", code, text, err, "no such frame")
		}
		mustEcho(t, in, "an error breaks nothing")
	})
	t.Run("State", func(t *testing.T) {
		other := instance(t, m, executor.InstanceConfig{})
		for want := uint32(1); want <= 3; want++ {
			if got := number(call(t, in, fnCount, "", abi.OK)); got != want {
				t.Errorf("count: got %d, want %d: state stays between calls", got, want)
			}
		}
		if got := number(call(t, other, fnCount, "", abi.OK)); got != 1 {
			t.Errorf("count of another instance: got %d, want 1: instances share nothing", got)
		}
	})
	t.Run("Panic", func(t *testing.T) {
		other := instance(t, m, executor.InstanceConfig{})
		if got := call(t, other, fnPanic, "at the disco", abi.Panic); got != "at the disco" {
			t.Errorf("got %q, want %q", got, "at the disco")
		}
		mustDiscard(t, other)
		mustEcho(t, in, "not my panic")
	})
	t.Run("Close", func(t *testing.T) {
		other, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
		if err != nil {
			t.Fatal(err)
		}
		closed(t, other)
		mustDiscard(t, other)
	})
}

func number(payload string) uint32 { return binary.LittleEndian.Uint32([]byte(payload)) }

// fault checks what a broken or hostile guest costs: its instance.
func (s suite) fault(t *testing.T) {
	tests := []struct {
		name string
		why  string
		fn   uint32
		size int // of the request
		kind error
	}{
		{"Unreachable", "abort() and panics of most languages", fnTrap, 0, executor.ErrTrap},
		{"StackOverflow", "it must not reach the host's stack", fnDeep, 0, executor.ErrTrap},
		{"ReadOutside", "a wild pointer", fnReadOutside, 0, executor.ErrTrap},
		{"LogOutside", "a wild pointer given to a host function", fnLogOutside, 0, executor.ErrTrap},
		{"ReplyWraps", "pointer and length overflow 32 bits", fnReplyWraps, 0, executor.ErrABI},
		{"ReplyHuge", "length 2^32-1", fnReplyHuge, 0, executor.ErrABI},
		{"ReplyEmpty", "there is no status", fnReplyEmpty, 0, executor.ErrABI},
		{"ReplyStatus", "a status of another version", fnReplyStatus, 0, executor.ErrABI},
		{"ReplyPastEnd", "its first byte is just outside", fnReplyPastEnd, 0, executor.ErrABI},
		{"BufferOutside", "the host must not write there", fnEcho, 4099, executor.ErrABI},
		{"BufferTrap", "a trap before the function is entered", fnEcho, 4101, executor.ErrTrap},
	}
	m := s.module(t, Guest(t, "basic"))
	bystander := instance(t, m, executor.InstanceConfig{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := instance(t, m, executor.InstanceConfig{})
			mustEcho(t, in, "sound so far")
			_, err := in.Call(t.Context(), tt.fn, make([]byte, tt.size))
			t.Log(tt.why)
			mentions(t, err, tt.kind)
			if is(err, executor.ErrNotStarted) {
				t.Errorf("got %v, which says that the guest was not entered", err)
			}
			mustDiscard(t, in)
			mustEcho(t, bystander, "unharmed")
		})
	}
}

// deadline checks that a guest is stopped, at its deadline and not before.
func (s suite) deadline(t *testing.T) {
	m := s.module(t, Guest(t, "basic"))
	t.Run("Spin", func(t *testing.T) {
		in := instance(t, m, executor.InstanceConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), spinTime)
		defer cancel()
		_, err := in.Call(ctx, fnSpin, nil)
		mentions(t, err, executor.ErrDeadline)
		if d, _ := ctx.Deadline(); time.Now().Before(d) {
			t.Errorf("stopped %v before its deadline", time.Until(d))
		}
		if want := (executor.Bill{Calls: 1, Failed: 1, MemoryPeak: 2 << 16}); !s.meter && in.Last() != want {
			t.Errorf("got %+v, want %+v: who overruns pays, too", in.Last(), want)
		}
		mustDiscard(t, in)
	})
	t.Run("Told", func(t *testing.T) {
		in := instance(t, m, executor.InstanceConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r, err := in.Call(ctx, fnClock, nil)
		if err != nil {
			t.Fatal(err)
		}
		deadline, now := clocks(r.Payload)
		if left := deadline - now; left <= 0 || left > time.Hour {
			t.Errorf("guest read deadline %v and now %v: %v left; want at most an hour", deadline, now, left)
		}
	})
	t.Run("None", func(t *testing.T) {
		in := instance(t, m, executor.InstanceConfig{})
		if deadline, _ := clocks([]byte(call(t, in, fnClock, "", abi.OK))); deadline != 0 {
			t.Errorf("call without a deadline: guest was told %v, want 0", deadline)
		}
	})
	t.Run("Over", func(t *testing.T) {
		in := instance(t, m, executor.InstanceConfig{})
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		_, err := in.Call(ctx, fnCount, nil)
		mentions(t, err, executor.ErrNotStarted)
		mentions(t, err, context.DeadlineExceeded)
		if got := number(call(t, in, fnCount, "", abi.OK)); got != 1 {
			t.Errorf("count: got %d, want 1: the call whose deadline was over did not run", got)
		}
	})
	t.Run("Again", func(t *testing.T) {
		in := instance(t, m, executor.InstanceConfig{})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			if _, err := in.Call(ctx, fnEcho, []byte("hi")); err != nil {
				t.Errorf("call within its deadline: %v", err)
			}
			cancel()
		}
	})
}

// clocks reads what fnClock answers.
func clocks(payload []byte) (deadline, now time.Duration) {
	return time.Duration(binary.LittleEndian.Uint64(payload)), time.Duration(binary.LittleEndian.Uint64(payload[8:]))
}

// refused checks calls that fail without harm to the instance.
func (s suite) refused(t *testing.T) {
	in := instance(t, s.module(t, Guest(t, "basic")), executor.InstanceConfig{})
	t.Run("RequestTooLarge", func(t *testing.T) {
		_, err := in.Call(t.Context(), fnEcho, make([]byte, abi.MaxRequest+1))
		mentions(t, err, executor.ErrNotStarted, "67108864")
		mentions(t, err, executor.ErrTooLarge)
		mustEcho(t, in, "not entered")
	})
	t.Run("NoBuffer", func(t *testing.T) {
		_, err := in.Call(t.Context(), fnEcho, make([]byte, 4097))
		mentions(t, err, executor.ErrNotStarted, "4097")
		mentions(t, err, executor.ErrTooLarge)
		mustEcho(t, in, "not entered")
	})
}
