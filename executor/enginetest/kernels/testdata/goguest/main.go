// Command goguest is a Go guest whose function 0 is Edges of package
// sobel: an empty request is for the image of the one before. It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w"
package main

import (
	"unsafe"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels/sobel"
)

var (
	image = make([]byte, sobel.Width*sobel.Height*4)
	gray  = make([]byte, sobel.Width*sobel.Height)
	reply = make([]byte, 1+sobel.Width*sobel.Height)
)

//go:wasmexport bungee_abi
func abi() uint32 { return 1 }

//go:wasmexport bungee_buf
func buf(n uint32) uint32 {
	if int(n) > len(image) {
		return 0
	}
	return address(image)
}

//go:wasmexport bungee_call
func call(fn, ptr, n uint32, deadline int64) uint64 {
	sobel.Edges(reply[1:], gray, image)
	return uint64(address(reply))<<32 | uint64(len(reply))
}

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

func main() {}
