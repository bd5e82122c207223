//go:build !cgo

package main

import "github.com/bungee-xr/bungee/lab/internal/bench"

// benchEngines are the engines that this program has.
var benchEngines = []bench.Engine{wazeroEngine()}
