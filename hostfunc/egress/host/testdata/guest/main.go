// Command guest is a guest of the tests of package host. It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w"
package main

import (
	"context"
	"strings"

	"github.com/bungee-xr/bungee/hostfunc/egress"
	"github.com/bungee-xr/bungee/hostfunc/egress/host/testdata/flow"
	"github.com/bungee-xr/bungee/offload/guest"
)

// kept is a connection that hang left to the next call.
var kept *egress.Conn

func init() {
	guest.Register(
		func(ctx context.Context, request, dst []byte) []byte {
			a := strings.Fields(string(request))
			return append(append(dst, 0), flow.Run(ctx, a[0], a[1], a[2])...)
		},
		func(ctx context.Context, request, dst []byte) []byte {
			return append(append(dst, 0), hang(ctx, string(request))...)
		},
	)
}

// hang greets the peer at address, reads from it until something ends that, and says what.
func hang(ctx context.Context, address string) string {
	if kept == nil {
		var err error
		if kept, err = egress.Dial(ctx, address); err != nil {
			return err.Error()
		}
	}
	kept.Bind(ctx)
	if _, err := kept.Write([]byte("hello")); err != nil {
		return err.Error()
	}
	buf := make([]byte, 16)
	n, err := kept.Read(buf)
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

func main() {}
