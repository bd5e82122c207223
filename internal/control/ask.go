package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// Hello opens a session on st. AwaitGoAway reads from st afterwards.
func Hello(ctx context.Context, st link.Stream, h wire.Hello) (w wire.Welcome, err error) {
	err = exchange(ctx, st, func() error {
		if _, err := st.Write(wire.AppendControl(nil, wire.TypeHello, h)); err != nil {
			return err
		}
		return wire.ExpectControl(st, wire.TypeWelcome, &w)
	})
	return w, err
}

// AwaitGoAway waits until the host says, on the stream of Hello, that it takes no new
// calls, and returns why. It waits as long as the connection lasts.
func AwaitGoAway(st link.Stream) (reason string, err error) {
	var g wire.GoAway
	err = wire.ExpectControl(st, wire.TypeGoAway, &g)
	return g.Reason, err
}

// Have asks whether the host has a module. The host may load the module from its cache
// before it answers.
func Have(ctx context.Context, st link.Stream, d Digest) (ready bool, err error) {
	return askModule(ctx, st, wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: d}), nil)
}

// Put sends a module. It returns once the host has loaded it.
func Put(ctx context.Context, st link.Stream, d Digest, wasm []byte) error {
	ready, err := askModule(ctx, st, wire.AppendControl(nil, wire.TypePut, wire.Put{Digest: d, Size: len(wasm)}), wasm)
	if err == nil && !ready {
		err = errors.New("the host took the module and does not have it")
	}
	return err
}

// askModule sends a frame about a module, and its bytes.
func askModule(ctx context.Context, st link.Stream, frame, wasm []byte) (ready bool, err error) {
	var m wire.Loaded
	err = exchange(ctx, st, func() error {
		_, err := st.Write(frame)
		if err == nil {
			_, err = st.Write(wasm)
		}
		if err == nil {
			err = st.Close()
		}
		// A host that refuses stops reading and says why: its answer says more
		// than the failed write.
		if answer := wire.ExpectControl(st, wire.TypeLoaded, &m); answer != nil {
			st.Reset()
			return errors.Join(answer, err)
		}
		return nil
	})
	return m.Ready, err
}

// Ping returns the round-trip time to the host. Both ways take packets as large as the path is
// thought to carry: where these are lost, so is a Ping.
func Ping(ctx context.Context, st link.Stream) (took time.Duration, err error) {
	begin := time.Now()
	ping := wire.Ping{Token: uint64(begin.UnixNano()), Fill: make([]byte, wire.MaxFill)}
	err = exchange(ctx, st, func() error {
		if _, err := st.Write(wire.AppendControl(nil, wire.TypePing, ping)); err != nil {
			return err
		}
		st.Close()
		var pong wire.Ping
		if err := wire.ExpectControl(st, wire.TypePong, &pong); err != nil {
			return err
		}
		took = time.Since(begin)
		if pong.Token != ping.Token {
			return fmt.Errorf("%w: pong of another ping", wire.ErrFrame)
		}
		return nil
	})
	return took, err
}
