//go:build cgo

package main

import (
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
	"github.com/bungee-xr/bungee/lab/internal/bench"
)

// benchEngines are the engines that this program has.
var benchEngines = []bench.Engine{
	{Name: "wasmtime", Aims: true, New: func(dir string, instances int) (executor.Engine, error) {
		return wasmtime.New(wasmtime.Config{CacheDir: dir, Instances: instances})
	}},
	wazeroEngine(),
}
