package guest

import (
	"context"
	"strconv"

	"github.com/bungee-xr/bungee/internal/abi"
)

type serveFunc = func(ctx context.Context, request, dst []byte) []byte

var functions []serveFunc

// Register makes serve the guest functions of this module: the first has index
// 0. Each appends its reply to dst, status byte first, and does not keep dst. A request of
// [pack.OwnedSize] or more belongs to the function. It keeps no smaller one.
//
// The last call counts. Packages are initialised after those they import, so a
// module serves the functions of the package it was made for, even where that
// package imports another with marked functions. Outside a guest it does nothing
// that can be seen.
func Register(serve ...serveFunc) { functions = serve }

// serve appends the reply of function fn to dst. A panic becomes a reply.
func serve(ctx context.Context, fn int32, request, dst []byte) (reply []byte) {
	defer func() {
		if v := recover(); v != nil {
			reply = abi.AppendPanic(append(dst, byte(abi.Panic)), v)
		}
	}()
	if fn < 0 || int(fn) >= len(functions) {
		return refuse(dst, "no guest function has index "+strconv.Itoa(int(fn))+"; the module has "+strconv.Itoa(len(functions)))
	}
	reply = functions[fn](ctx, request, dst)
	if n := len(reply) - len(dst); n > abi.MaxReply+1 {
		text := "reply of " + strconv.Itoa(n-1) + " bytes; the most is " + strconv.Itoa(abi.MaxReply)
		return abi.AppendError(append(dst, byte(abi.Error)), abi.CodeTooLarge, text)
	}
	return reply
}

// refuse appends an error which is not the function's own.
func refuse(dst []byte, text string) []byte {
	return abi.AppendError(append(dst, byte(abi.Error)), "", text)
}
