package far_test

import (
	"context"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// messages is an Attach and n messages after it, each with a deadline.
func messages(n int) []byte {
	b := wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 1 << 16, Deadline: time.Second})
	for i := range n {
		b = append(wire.AppendMessage(b, wire.Message{Epoch: 1, Seq: uint64(i + 1), Size: 1}), 5)
	}
	return b
}

// inline is a far endpoint that runs where it is called, as a guest does.
type inline struct{ codegen.Serving }

func (i inline) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	r, err := abi.ParseReply(i.Serving.Handle(ctx, request, room[:0]))
	return r.Status, r.Payload, err
}

func (inline) Save(context.Context) ([]byte, error)  { return nil, nil }
func (inline) Restore(context.Context, []byte) error { return nil }
func (inline) Limit() time.Duration                  { return 0 }
func (inline) Close()                                {}

var room [64]byte

// A message that nobody need stop costs its far endpoint two objects, its header and its
// context: no timer, and no place in a list of the stream's context.
func TestAllocsOfAMessage(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context()) // as a stream's
	defer cancel()
	serve := func(b []byte) func() {
		return func() {
			s := far.NewServer(far.Config{Open: func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
				return inline{sums().Serve()}, nil
			}})
			st := linktest.NewTape(b)
			typ, err := wire.ReadType(st)
			if err != nil {
				t.Fatal(err)
			}
			s.Serve(ctx, typ, st)
			s.Close()
		}
	}
	const n = 1000
	each := (testing.AllocsPerRun(5, serve(messages(n))) - testing.AllocsPerRun(5, serve(messages(0)))) / n
	if each > 2.1 {
		t.Errorf("a message costs %.2f allocations; want 2", each)
	}
}
