//go:build cgo

package wasmtime_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// Each engine has a goroutine, which its Close waits for.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) executor.Engine { return newEngine(t, wasmtime.Config{}) })
}

// One cache for all engines of the suite: most modules come out of it.
func TestEngineCached(t *testing.T) {
	dir := cacheDir(t)
	enginetest.Run(t, func(t testing.TB) executor.Engine { return newEngine(t, wasmtime.Config{CacheDir: dir}) })
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
	texts, err := filepath.Glob("../enginetest/testdata/*.wat")
	if err != nil || len(texts) == 0 {
		t.Fatalf("got %d texts, %v", len(texts), err)
	}
	for _, path := range texts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := wt.Wat2Wasm(string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		binary := strings.TrimSuffix(path, "wat") + "wasm"
		if *update {
			if err := os.WriteFile(binary, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(binary); !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s says (%v); run go test -run TestGuestsAreCurrent -update", binary, path, err)
		}
	}
}
