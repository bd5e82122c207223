package elastic_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// fragile returns an endpoint whose codecs are the application's own code: they panic at the
// number bad, and the state's when it has counted stateless messages.
func fragile(bad, stateless int64) *codegen.Endpoint[int64, int64] {
	ep := sums(true)
	ep.AppendIn = func(b []byte, n int64) []byte {
		if n == bad {
			panic("no code for it")
		}
		return pack.AppendInt(b, n)
	}
	fresh := ep.New
	ep.New = func() *codegen.Live[int64, int64] {
		l, handled := fresh(), int64(0)
		handle, appendState := l.Handle, l.AppendState
		l.Handle = func(ctx context.Context, n int64, emit func(int64) error) error {
			handled++
			return handle(ctx, n, emit)
		}
		l.AppendState = func(b []byte) []byte {
			if handled == stateless {
				panic("no code for the state")
			}
			return appendState(b)
		}
		return l
	}
	return ep
}

// A codec that panics costs the message, or the move, and nothing else.
func TestCodecsThatPanic(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		a := w.host("a", func() (far.Endpoint, error) { return native.New(sums(true)), nil })
		c := open(t, fragile(2, 2), elastic.Config{})
		var want int64
		send(t, c, 1, 2) // on the UE nothing is encoded
		expect(t, c, &want, 1, 2)
		if err := c.Move(t.Context(), a); !errors.As(err, new(offload.PanicError)) || c.Where() != "" {
			t.Errorf("move of a state that has no code: %v, at %q; want a panic's error, on the UE", err, c.Where())
		}
		send(t, c, 3, 1)
		expect(t, c, &want, 3, 1)
		if err := c.Move(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(t.Context(), 2); !errors.As(err, new(offload.PanicError)) {
			t.Errorf("send of a message that has no code: %v, want a panic's error", err)
		}
		r := make(chan error, 1)
		go func() { r <- c.Send(t.Context(), 4) }()
		select {
		case err := <-r:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the turn was not given back")
		}
		want = want*31 + 4
		if got, err := c.Recv(t.Context()); err != nil || got.Value != want {
			t.Errorf("after it: %+v, %v; want %d", got, err, want)
		}
	})
}

// Bytes of a host that make the application's decoder panic are a violation of the protocol.
func TestResultsThatMakeADecoderPanic(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		a := w.host("a", func() (far.Endpoint, error) { return native.New(sums(true)), nil })
		ep := sums(true)
		ep.ReadOut = func(r *pack.Reader) int64 {
			if n := r.Int(); n != 1 {
				return n
			}
			panic("a decoder of the application's")
		}
		c := open(t, ep, elastic.Config{})
		if err := c.Move(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		told := reason(t, c, elastic.FellBack)
		send(t, c, 1, 3)
		var want int64
		expect(t, c, &want, 1, 3)
		wantCode(t, "the fallback's reason", <-told, offload.CodeProtocol)
	})
}
