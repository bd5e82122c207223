package elastic_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// wantCode checks the code of an error, and that a deadline is one to errors.Is.
func wantCode(t *testing.T, what string, err error, code offload.Code) {
	t.Helper()
	if err == nil || offload.CodeOf(err) != code {
		t.Errorf("%s: error %v with code %q, want %q", what, err, offload.CodeOf(err), code)
	}
	if late := code == offload.CodeDeadline; errors.Is(err, context.DeadlineExceeded) != late {
		t.Errorf("%s: error %v is context.DeadlineExceeded: %t, want %t", what, err, !late, late)
	}
}

// frail is a far endpoint that fails on each message, as a host tells it.
type frail struct {
	far.Endpoint
	fail   error
	status abi.Status
}

func (f frail) Handle(context.Context, []byte) (abi.Status, []byte, error) {
	return f.status, []byte("boo"), f.fail
}

// What a message comes to that breaks its guest.
func TestCodesOfResults(t *testing.T) {
	fail := func(code offload.Code) frail { return frail{fail: &wire.Fail{Code: code, Started: true}} }
	tests := []struct {
		far  frail
		code offload.Code
		fate offload.Fate
	}{
		{fail(offload.CodeTrapped), offload.CodeTrapped, offload.Stopped},
		{fail(offload.CodeOutOfMemory), offload.CodeOutOfMemory, offload.Stopped},
		{fail(offload.CodeOutOfFuel), offload.CodeOutOfFuel, offload.Stopped},
		{frail{status: abi.Panic}, offload.CodePanicked, offload.Ended},
	}
	for _, tt := range tests {
		for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
			inBoth(t, func(t *testing.T, w *world) {
				h := w.host("a", func() (far.Endpoint, error) {
					f := tt.far
					f.Endpoint = native.New(sums(true))
					return f, nil
				})
				c := open(t, sums(true), elastic.Config{Mode: mode})
				if err := c.Move(t.Context(), h); err != nil {
					t.Fatal(err)
				}
				send(t, c, 1, 1)
				r, err := c.Recv(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				wantCode(t, "result", r.Err, tt.code)
				var ce *offload.CallError
				if !errors.As(r.Err, &ce) || ce.Fate != tt.fate || ce.Host != "a" {
					t.Errorf("%s: %+v; want a CallError of fate %v on a", tt.code, ce, tt.fate)
				}
				if panicked := errors.As(r.Err, new(offload.PanicError)); panicked != (tt.code == offload.CodePanicked) {
					t.Errorf("%s: %v is a panic: %t", tt.code, r.Err, panicked)
				}
			})
		}
	}
}

// answering returns a host that answers the first frame of each stream with b.
func answering(w *world, b []byte) *host {
	h := w.host("rude", nil)
	h.rude = func(_ wire.Type, st link.Stream) {
		wire.ReadAttach(st)
		st.Write(b)
		st.Close()
	}
	return h
}

// refusing returns a host that makes no far endpoints.
func refusing(code offload.Code) func(*world) elastic.Target {
	return func(w *world) elastic.Target {
		return w.host("a", func() (far.Endpoint, error) { return nil, &wire.Fail{Code: code} })
	}
}

// unready is a target that cannot be prepared.
type unready struct{ err error }

func (unready) Name() string { return "unready" }

func (u unready) Prepare(context.Context, *offload.Desc) (elastic.Host, error) { return nil, u.err }

// gone is a host that is lost between Prepare and Open.
type gone struct{ spot }

func (gone) Name() string                                                   { return "gone" }
func (g gone) Prepare(context.Context, *offload.Desc) (elastic.Host, error) { return g, nil }
func (gone) Open(context.Context, elastic.Priority) (elastic.Stream, error) {
	return nil, link.ErrNoAnswer
}

