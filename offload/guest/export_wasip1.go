package guest

import (
	"slices"
	"unsafe"

	"github.com/bungee-xr/bungee/internal/abi"
)

// Buffers of the call in progress, kept for the next. The garbage collector
// does not move them, so the host may hold their addresses.
var request, reply []byte

//go:wasmimport bungee now
func hostNow() int64

//go:wasmimport bungee canceled
func hostCanceled() int32

//go:wasmexport bungee_abi
func exportABI() int32 { return abi.Version }

// exportBuf returns a buffer of n bytes for the next request, or 0 when n is
// out of bounds.
//
//go:wasmexport bungee_buf
func exportBuf(n int32) uint32 {
	if n < 0 || n > abi.MaxRequest {
		return 0
	}
	request = slices.Grow(request[:0], int(max(n, 1)))[:n]
	return address(request)
}

// exportCall runs function fn on the n bytes at ptr, which bungee_buf gave.
//
//go:wasmexport bungee_call
func exportCall(fn int32, ptr uint32, n int32, deadline int64) int64 {
	if n < 0 || int(n) > len(request) || ptr != address(request) {
		reply = refuse(reply[:0], "request is not in the buffer that bungee_buf gave")
	} else {
		reply = call(fn, request[:n], deadline)
	}
	return int64(address(reply))<<32 | int64(len(reply))
}

func call(fn int32, request []byte, deadline int64) []byte {
	ctx := &callContext{
		host:     host{now: hostNow, canceled: func() bool { return hostCanceled() != 0 }},
		deadline: deadline,
	}
	defer ctx.end()
	return serve(ctx, fn, request, reply[:0])
}

// address returns where b begins in linear memory.
func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
