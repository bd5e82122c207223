package far_test

import (
	"context"
	"testing"

	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// What a UE may send never makes a host panic, hang or keep anything.
func FuzzServer(f *testing.F) {
	attach := wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 4})
	latest := wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 4, Latest: true})
	restore := wire.AppendState(nil, wire.TypeRestore, wire.State{Seq: 7, Size: 4})
	message := append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: 1}), 5)
	f.Add(attach, wire.AppendSnapshot(nil, wire.Snapshot{ID: 1}))
	f.Add(append(attach, message...), message)
	f.Add(append(append(attach, restore...), 5, 6, 0xc4, 0), message)
	f.Add(latest, append(wire.AppendSingle(nil, wire.Message{ID: 1, Seq: 1, Size: 1}), 5))
	f.Add(latest, append(wire.AppendPart(nil, wire.Part{ID: 1, Seq: 1, Parts: 2, Size: 1}), 5))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := far.NewServer(far.Config{
			Open: func(context.Context, offload.Digest, uint32) (far.Endpoint, error) { return native.New(sums()), nil },
		})
		for _, said := range [][]byte{first, second} {
			st := linktest.NewTape(said)
			typ, err := wire.ReadType(st)
			if err != nil {
				continue
			}
			ctx, cancel := context.WithCancel(t.Context())
			if typ == wire.TypePart {
				cancel() // the other parts will not come
			}
			s.Serve(ctx, typ, st)
			cancel()
		}
		s.Close()
	})
}