// What a Move says that changed nothing, and the event that tells of it.
func TestCodesOfMoves(t *testing.T) {
	tests := []struct {
		name   string
		target func(w *world) elastic.Target
		code   offload.Code
		why    string
	}{
		{"no module", refusing(offload.CodeNoModule), offload.CodeNoModule, "the host's own word"},
		{"denied", refusing(offload.CodeDenied), offload.CodeDenied, ""},
		{"overloaded", refusing(offload.CodeOverloaded), offload.CodeOverloaded, ""},
		{"draining", refusing(offload.CodeDraining), offload.CodeDraining, ""},
		{"out of memory", refusing(offload.CodeOutOfMemory), offload.CodeOutOfMemory, "its instance could not be made"},
		{"another frame", func(w *world) elastic.Target { return answering(w, wire.AppendSnapshot(nil, wire.Snapshot{})) }, offload.CodeProtocol, "it does not answer an Attach"},
		{"half an answer", func(w *world) elastic.Target { return answering(w, attached(plenty)[:9]) }, offload.CodeLost, "the stream ended"},
		{"no answer", func(w *world) elastic.Target { return answering(w, nil) }, offload.CodeLost, "likewise"},
		{"nobody there", func(*world) elastic.Target { return unready{link.ErrNoAnswer} }, offload.CodeUnavailable, "an error without a code"},
		{"refused by the target", func(*world) elastic.Target { return unready{&wire.Fail{Code: offload.CodeBadModule}} }, offload.CodeBadModule, "a code of its own"},
		{"lost at once", func(*world) elastic.Target { return gone{} }, offload.CodeLost, ""},
		{"late", func(w *world) elastic.Target {
			w.air.Silence(true)
			return w.host("silent", nativeSum)
		}, offload.CodeDeadline, "the caller's deadline"},
	}
	for _, tt := range tests {
		for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
			inBoth(t, func(t *testing.T, w *world) {
				c := open(t, sums(true), elastic.Config{Mode: mode})
				told := reason(t, c, elastic.MoveFailed)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				wantCode(t, tt.name, c.Move(ctx, tt.target(w)), tt.code)
				wantCode(t, tt.name+", as an event", <-told, tt.code)
				if t.Failed() {
					t.Log(tt.why)
				}
				w.air.Silence(false)
			})
		}
	}
}

// reason returns the Reason of the next event of kind.
func reason(t *testing.T, c *elastic.Channel[int64, int64], kind elastic.Kind) <-chan error {
	why := make(chan error, 1)
	events := c.Events(t.Context())
	go func() {
		for e := range events {
			if e.Kind == kind {
				why <- e.Reason
				return
			}
		}
	}()
	return why
}

