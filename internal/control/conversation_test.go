package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// converse gives f a peer's end of a conversation with a manager, which answers what the peer says.
func converse(t *testing.T, from []wire.Type, answer func(*control.Conversation, wire.ManagerFrame), f func(t *testing.T, st link.Stream)) {
	connect(t, func(st link.Stream) {
		c := control.Converse(st, from)
		for {
			frame, err := c.Next()
			if err == io.EOF {
				st.Close()
				return
			}
			if err != nil {
				c.Refuse(err)
				return
			}
			answer(c, frame)
		}
	}, func(t *testing.T, ue *link.Conn) { f(t, open(t, ue)) })
}

func nothing(*control.Conversation, wire.ManagerFrame) {}

// Both ends speak at any time, over a silence of any length, and lists come whole.
func TestConversation(t *testing.T) {
	var heard []wire.ManagerFrame
	adopted := wire.Adopted{Run: wire.Run{1}, Epoch: 2}
	for range 1000 {
		adopted.Revoked = append(adopted.Revoked, "spiffe://edge/tenant/acme/ue/headset")
	}
	answer := func(c *control.Conversation, f wire.ManagerFrame) {
		heard = append(heard, f)
		switch f.(type) {
		case wire.Holding:
			c.Send(adopted)
		case wire.Beat:
			c.Send(wire.Order{Number: 7, Kind: wire.OrderDrain})
		}
	}
	converse(t, control.FromHost, answer, func(t *testing.T, st link.Stream) {
		c := control.Converse(st, control.ManagerToHost)
		said := []wire.ManagerFrame{
			wire.Register{Addresses: []string{"10.0.0.2:4433"}, Turns: 2},
			wire.Holding{Leases: make([][]byte, 100)},
			wire.Beat{Number: 1, Sessions: make([]wire.SessionBeat, 500)},
			wire.Did{Number: 7},
		}
		for _, f := range said {
			if err := c.Send(f); err != nil {
				t.Errorf("%T: %v", f, err)
			}
			time.Sleep(time.Hour)
		}
		synctest.Wait()
		if !cmp.Equal(heard, said, cmpopts.EquateEmpty()) {
			t.Errorf("the manager heard something else: %s", cmp.Diff(said, heard, cmpopts.EquateEmpty()))
		}
		for _, want := range []wire.ManagerFrame{adopted, wire.Order{Number: 7, Kind: wire.OrderDrain}} {
			if got, err := c.Next(); err != nil || !cmp.Equal(got, want, cmpopts.EquateEmpty()) {
				t.Errorf("the host heard %T, %v; want %T", got, err, want)
			}
		}
	})
}

// What a peer may not say, or does not end, ends the conversation with a Fail that says so.
func TestConversationIsRefused(t *testing.T) {
	beat, _ := wire.AppendManagerFrame(nil, wire.Beat{Number: 1, More: true})
	did, _ := wire.AppendManagerFrame(nil, wire.Did{Number: 1})
	ask, _ := wire.AppendManagerFrame(nil, wire.Ask{Session: 1})
	tests := []struct {
		name  string
		bytes []byte
		after time.Duration
	}{
		{"a UE's frame", ask, 0},
		{"a frame of a session", wire.AppendControl(nil, wire.TypeHello, wire.Hello{}), 0},
		{"an unknown frame", []byte{0x7f, 0, 1, 0x90}, 0},
		{"half a frame", did[:5], wire.FrameTimeout},
		{"a type only", did[:1], wire.FrameTimeout},
		{"half a list", beat, wire.FrameTimeout},
		{"another frame in a list", append(beat[:len(beat):len(beat)], did...), 0},
		{"a frame over a bound", wire.AppendControl(nil, wire.TypeDid, wire.Did{Ready: -1}), 0},
	}
	for _, tt := range tests {
		converse(t, control.FromHost, nothing, func(t *testing.T, st link.Stream) {
			begin := time.Now()
			st.Write(tt.bytes)
			_, err := control.Converse(st, control.ManagerToHost).Next()
			var fail *wire.Fail
			isLate := tt.after > 0
			if !errors.As(err, &fail) || fail.Code != offload.CodeProtocol && !isLate {
				t.Errorf("%s: %v, want a Fail with code %v", tt.name, err, offload.CodeProtocol)
			}
			if took := time.Since(begin); took < tt.after || took > tt.after+time.Second {
				t.Errorf("%s: refused after %v, want %v", tt.name, took, tt.after)
			}
		})
	}
}

// A Fail of either end is the other's error.
func TestConversationFails(t *testing.T) {
	second := &wire.Fail{Code: offload.CodeDenied, Text: "another manager is obeyed"}
	var got chan error // made in the bubble of the test
	serve := func(st link.Stream) {
		_, err := control.Converse(st, control.FromHost).Next()
		got <- err
		st.Close()
	}
	connect(t, serve, func(t *testing.T, ue *link.Conn) {
		got = make(chan error, 1)
		c := control.Converse(open(t, ue), control.ManagerToHost)
		if fail := c.Refuse(second); *fail != *second {
			t.Errorf("Refuse returns %v", fail)
		}
		var fail *wire.Fail
		if err := <-got; !errors.As(err, &fail) || *fail != *second {
			t.Errorf("the manager has %v, want %v", err, second)
		}
	})
}

