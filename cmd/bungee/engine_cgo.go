//go:build cgo

package main

import (
	"log/slog"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// compilerMain makes this process a compiler, where an engine has started it as one.
func compilerMain() { wasmtime.CompilerMain() }

// newEngine returns the engine of edge hosts, which keeps compiled modules in dir, of
// size bytes at most; 0 is the default.
func newEngine(dir string, size int64, log *slog.Logger) (executor.Engine, error) {
	return wasmtime.New(wasmtime.Config{CacheDir: dir, CacheBytes: size, Logger: log})
}
