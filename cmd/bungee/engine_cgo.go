//go:build cgo

package main

import (
	"log/slog"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// newEngine returns the engine of edge hosts, which keeps compiled modules in dir.
func newEngine(dir string, log *slog.Logger) (executor.Engine, error) {
	return wasmtime.New(wasmtime.Config{CacheDir: dir, Logger: log})
}
