package wazero_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wazero"
)

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) executor.Engine { return newEngine(t, wazero.Config{}) })
}

func newEngine(t testing.TB, cfg wazero.Config) *wazero.Engine {
	t.Helper()
	e, err := wazero.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	for range 2 {
		e := newEngine(t, wazero.Config{CacheDir: dir})
		m, err := e.Load(t.Context(), enginetest.Guest(t, "basic"))
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
		e.Close()
	}
	if files, err := os.ReadDir(dir); len(files) == 0 {
		t.Errorf("the cache folder is empty after two loads: %v", err)
	}
}

func TestCacheMustBePrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := wazero.New(wazero.Config{CacheDir: dir}); !errors.Is(err, executor.ErrNotPrivate) {
		t.Errorf("folder of mode 0755: got %v, want %v", err, executor.ErrNotPrivate)
	}
}
