//go:build !cgo

package main

import (
	"log/slog"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wazero"
)

// compilerMain does nothing: wazero compiles in this process.
func compilerMain() {}

// newEngine returns the engine that needs no cgo. It keeps nothing on disk.
func newEngine(_ string, _ int64, log *slog.Logger) (executor.Engine, error) {
	log.Warn("built without cgo: modules run on wazero, 1.5 to 4 times slower than on wasmtime")
	return wazero.New(wazero.Config{})
}
