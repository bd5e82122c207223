package siege

import (
	"context"
	"io"
	"math/rand/v2"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// The attacks that send small frames as fast as the host takes them.
var frames = []Attack{
	{"refused-calls", "H9", refusedCalls},
	{"refused-attaches", "H9", refusedAttaches},
	{"open-and-reset", "H1", openAndReset},
	{"garbage", "H9", garbage},
	{"pings", "H1", pings},
}

// types are those that a stream may begin with, and those that it may not.
var types = []wire.Type{
	wire.TypeHello, wire.TypeWelcome, wire.TypeGoAway, wire.TypeHave, wire.TypePut, wire.TypeLoaded,
	wire.TypeCall, wire.TypeResult, wire.TypeFail, wire.TypeAttach, wire.TypeAttached, wire.TypeRestore,
	wire.TypeMessage, wire.TypeOutcome, wire.TypeCredit, wire.TypeHalt, wire.TypeSnapshot, wire.TypeState,
	wire.TypeSingle, wire.TypePart, wire.TypePing, wire.TypePong, 0, 0x7f, 0xff,
}

// refusedCalls calls a module that the host does not have: each call is a line in its log (H9). An act
// is a refusal.
func refusedCalls(ctx context.Context, a *attacker) {
	a.follow(ctx, plan{streams: 16, do: func(ctx context.Context, u *UE) error {
		return a.exchanges(ctx, u, wire.Call{Module: [32]byte{1}}, zeros()[:16])
	}})
}

// refusedAttaches asks for far endpoints of a module that the host does not have (H9). An act is a refusal.
func refusedAttaches(ctx context.Context, a *attacker) {
	a.follow(ctx, plan{streams: 16, do: func(ctx context.Context, u *UE) error {
		_, st, err := attach(ctx, u, wire.Attach{Module: [32]byte{1}})
		if err == nil {
			st.Reset()
		} else if !isFail(err) {
			return err
		}
		a.act()
		return nil
	}})
}

// openAndReset opens streams, calls, and gives each up at once, so that no bound on streams is ever
// reached (CVE-2023-44487 in HTTP/2). An act is a stream.
func openAndReset(ctx context.Context, a *attacker) {
	ask := frame(guestCall(fnAnswer, 0), request(1000))
	a.follow(ctx, plan{conns: 2, streams: 8, module: Guest, on: func(_ context.Context, st link.Stream) error {
		st.Write(ask)
		a.act()
		return nil
	}})
}

// garbage sends frames of every type with random bytes (H9: each is refused, and logged). An act is a
// frame.
func garbage(ctx context.Context, a *attacker) {
	a.follow(ctx, plan{conns: 2, streams: 8, module: Guest, on: func(_ context.Context, st link.Stream) error {
		b := make([]byte, 1+rand.IntN(300))
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		b[0] = byte(types[rand.IntN(len(types))])
		st.Write(b)
		st.Close()
		a.act()
		io.Copy(io.Discard, io.LimitReader(st, 1<<10))
		return nil
	}})
}

// pings asks for the largest answers that need no session (H1). An act is an answer.
func pings(ctx context.Context, a *attacker) {
	ask := wire.AppendControl(nil, wire.TypePing, wire.Ping{Fill: make([]byte, wire.MaxFill)})
	a.follow(ctx, plan{streams: 16, on: func(_ context.Context, st link.Stream) error {
		if _, err := st.Write(ask); err != nil {
			return err
		}
		st.Close()
		if _, err := io.Copy(io.Discard, st); err != nil {
			return err
		}
		a.act()
		return nil
	}})
}
