//go:build cgo

package host

import (
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

func init() {
	engines["wasmtime"] = func() (executor.Engine, error) { return wasmtime.New(wasmtime.Config{}) }
}
