//go:build !cgo

package forms

import (
	"testing"

	"github.com/bungee-xr/bungee/executor"
)

func newWasmtime(t *testing.T) executor.Engine {
	t.Skip("wasmtime needs cgo; CGO_ENABLED=1 BUNGEE_LONG=1 go test -count=1 ./lab/forms")
	return nil
}
