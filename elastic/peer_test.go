package elastic_test

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// attached is what a host answers an Attach with.
func attached(c wire.Credit) []byte { return wire.AppendCredit(nil, wire.TypeAttached, c) }

var plenty = wire.Credit{Messages: 1 << 20, Bytes: 1 << 40}

// A host that breaks the protocol is left: the messages sent to it are handled on
// the UE, once each and in order.
func TestRudeHosts(t *testing.T) {
	outcome := func(o wire.Outcome, payload string) []byte {
		o.Size = len(payload)
		return append(wire.AppendOutcome(nil, o), payload...)
	}
	tests := []struct {
		name, why string
		after     []byte // what the host sends once it is attached
	}{
		{"another epoch", "one owner an epoch", outcome(wire.Outcome{Epoch: 7, Seq: 1}, "\x00\x00\x00\x00")},
		{"skips a number", "each message has an outcome", outcome(wire.Outcome{Epoch: 1, Seq: 2}, "\x00\x00\x00\x00")},
		{"answers what was not sent", "numbers are the UE's", outcome(wire.Outcome{Epoch: 1, Seq: 99}, "\x00\x00\x00\x00")},
		{"number of 2^64-1", "no overflow", outcome(wire.Outcome{Epoch: 1, Seq: math.MaxUint64}, "\x00\x00\x00\x00")},
		{"outcome that does not decode", "a count without values", outcome(wire.Outcome{Epoch: 1, Seq: 1}, "\xff\xff\xff\xff")},
		{"unknown status", "the guest ABI has three", outcome(wire.Outcome{Epoch: 1, Seq: 1, Status: 9}, "")},
		{"no frame of ours", "unknown type", []byte{0xee}},
		{"half a frame", "and then the end", wire.AppendOutcome(nil, wire.Outcome{Epoch: 1, Seq: 1, Size: 100})},
		{"credit that falls", "credit is for good", wire.AppendCredit(nil, wire.TypeCredit, wire.Credit{})},
		{"more done than was sent", "done counts what was sent", wire.AppendCredit(nil, wire.TypeCredit, wire.Credit{Messages: 1 << 20, Bytes: 1 << 40, Done: 1 << 40})},
		{"halt for the protocol", "says that we broke it", wire.AppendHalt(nil, wire.Halt{Fail: wire.Fail{Code: offload.CodeProtocol}})},
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
				st.Close()
			}
			c := open(t, sums(true), elastic.Config{Deadline: time.Second})
			if err := c.Move(t.Context(), h); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			var want int64
			send(t, c, 1, 10)
			expect(t, c, &want, 1, 10)
			if s := c.Stats(); s.Fallbacks != 1 || c.Where() != "" {
				t.Errorf("%s (%s): at %q, %+v; want one fallback to the UE", tt.name, tt.why, c.Where(), s)
			}
		})
	}
}

// A host that refuses costs the move and nothing else.
func TestHostsThatRefuse(t *testing.T) {
	for name, answer := range map[string][]byte{
		"fail":           wire.AppendFail(nil, wire.Fail{Code: offload.CodeOverloaded, Text: "full"}),
		"another answer": wire.AppendSnapshot(nil, wire.Snapshot{}),
		"half an answer": attached(plenty)[:9],
		"no answer":      nil,
	} {
		inBoth(t, func(t *testing.T, w *world) {
			h := w.host("rude", nil)
			h.rude = func(_ wire.Type, st link.Stream) {
				wire.ReadAttach(st)
				st.Write(answer)
				st.Close()
			}
			c := open(t, sums(true), elastic.Config{})
			if err := c.Move(t.Context(), h); err == nil {
				t.Errorf("%s: the move did not fail", name)
			}
			var want int64
			send(t, c, 1, 10)
			expect(t, c, &want, 1, 10)
		})
	}
}

// Send waits for a host that grants no credit, says so, and leaves it at the
// deadline of what it holds. One that grants 2^63 gets no more than a window.
func TestCredit(t *testing.T) {
	tests := []struct {
		name   string
		credit wire.Credit
		most   int // messages that the host may see
	}{
		{"none", wire.Credit{}, 0},
		{"one message", wire.Credit{Messages: 1, Bytes: 1 << 20}, 1},
		{"one byte", wire.Credit{Messages: 1 << 20, Bytes: 1}, 1},
		{"2^63", wire.Credit{Messages: 1 << 63, Bytes: 1 << 63}, 16},
	}
	for _, tt := range tests {
		inBoth(t, func(t *testing.T, w *world) {
			h := w.host("rude", nil)
			got := make(chan int, 1)
			h.rude = func(typ wire.Type, st link.Stream) {
				if typ != wire.TypeAttach {
					st.Reset()
					return
				}
				wire.ReadAttach(st)
				st.Write(attached(tt.credit))
				wire.ReadType(st)
				wire.ReadState(st)
				st.Write(wire.AppendCredit(nil, wire.TypeCredit, tt.credit))
				n := 0
				for ; ; n++ {
					if typ, err := wire.ReadType(st); err != nil || typ != wire.TypeMessage {
						break
					}
					m, _ := wire.ReadMessage(st)
					wire.ReadPayload(st, nil, m.Size)
				}
				got <- n
			}
			c := open(t, sums(true), elastic.Config{Window: 16, Deadline: 500 * time.Millisecond})
			stalled := await(t, c, elastic.Stalled)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := c.Move(ctx, h); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			go send(t, c, 1, 40)
			var want int64
			expect(t, c, &want, 1, 40)
			if n := <-got; n > tt.most {
				t.Errorf("credit of %s: the host got %d messages, want at most %d", tt.name, n, tt.most)
			}
			if tt.most < 16 {
				<-stalled
			}
		})
	}
}

