package guest

import (
	"context"
	"runtime"
	"strconv"

	"github.com/bungee-xr/bungee/internal/abi"
)

// maxStack bounds the stack that a panic's reply carries.
const maxStack = 16 << 10

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
			reply = appendPanic(dst, v)
		}
	}()
	if fn < 0 || int(fn) >= len(functions) {
		return refuse(dst, "no guest function has index "+strconv.Itoa(int(fn))+"; the module has "+strconv.Itoa(len(functions)))
	}
	reply = functions[fn](ctx, request, dst)
	if n := len(reply) - len(dst); n > abi.MaxReply+1 {
		return refuse(dst, "reply of "+strconv.Itoa(n)+" bytes; the most is "+strconv.Itoa(abi.MaxReply))
	}
	return reply
}

// refuse appends an error which is not the function's own.
func refuse(dst []byte, text string) []byte {
	return abi.AppendError(append(dst, byte(abi.Error)), "", text)
}

// appendPanic appends the reply for a panic with v, whose stack is still there.
func appendPanic(dst []byte, v any) []byte {
	dst = append(dst, byte(abi.Panic))
	text := panicText(v)
	dst = append(dst, text[:min(len(text), abi.MaxText-maxStack-2)]...)
	stack := make([]byte, maxStack)
	stack = stack[:runtime.Stack(stack, false)]
	return append(append(dst, "\n\n"...), stack...)
}

// panicText returns v as the runtime would print it, without package fmt.
func panicText(v any) string {
	switch v := v.(type) {
	case error:
		return v.Error()
	case interface{ String() string }:
		return v.String()
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return "value of a type without Error or String"
}
