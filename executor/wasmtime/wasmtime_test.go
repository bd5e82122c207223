//go:build cgo

package wasmtime_test

import (
	"flag"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/internal/wattest"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// This program can be a compiler, for those tests that name it. Each engine has goroutines,
// which its Close waits for.
func TestMain(m *testing.M) {
	wasmtime.CompilerMain()
	wasmtime.ForgetCompiler()
	helperMain()
	goleak.VerifyTestMain(m)
}

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) executor.Engine { return newEngine(t, wasmtime.Config{}) })
}

// One cache for all engines of the suite: most modules come out of it, and the others
// from processes.
func TestEngineCached(t *testing.T) {
	dir := cacheDir(t)
	enginetest.Run(t, func(t testing.TB) executor.Engine {
		return newEngine(t, wasmtime.Config{CacheDir: dir, Compiler: compiler()})
	})
}

func newEngine(t testing.TB, cfg wasmtime.Config) *wasmtime.Engine {
	t.Helper()
	e, err := wasmtime.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// cacheDir returns a folder as New wants it: testing's is open to others.
func cacheDir(t testing.TB) string { return filepath.Join(t.TempDir(), "cache") }

var update = flag.Bool("update", false, "write the .wasm files of enginetest from the .wat files beside them")

func TestGuestsAreCurrent(t *testing.T) {
	wattest.Current(t, "../enginetest/testdata", *update)
}