// A UE that breaks the protocol loses the far endpoint, and is told.
func TestRudeUEs(t *testing.T) {
	attach := wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 4})
	restore := wire.AppendState(nil, wire.TypeRestore, wire.State{})
	message := func(m wire.Message, payload string) []byte {
		m.Size = len(payload)
		return append(wire.AppendMessage(nil, m), payload...)
	}
	one := message(wire.Message{Epoch: 2, Seq: 1}, "\x01")
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	tests := []struct {
		name  string
		bytes []byte
		code  offload.Code
		said  string
	}{
		{"replayed message", join(attach, restore, one, one), offload.CodeProtocol, "message 1 of epoch 2"},
		{"skipped number", join(attach, restore, message(wire.Message{Seq: 3}, "\x01")), offload.CodeProtocol, "message 3"},
		{"older epoch", join(attach, restore, one, message(wire.Message{Epoch: 1, Seq: 2}, "\x01")), offload.CodeProtocol, "of epoch 1"},
		{"unknown frame", join(attach, []byte{0x77}), offload.CodeProtocol, "0x77"},
		{"huge message", join(attach, wire.AppendMessage(nil, wire.Message{Seq: 1, Size: wire.MaxPayload + 1})), offload.CodeProtocol, "over"},
		{"huge state", join(attach, wire.AppendState(nil, wire.TypeRestore, wire.State{Size: wire.MaxState + 1})), offload.CodeProtocol, "over"},
		{"state that does not decode", join(attach, wire.AppendState(nil, wire.TypeRestore, wire.State{Size: 1}), []byte{0xc1}), offload.CodeProtocol, "state of sum"},
		{"second attachment of a name", join(attach, attach), offload.CodeProtocol, ""},
		{"restore without a state", join(attach, wire.AppendState(nil, wire.TypeRestore, wire.State{Same: true})), offload.CodeProtocol, "same"},
	}
	for _, tt := range tests {
		inBoth(t, func(t *testing.T, w *world) {
			h := w.host("a", nil)
			h.open = nativeSum
			p, err := h.Prepare(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			st, err := p.Open(t.Context(), elastic.Normal)
			if err != nil {
				t.Fatal(err)
			}
			st.Write(tt.bytes)
			halt := lastHalt(st)
			if halt.Fail.Code != tt.code || !strings.Contains(halt.Fail.Text, tt.said) {
				t.Errorf("%s: halted with %v, want %v that says %q", tt.name, &halt.Fail, tt.code, tt.said)
			}
			st.Reset()
			// Others of the same UE have not suffered.
			c := open(t, sums(true), elastic.Config{})
			if err := c.Move(t.Context(), h); err != nil {
				t.Fatalf("%s: move after it: %v", tt.name, err)
			}
			var want int64
			send(t, c, 1, 3)
			expect(t, c, &want, 1, 3)
			if c.Where() != "a" {
				t.Errorf("%s: another channel is at %q", tt.name, c.Where())
			}
		})
	}
}

func nativeSum() (far.Endpoint, error) { return native.New(sums(true)), nil }

// lastHalt reads what a host sends, to the Halt.
func lastHalt(st io.Reader) wire.Halt {
	for {
		t, err := wire.ReadType(st)
		if err != nil {
			return wire.Halt{Fail: wire.Fail{Text: err.Error()}}
		}
		switch t {
		case wire.TypeAttached, wire.TypeCredit:
			_, err = wire.ReadCredit(st)
		case wire.TypeOutcome:
			var o wire.Outcome
			if o, err = wire.ReadOutcome(st); err == nil {
				_, err = wire.ReadPayload(st, nil, o.Size)
			}
		case wire.TypeHalt:
			h, _ := wire.ReadHalt(st)
			return h
		}
		if err != nil {
			return wire.Halt{Fail: wire.Fail{Text: err.Error()}}
		}
	}
}

// A message that breaks its guest has an error for outcome, once; the state is as
// if it had not been there.
func TestMessageThatBreaksItsGuest(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		h := w.host("a", func() (far.Endpoint, error) { return &brittle{native.New(sums(true))}, nil })
		c := open(t, sums(true), elastic.Config{CheckpointMessages: 3})
		if err := c.Move(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		go send(t, c, 1, 50)
		var want int64
		for i := int64(1); i <= 50; i++ {
			r, err := c.Recv(t.Context())
			if err != nil || r.Seq != uint64(i) {
				t.Fatalf("receive %d: %+v, %v", i, r, err)
			}
			if i%13 == 0 {
				var f *wire.Fail
				if !errors.As(r.Err, &f) || f.Code != offload.CodeTrapped {
					t.Errorf("message %d: error %v, want a trap", i, r.Err)
				}
				continue
			}
			if want = want*31 + i; r.Value != want || r.Err != nil {
				t.Errorf("message %d: %+v, want %d", i, r, want)
			}
		}
		if c.Where() != "a" {
			t.Errorf("the channel is at %q, want a: its host is fine", c.Where())
		}
	})
}

// brittle breaks at multiples of 13.
type brittle struct{ far.Endpoint }

func (b *brittle) Handle(ctx context.Context, request []byte) (status abi.Status, payload []byte, err error) {
	if request[0] < 128 && request[0]%13 == 0 {
		return 0, nil, &wire.Fail{Code: offload.CodeTrapped, Started: true}
	}
	return b.Endpoint.Handle(ctx, request)
}
