package guest

import (
	"unsafe"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload/pack"
)

// Buffers of the call in progress. That of the reply, and one of [pack.OwnedSize] for small
// requests, are kept for the next call; a large request has a buffer of its own, which
// belongs to the function that is called. The garbage collector does not move them, so the
// host may hold their addresses.
var (
	request, reply []byte
	small          = make([]byte, pack.OwnedSize)
)

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
	if n < pack.OwnedSize {
		request = small[:n]
	} else {
		request = make([]byte, n)
	}
	return address(request)
}

// exportCall runs function fn on the n bytes at ptr, which bungee_buf gave.
//
//go:wasmexport bungee_call
func exportCall(fn int32, ptr uint32, n int32, deadline int64) int64 {
	if n < 0 || int(n) > len(request) || ptr != address(request) {
		reply = refuse(reply[:0], "request is not in the buffer that bungee_buf gave")
	} else {
		given := request[:n]
		if len(request) >= pack.OwnedSize {
			request = nil
		}
		reply = call(fn, given, deadline)
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
