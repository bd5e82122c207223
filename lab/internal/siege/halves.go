package siege

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// The attacks that begin and do not end.
var halves = []Attack{
	{"half-uploads", "H1", halfUploads},
	{"half-requests", "H1", halfRequests},
	{"half-restores", "H1", halfRestores},
	{"half-messages", "H1", halfMessages},
	{"first-parts", "H1", firstParts},
	{"slow-upload", "H1", slowUpload},
	{"half-frames", "H1", halfFrames},
	{"half-handshakes", "H8", halfHandshakes},
}

// most returns a payload but for its last byte.
func most() []byte { return zeros()[:len(zeros())-1] }

// halfUploads sends modules of 64 MiB but for their last byte (H1). An act is a module.
func halfUploads(ctx context.Context, a *attacker) {
	put := wire.AppendControl(nil, wire.TypePut, wire.Put{Size: len(zeros())})
	a.follow(ctx, plan{conns: 2, streams: 12, do: func(ctx context.Context, u *UE) error { return a.stand(ctx, u, put, most()) }})
}

// halfRequests sends calls but for the last byte of their requests (brother of H1). An act is a call.
func halfRequests(ctx context.Context, a *attacker) {
	head := wire.AppendCall(nil, wire.Call{Module: guestDigest, Size: len(zeros())})
	a.follow(ctx, plan{conns: 2, streams: 12, module: Guest, do: func(ctx context.Context, u *UE) error { return a.stand(ctx, u, head, most()) }})
}

// halfRestores sends states but for their last byte to far endpoints (H1). An act is a state.
func halfRestores(ctx context.Context, a *attacker) {
	a.halfToEndpoints(ctx, wire.AppendState(nil, wire.TypeRestore, wire.State{Seq: 1, Size: len(zeros())}))
}

// halfMessages sends messages but for their last byte (brother of H1). An act is a message.
func halfMessages(ctx context.Context, a *attacker) {
	a.halfToEndpoints(ctx, wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: len(zeros())}))
}

func (a *attacker) halfToEndpoints(ctx context.Context, head []byte) {
	a.follow(ctx, plan{conns: 2, streams: 8, module: Guest, do: func(ctx context.Context, u *UE) error {
		_, st, err := attach(ctx, u, wire.Attach{Fn: fnHandle})
		if err != nil {
			return err
		}
		return a.standOn(ctx, st, head, most())
	}})
}

// firstParts sends first parts of messages, whose other parts never come (H1). An act is a part.
func firstParts(ctx context.Context, a *attacker) {
	const size = 16 << 20
	a.follow(ctx, plan{conns: 2, module: Guest, do: func(ctx context.Context, u *UE) error {
		id, st, err := attach(ctx, u, wire.Attach{Fn: fnHandle, Latest: true})
		if err != nil {
			return err
		}
		defer st.Reset()
		var seq atomic.Uint64
		each(24, func() {
			again(ctx, func() error {
				p := wire.Part{ID: id, Epoch: 1, Seq: seq.Add(1), Parts: 2, Size: size}
				return a.stand(ctx, u, wire.AppendPart(nil, p), zeros()[:size])
			})
		})
		return nil
	}})
}

// slowUpload sends modules a byte now and then (brother of H1: a deadline for the whole is not
// enough). An act is a module that was begun, or such a byte.
func slowUpload(ctx context.Context, a *attacker) {
	put := wire.AppendControl(nil, wire.TypePut, wire.Put{Size: len(zeros())})
	a.follow(ctx, plan{streams: 32, on: func(ctx context.Context, st link.Stream) error {
		_, err := st.Write(put)
		if err == nil {
			a.act()
			_, err = st.Write(zeros()[:1<<20])
		}
		for ; err == nil && ctx.Err() == nil; rest(ctx, time.Second) {
			_, err = st.Write(zeros()[:1])
			a.act()
		}
		return err
	}})
}

// halfFrames begins frames of all types and sends a byte of each (H1). An act is a frame.
func halfFrames(ctx context.Context, a *attacker) {
	var n atomic.Uint32
	a.follow(ctx, plan{streams: 500, do: func(ctx context.Context, u *UE) error {
		t := types[int(n.Add(1))%len(types)]
		return a.stand(ctx, u, []byte{byte(t)}, zeros()[:1])
	}})
}

// halfHandshakes connects to the TCP port and says the first byte of a handshake, or of a lifeline, without any
// proof (H8). An act is a connection.
func halfHandshakes(ctx context.Context, a *attacker) {
	var n atomic.Uint32
	each(100, func() {
		again(ctx, func() error {
			c, err := a.way.dial(ctx, "tcp")
			if err != nil {
				return err
			}
			defer c.Close()
			begin := []byte{0x16} // a TLS record
			if n.Add(1)%2 == 0 {
				begin = append([]byte{'L'}, zeros()[:20]...)
			}
			if _, err := c.Write(begin); err != nil {
				return err
			}
			a.act()
			rest(ctx, patience)
			return nil
		})
	})
}
