// Package control has both ends of each control frame of a session: Hello and Welcome,
// Have, Put and Module, Ping and Pong, GoAway. Each exchange is a stream of its own;
// the Hello's stays open for GoAway.
//
// The functions of the asking end, the UE's, send a frame and wait for its answer
// until their ctx ends. They return a Fail in its place as *wire.Fail, and any other
// frame as wire.ErrFrame. Those of the answering end read a frame, whose type [Begin]
// has read, and answer it; they give the UE wire.FrameTimeout for a frame, each way, and
// wire.BulkTimeout for the bytes of a module.
package control

import (
	"context"

	"github.com/bungee-xr/bungee/internal/link"
)

// A Digest names a module: the SHA-256 of its bytes.
type Digest = [32]byte

// exchange runs f, which uses st until ctx ends.
func exchange(ctx context.Context, st *link.Stream, f func() error) error {
	stop := context.AfterFunc(ctx, st.Reset)
	err := f()
	if !stop() { // the stream was reset behind f's back
		return context.Cause(ctx)
	}
	return err
}
