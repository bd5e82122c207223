package siege

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// The attacks that have the host hold what it would send, or has not read.
var unread = []Attack{
	{"unread-replies", "H1", unreadReplies},
	{"unread-snapshots", "H1", unreadSnapshots},
	{"unread-messages", "H1", unreadMessages},
	{"slow-reader", "H1", slowReader},
}

// large is a reply and a state of the attackers.
const large = 48 << 20

// unreadReplies asks for large replies and reads none: a host that copies them before it may send
// holds 48 MiB for each 50 bytes (H1). An act is a reply asked for.
func unreadReplies(ctx context.Context, a *attacker) {
	ask := frame(guestCall(fnReply, 0), request(large))
	a.follow(ctx, plan{streams: 40, module: Guest, do: func(ctx context.Context, u *UE) error {
		return a.stand(ctx, u, ask)
	}})
}

// unreadSnapshots has far endpoints with large states, asks for copies, and reads none (H1). An act is
// a copy asked for.
func unreadSnapshots(ctx context.Context, a *attacker) {
	a.follow(ctx, plan{streams: 8, module: Guest, do: func(ctx context.Context, u *UE) error {
		id, st, err := attach(ctx, u, wire.Attach{Fn: fnHandle})
		if err != nil {
			return err
		}
		defer st.Reset()
		defer context.AfterFunc(ctx, st.Reset)()
		grow := request(large)
		if _, err := st.Write(append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: len(grow)}), grow...)); err != nil {
			return err
		}
		if _, err := wire.ReadType(st); err != nil { // the outcome: the state is large from now on
			return err
		}
		each(4, func() { a.stand(ctx, u, wire.AppendSnapshot(nil, wire.Snapshot{ID: id, Have: wire.NoState})) })
		return nil
	}})
}

// unreadMessages fills the windows of far endpoints that are busy for ever: what is on its way to them
// stays in the host's receive windows, of many connections (brother of H1). An act is a far endpoint
// whose window is filled.
func unreadMessages(ctx context.Context, a *attacker) {
	m := wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: 0})
	next := wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 2, Size: len(zeros())})
	a.follow(ctx, plan{conns: 4, streams: 4, module: Guest, do: func(ctx context.Context, u *UE) error {
		_, st, err := attach(ctx, u, wire.Attach{Fn: fnSpin})
		if err != nil {
			return err
		}
		return a.standOn(ctx, st, m, next, zeros())
	}})
}

// slowReader reads large replies, a KB now and then: progress there is, and no end (brother of H1). An act
// is a KB.
func slowReader(ctx context.Context, a *attacker) {
	ask := frame(guestCall(fnReply, 0), request(large))
	a.follow(ctx, plan{streams: 16, module: Guest, on: func(ctx context.Context, st link.Stream) error {
		if _, err := st.Write(ask); err != nil {
			return err
		}
		for b := make([]byte, 1<<10); ctx.Err() == nil; rest(ctx, 100*time.Millisecond) {
			if _, err := st.Read(b); err != nil {
				return err
			}
			a.act()
		}
		return nil
	}})
}
