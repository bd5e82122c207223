//go:build wasip1

// Command guest is the guest of example hostfunc.
package main

import (
	"context"
	"strconv"

	"github.com/bungee-xr/bungee/offload/guest"
)

// hostRead has the types of the host function, as the compiler passes them: a string is
// its address and its length.
//
//go:wasmimport acme_thermo read
//go:noescape
func hostRead(room string) float64

func init() { guest.Register(temperature) }

// temperature answers with a sentence about the room that the request names.
func temperature(_ context.Context, request, dst []byte) []byte {
	room := string(request)
	dst = append(dst, 0) // status 0: the rest is the result
	c := hostRead(room)
	if c < -273.15 {
		return append(dst, "no thermometer in the "+room...)
	}
	return append(dst, room+": "+strconv.FormatFloat(c, 'f', 1, 64)+" degrees"...)
}

func main() {}
