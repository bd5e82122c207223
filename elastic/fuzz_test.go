package elastic_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A mimic is an edge host that says what it is told to.
type mimic struct{ attached, other []byte }

func (*mimic) Name() string { return "mimic" }

func (m *mimic) Prepare(context.Context, *offload.Desc) (elastic.Host, error) {
	return &mimicked{m: m}, nil
}

type mimicked struct {
	spot
	m      *mimic
	opened bool
}

func (p *mimicked) Open(context.Context, elastic.Priority) (elastic.Stream, error) {
	if p.opened {
		return linktest.NewTape(p.m.other), nil
	}
	p.opened = true
	return linktest.NewTape(append(attached(plenty), p.m.attached...)), nil
}

// Whatever a host says, the near end gets each message's outcome once, in order:
// from the UE, when the host's are no good.
func FuzzHost(f *testing.F) {
	outcome := append(wire.AppendOutcome(nil, wire.Outcome{Epoch: 1, Seq: 1, Size: 5}), 0, 0, 0, 1, 9)
	f.Add(outcome, []byte{})
	f.Add(wire.AppendCredit(nil, wire.TypeCredit, plenty), wire.AppendState(nil, wire.TypeState, wire.State{}))
	f.Add(wire.AppendHalt(nil, wire.Halt{Seq: 1, Fail: wire.Fail{Code: offload.CodeTrapped}}), []byte{})
	f.Add(wire.AppendHalt(nil, wire.Halt{Fail: wire.Fail{Code: offload.CodeDraining}}), wire.AppendFail(nil, wire.Fail{}))
	f.Fuzz(func(t *testing.T, said, other []byte) {
		c, err := elastic.Open(sums(true), elastic.Config{CheckpointMessages: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Move(t.Context(), &mimic{said, other}) // may fail: the tape has ended
		for n := range int64(3) {
			if err := c.Send(t.Context(), n); err != nil && !errors.Is(err, elastic.ErrState) {
				t.Fatalf("send: %v", err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		last := uint64(0)
		c.Shutdown(ctx)
		for r, err := range c.Results(ctx) {
			if err != nil {
				if !errors.Is(err, elastic.ErrState) {
					t.Fatalf("receive: %v", err)
				}
				return
			}
			if r.Seq < last || r.Seq > last+1 {
				t.Fatalf("result of message %d after %d", r.Seq, last)
			}
			last = r.Seq
		}
		if last < 3 && ctx.Err() != nil {
			t.Fatalf("no outcome after message %d", last)
		}
	})
}
