//go:build cgo

package instrument_test

import (
	"flag"
	"testing"

	"github.com/bungee-xr/bungee/executor/internal/wattest"
)

var update = flag.Bool("update", false, "write testdata/*.wasm")

// TestWat checks that the modules in testdata are what their texts say.
func TestWat(t *testing.T) { wattest.Current(t, "testdata", *update) }