// A frame over its bounds is not said, and ends nothing.
func TestSendOutOfBounds(t *testing.T) {
	var said chan wire.ManagerFrame // made in the bubble of the test
	converse(t, control.FromHost, func(_ *control.Conversation, f wire.ManagerFrame) { said <- f }, func(t *testing.T, st link.Stream) {
		said = make(chan wire.ManagerFrame, 1)
		c := control.Converse(st, control.ManagerToHost)
		if err := c.Send(wire.Did{Ready: -1}); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("a Did over its bounds: %v, want %v", err, wire.ErrFrame)
		}
		if err := c.Send(wire.Did{Number: 2}); err != nil {
			t.Errorf("the next one: %v", err)
		}
		if f := (<-said).(wire.Did); f.Number != 2 {
			t.Errorf("the manager heard %+v", f)
		}
	})
}

// A peer that takes nothing ends its conversation, and holds who sends for wire.FrameTimeout only.
func TestSendToWhoDoesNotRead(t *testing.T) {
	var quit chan struct{} // made in the bubble of the test
	connect(t, func(link.Stream) { <-quit }, func(t *testing.T, ue *link.Conn) {
		quit = make(chan struct{})
		defer close(quit)
		c := control.Converse(open(t, ue), control.ManagerToHost)
		beat := wire.Beat{Sessions: make([]wire.SessionBeat, wire.MaxJoined)}
		begin := time.Now()
		var err error
		for err == nil && time.Since(begin) < time.Hour {
			err = c.Send(beat)
		}
		if took := time.Since(begin); err == nil || took > wire.FrameTimeout+5*time.Second {
			t.Errorf("Send gave %v after %v", err, took)
		}
		if err := c.Send(wire.Did{}); err == nil {
			t.Error("the conversation goes on after that")
		}
	})
}

// The end of the connection ends Next.
func TestConversationEndsWithConnection(t *testing.T) {
	var ended chan error // made in the bubble of the test
	serve := func(st link.Stream) {
		_, err := control.Converse(st, control.FromUE).Next()
		ended <- err
	}
	connect(t, serve, func(t *testing.T, ue *link.Conn) {
		ended = make(chan error, 1)
		open(t, ue).Write([]byte{byte(wire.TypeBye)})
		time.Sleep(time.Second)
		ue.Close("")
		if err := <-ended; err == nil {
			t.Error("Next returned a frame")
		}
	})
}

func TestEnrol(t *testing.T) {
	want := wire.Cert{Chain: [][]byte{[]byte("leaf")}, Roots: [][]byte{[]byte("root")}}
	answer := func(c *control.Conversation, f wire.ManagerFrame) {
		switch f.(wire.Enrol).Code {
		case "good":
			c.Send(want)
		case "bad":
			c.Refuse(&wire.Fail{Code: offload.CodeDenied, Text: "the code is used, or has ended"})
		}
	}
	tests := []struct {
		code string
		is   func(error) bool
	}{
		{"good", func(err error) bool { return err == nil }},
		{"bad", func(err error) bool {
			var f *wire.Fail
			return errors.As(err, &f) && f.Code == offload.CodeDenied
		}},
		{"late", func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	}
	for _, tt := range tests {
		converse(t, control.FromStranger, answer, func(t *testing.T, st link.Stream) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := control.Enrol(ctx, st, wire.Enrol{Code: tt.code, Request: []byte("key")})
			if !tt.is(err) || err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, %v", tt.code, got, err)
			}
		})
	}
}

// A heard stream has said all that it will say.
type heard struct {
	link.Stream
	*linktest.Tape
}

func (h heard) Read(b []byte) (int, error)         { return h.Tape.Read(b) }
func (h heard) Write(b []byte) (int, error)        { return h.Tape.Write(b) }
func (h heard) Close() error                       { return nil }
func (h heard) CloseRead()                         {}
func (h heard) Reset()                             { h.Tape.Reset() }
func (h heard) SetReadDeadline(t time.Time) error  { return nil }
func (h heard) SetWriteDeadline(t time.Time) error { return nil }

// What Next accepts, Send says again.
func FuzzNext(f *testing.F) {
	beat, _ := wire.AppendManagerFrame(nil, wire.Beat{Number: 1, Modules: make([]wire.ModuleBeat, 1), More: true})
	last, _ := wire.AppendManagerFrame(nil, wire.Beat{Number: 1, Sessions: make([]wire.SessionBeat, 1)})
	holding, _ := wire.AppendManagerFrame(nil, wire.Holding{Leases: [][]byte{{1}}, More: true})
	f.Add(bytes.Join([][]byte{beat, beat, last}, nil))
	f.Add(bytes.Join([][]byte{beat, holding}, nil))
	f.Add(bytes.Join([][]byte{holding, holding}, nil))
	f.Add(wire.AppendFail(nil, wire.Fail{Text: "no"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := control.Converse(heard{Tape: linktest.NewTape(b)}, control.FromHost)
		again := control.Converse(heard{Tape: linktest.NewTape(nil)}, nil)
		for {
			frame, err := c.Next()
			if err != nil {
				return
			}
			if err := again.Send(frame); err != nil {
				t.Errorf("%+v is heard, and not said: %v", frame, err)
			}
		}
	})
}
