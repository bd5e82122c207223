// Package control has both ends of each control frame of a session: Hello and Welcome,
// Have, Put and Loaded, Ping and Pong, GoAway. Each exchange is a stream of its own;
// the Hello's stays open for GoAway.
//
// The functions of the asking end, the UE's, send a frame and wait for its answer
// until their ctx ends. If a Fail comes instead, they return it as *wire.Fail; for any
// other frame they return wire.ErrFrame. The functions of the answering end read a frame,
// whose type [Begin] has read, and answer it. They give the UE wire.FrameTimeout to send
// or take a frame, and read a module at the pace of wire.ReadPaced.
//
// With its manager a UE or a host has one stream for all they say, a [Conversation].
package control

import (
	"context"

	"github.com/bungee-xr/bungee/internal/link"
)

// A Digest names a module: the SHA-256 of its bytes.
type Digest = [32]byte

// exchange runs f, which uses st until ctx ends.
func exchange(ctx context.Context, st link.Stream, f func() error) error {
	stop := context.AfterFunc(ctx, st.Reset)
	err := f()
	if !stop() { // the end of ctx has reset the stream
		return context.Cause(ctx)
	}
	return err
}
