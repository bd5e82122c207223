//go:build !cgo

package bench

import (
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wazero"
)

// testEngine makes the engine of the tests' edge hosts.
func testEngine(cache string) (executor.Engine, error) {
	return wazero.New(wazero.Config{CacheDir: cache})
}
