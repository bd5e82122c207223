// Command guest is a guest of the tests of package host. It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w"
package main

import (
	"context"

	"github.com/bungee-xr/bungee/hostfunc/scratch"
	"github.com/bungee-xr/bungee/hostfunc/scratch/host/testdata/flow"
	"github.com/bungee-xr/bungee/offload/guest"
)

func init() {
	guest.Register(
		func(_ context.Context, _, dst []byte) []byte { return append(append(dst, 0), flow.Run()...) },
		swap,
	)
}

// swap sets the key "k" to the request and answers with what it was.
func swap(_ context.Context, request, dst []byte) []byte {
	old, _ := scratch.Get("k")
	if err := scratch.Set("k", request); err != nil {
		panic(err)
	}
	return append(append(dst, 0), old...)
}

func main() {}
