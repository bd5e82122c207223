// Command guest is a guest of the tests of package host.
package main

import (
	"context"
	"unsafe"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/host/testdata/flow"
)

var (
	buf    []byte
	result string
	leaked []*nn.Session
)

//go:wasmexport buffer
func buffer(n int32) unsafe.Pointer {
	buf = make([]byte, n)
	return unsafe.Pointer(unsafe.SliceData(buf))
}

//go:wasmexport run
func run() int32 {
	result = flow.Run(context.Background(), buf)
	return int32(len(result))
}

//go:wasmexport text
func text() unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(result)) }

//go:wasmexport allocs
func allocs(frames int32) int32 {
	return int32(flow.Allocs(context.Background(), buf, int(frames)))
}

// leak opens sessions until the host refuses and closes none.
//
//go:wasmexport leak
func leak() int32 {
	g, err := nn.Load("mean")
	for err == nil {
		var s *nn.Session
		if s, err = g.NewSession(); err == nil {
			leaked = append(leaked, s)
		}
	}
	return int32(len(leaked))
}

func main() {}