// Why a channel leaves its host.
func TestCodesOfFallbacks(t *testing.T) {
	halt := func(code offload.Code) []byte { return wire.AppendHalt(nil, wire.Halt{Fail: wire.Fail{Code: code}}) }
	tests := []struct {
		name  string
		after []byte // what the host sends at a message; it ends the stream then
		hang  bool   // it does not
		code  offload.Code
	}{
		{"the end", nil, false, offload.CodeLost},
		{"half a frame", halt(0)[:4], false, offload.CodeLost},
		{"silence", nil, true, offload.CodeDeadline},
		{"no frame of ours", []byte{0xee}, true, offload.CodeProtocol},
		{"a frame out of bounds", wire.AppendOutcome(nil, wire.Outcome{Epoch: 1, Seq: 1, Size: wire.MaxPayload + 1}), true, offload.CodeProtocol},
		{"an outcome of another", wire.AppendOutcome(nil, wire.Outcome{Epoch: 1, Seq: 9}), true, offload.CodeProtocol},
		{"a halt for the protocol", halt(offload.CodeProtocol), true, offload.CodeProtocol},
		{"a halt of its own", halt(offload.CodeInternal), true, offload.CodeInternal},
		{"a halt at a deadline", halt(offload.CodeDeadline), true, offload.CodeDeadline},
	}
	for _, tt := range tests {
		inBoth(t, func(t *testing.T, w *world) {
			h := w.host("rude", nil)
			h.rude = func(typ wire.Type, st link.Stream) {
				if typ != wire.TypeAttach {
					st.Reset()
					return
				}
				wire.ReadAttach(st)
				st.Write(attached(plenty))
				io.ReadFull(st, make([]byte, 18)) // the Restore
				st.Write(wire.AppendCredit(nil, wire.TypeCredit, plenty))
				io.ReadFull(st, make([]byte, wire.MessageHeader))
				st.Write(tt.after)
				if !tt.hang {
					st.Close()
				}
				io.Copy(io.Discard, st)
			}
			c := open(t, sums(true), elastic.Config{Deadline: time.Second})
			if err := c.Move(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			told := reason(t, c, elastic.FellBack)
			send(t, c, 1, 1)
			wantCode(t, tt.name, <-told, tt.code)
		})
	}
}

// What the methods say once a channel has ended, and when their ctx ends first.
func TestCodesOfEnds(t *testing.T) {
	ended := func(t *testing.T, c *elastic.Channel[int64, int64], code offload.Code, shutdown error) {
		t.Helper()
		_, err := c.Recv(t.Context())
		wantCode(t, "Recv", err, code)
		wantCode(t, "Send", c.Send(t.Context(), 1), code)
		wantCode(t, "Move", c.Move(t.Context(), nil), code)
		if err := c.Shutdown(t.Context()); !errors.Is(err, shutdown) {
			t.Errorf("Shutdown: %v, want %v", err, shutdown)
		}
	}
	t.Run("closed", func(t *testing.T) {
		c := open(t, sums(true), elastic.Config{})
		c.Close()
		ended(t, c, offload.CodeCanceled, nil)
	})
	t.Run("lost", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			c := open(t, sums(false), elastic.Config{})
			h := w.host("a", nativeSum)
			if err := c.Move(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			h.stop()
			synctest.Wait()
			ended(t, c, offload.CodeLost, elastic.ErrLost)
		})
	})
	t.Run("state", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			ep := sums(true)
			c := open(t, ep, elastic.Config{})
			h := w.host("a", func() (far.Endpoint, error) { return native.New(otherState()), nil })
			if err := c.Move(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			wantCode(t, "Move home", c.Move(t.Context(), nil), offload.CodeBadModule)
		})
	})
	t.Run("ctx", func(t *testing.T) {
		inBoth(t, func(t *testing.T, w *world) {
			c := open(t, sums(true), elastic.Config{Window: 1})
			h := w.host("a", func() (far.Endpoint, error) { return slow{native.New(sums(true))}, nil })
			if err := c.Move(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			send(t, c, 1, 1)
			late, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.Recv(late)
			wantCode(t, "Recv", err, offload.CodeDeadline)
			wantCode(t, "Send", c.Send(late, 2), offload.CodeDeadline)
			wantCode(t, "Move", c.Move(late, nil), offload.CodeDeadline)
			given, giveUp := context.WithCancel(t.Context())
			giveUp()
			_, err = c.Recv(given)
			wantCode(t, "Recv", err, offload.CodeCanceled)
			wantCode(t, "Send", c.Send(given, 2), offload.CodeCanceled)
			wantCode(t, "Shutdown", c.Shutdown(late), offload.CodeDeadline)
		})
	})
}

// A message that is too large is refused before it is sent.
func TestCodeOfALargeMessage(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := sums(true)
		ep.AppendIn = func(b []byte, n int64) []byte { return append(b, make([]byte, wire.MaxPayload+1)...) }
		c := open(t, ep, elastic.Config{})
		if err := c.Move(t.Context(), w.host("a", nativeSum)); err != nil {
			t.Fatal(err)
		}
		wantCode(t, "Send", c.Send(t.Context(), 1), offload.CodeTooLarge)
		if s := c.Stats(); s.Sent != 0 {
			t.Errorf("%d messages sent, want none", s.Sent)
		}
	})
}

// slow takes an hour for a message.
type slow struct{ far.Endpoint }

func (s slow) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	select {
	case <-time.After(time.Hour):
	case <-ctx.Done():
	}
	return s.Endpoint.Handle(ctx, request)
}

// otherState is sum as another version of its source has it.
func otherState() *codegen.Endpoint[int64, int64] {
	ep := sums(true)
	was := ep.New
	ep.New = func() *codegen.Live[int64, int64] {
		live := was()
		live.AppendState = func(b []byte) []byte { return append(b, 0xc1) }
		return live
	}
	return ep
}
