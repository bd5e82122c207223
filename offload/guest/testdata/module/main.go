// A guest for the tests of package guest.
package main

import (
	"context"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload/guest"
)

func main() {}

func init() {
	guest.Register(func(context.Context, []byte, []byte) []byte { panic("replaced by the next Register") })
	guest.Register(echo, spin, wait, child, fail, log, large, remains, keep)
}

func echo(_ context.Context, request, dst []byte) []byte {
	return append(append(dst, byte(abi.OK)), request...)
}

// spin computes until its context ends.
func spin(ctx context.Context, _, dst []byte) []byte {
	for ctx.Err() == nil {
	}
	return append(append(dst, byte(abi.OK)), ctx.Err().Error()...)
}

// wait does nothing until its context ends.
func wait(ctx context.Context, _, dst []byte) []byte {
	<-ctx.Done()
	return append(append(dst, byte(abi.OK)), ctx.Err().Error()...)
}

// child waits in a derived context, which must end with the call's.
func child(ctx context.Context, _, dst []byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	return wait(ctx, nil, dst)
}

func fail(context.Context, []byte, []byte) []byte { panic("on purpose") }

func log(_ context.Context, request, dst []byte) []byte {
	guest.Log(guest.LevelWarn, string(request))
	return append(dst, byte(abi.OK))
}

func large(_ context.Context, _, dst []byte) []byte {
	return append(dst, make([]byte, abi.MaxReply+2)...)
}

// remains reports how much time its context gives, in whole milliseconds.
func remains(ctx context.Context, _, dst []byte) []byte {
	t, ok := ctx.Deadline()
	if !ok {
		return append(dst, byte(abi.OK))
	}
	left := time.Until(t).Round(10 * time.Millisecond)
	return append(append(dst, byte(abi.OK)), left.String()...)
}

var kept []byte

// keep keeps its request, which must be a large one, and answers with the one before.
func keep(_ context.Context, request, dst []byte) []byte {
	before := kept
	kept = request
	return append(append(dst, byte(abi.OK)), before...)
}
