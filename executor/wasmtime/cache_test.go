//go:build cgo

package wasmtime_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wasmtime"
	"github.com/bungee-xr/bungee/internal/abi"
)

// loadAndEcho loads the guest basic in a new engine and calls it. It returns
// whether the module had to be compiled, and what was logged.
func loadAndEcho(t *testing.T, dir string) (compiled bool, log string) {
	t.Helper()
	var b bytes.Buffer
	e := newEngine(t, wasmtime.Config{CacheDir: dir, Logger: slog.New(slog.NewTextHandler(&b, nil))})
	defer e.Close()
	compiled = echoOf(t, e)
	return compiled, b.String()
}

func echoOf(t *testing.T, e *wasmtime.Engine) (compiled bool) {
	t.Helper()
	wasm := enginetest.Guest(t, "basic")
	m, err := e.LoadDigest(t.Context(), sha256.Sum256(wasm), func() ([]byte, error) {
		compiled = true
		return wasm, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, err := in.Call(t.Context(), 0, []byte("hi"))
	if err != nil || r.Status != abi.OK || string(r.Payload) != "hi" {
		t.Errorf("echo: got %v, %v", r, err)
	}
	return compiled
}

// files returns the paths in dir that match pattern.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCacheServesAnotherEngine(t *testing.T) {
	dir := cacheDir(t)
	if compiled, log := loadAndEcho(t, dir); !compiled || log != "" {
		t.Errorf("empty cache: compiled %t, log %q; want it compiled in silence", compiled, log)
	}
	if compiled, log := loadAndEcho(t, dir); compiled || log != "" {
		t.Errorf("filled cache: compiled %t, log %q; want it mapped in silence", compiled, log)
	}
}

func TestCacheRefusesDamagedFiles(t *testing.T) {
	tests := []struct {
		name   string
		why    string
		damage func(code []byte) []byte
		rename bool // the damaged file gets a name with the right checksum
	}{
		{"Truncated", "the machine went down while it was copied", func(b []byte) []byte { return b[:len(b)/2] }, false},
		{"Empty", "likewise", func([]byte) []byte { return nil }, false},
		{"Edited", "a bit flipped, or was flipped", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, false},
		{"Longer", "two writers", func(b []byte) []byte { return append(b, 0) }, false},
		{"Foreign", "whole, but not made by this version of wasmtime", func([]byte) []byte { return []byte("\x7fELF of another make") }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := cacheDir(t)
			loadAndEcho(t, dir)
			path := files(t, dir, "*.cwasm")[0]
			code, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			replace(t, path, tt.damage(code), tt.rename)
			if compiled, log := loadAndEcho(t, dir); !compiled || !strings.Contains(log, "cached module removed") {
				t.Errorf("%s: compiled %t, log %q; want it compiled again and a record of why", tt.why, compiled, log)
			}
			if compiled, log := loadAndEcho(t, dir); compiled || log != "" {
				t.Errorf("after that: compiled %t, log %q; want a sound cache", compiled, log)
			}
		})
	}
}

// replace writes code in place of the cached file at path.
func replace(t *testing.T, path string, code []byte, rename bool) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if rename {
		key, _, _ := strings.Cut(filepath.Base(path), "-")
		sum := crc32.Checksum(code, crc32.MakeTable(crc32.Castagnoli))
		path = filepath.Join(filepath.Dir(path), fmt.Sprintf("%s-%08x-%d.cwasm", key, sum, len(code)))
	}
	if err := os.WriteFile(path, code, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	t.Run("Gone", func(t *testing.T) {
		dir := cacheDir(t)
		var b bytes.Buffer
		e := newEngine(t, wasmtime.Config{CacheDir: dir, Logger: slog.New(slog.NewTextHandler(&b, nil))})
		defer e.Close()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if compiled := echoOf(t, e); !compiled || !strings.Contains(b.String(), "not cached") {
			t.Errorf("compiled %t, log %q; want the module to run and a record of why it is not cached", compiled, &b)
		}
	})
	t.Run("NeverMade", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if compiled, log := loadAndEcho(t, filepath.Join(file, "cache")); !compiled || !strings.Contains(log, "no cache") {
			t.Errorf("compiled %t, log %q; want the module to run and a record of why there is no cache", compiled, log)
		}
	})
}

func TestCacheMustBePrivate(t *testing.T) {
	open, file, link := t.TempDir(), filepath.Join(t.TempDir(), "file"), filepath.Join(t.TempDir(), "link")
	err := errors.Join(os.Chmod(open, 0o755), os.WriteFile(file, nil, 0o600), os.Symlink(t.TempDir(), link))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ why, dir, word string }{
		{"others could read, and with another mode write, what is run", open, "chmod 700"},
		{"a file is no folder", file, "file or a link"},
		{"who may change a link may change what is run", link, "file or a link"},
	} {
		if _, err := wasmtime.New(wasmtime.Config{CacheDir: tt.dir}); !errors.Is(err, executor.ErrNotPrivate) || !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: got %v, want %v with %q", tt.why, err, executor.ErrNotPrivate, tt.word)
		}
	}
}

func TestCacheSweepsWhatDeadWritersLeft(t *testing.T) {
	dir := cacheDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(dir, "1.tmp"), filepath.Join(dir, "2.tmp")
	yesterday := time.Now().Add(-24 * time.Hour)
	err := errors.Join(os.WriteFile(old, nil, 0o600), os.WriteFile(fresh, nil, 0o600), os.Chtimes(old, yesterday, yesterday))
	if err != nil {
		t.Fatal(err)
	}
	newEngine(t, wasmtime.Config{CacheDir: dir}).Close()
	if got := files(t, dir, "*.tmp"); len(got) != 1 || got[0] != fresh {
		t.Errorf("got %q left; want the fresh file alone, which may have a writer", got)
	}
}

// Engines in one folder stand for processes: they share nothing else.
func TestCacheIsShared(t *testing.T) {
	dir := cacheDir(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if _, log := loadAndEcho(t, dir); log != "" {
					t.Errorf("log: %s", log)
				}
			}
		})
	}
	wg.Wait()
	if left := files(t, dir, "*.tmp"); len(left) > 0 || len(files(t, dir, "*.cwasm")) == 0 {
		t.Errorf("got temporary files %q and modules %q", left, files(t, dir, "*.cwasm"))
	}
}

func TestLoadDigest(t *testing.T) {
	wasm := enginetest.Guest(t, "basic")
	e := newEngine(t, wasmtime.Config{CacheDir: cacheDir(t)})
	defer e.Close()
	gone := errors.New("gone")
	tests := []struct {
		why    string
		digest [sha256.Size]byte
		wasm   func() ([]byte, error)
		word   string
	}{
		{"another module must not run under this name", [sha256.Size]byte{1}, func() ([]byte, error) { return wasm, nil }, "digest"},
		{"the bytes may not be had", sha256.Sum256(wasm), func() ([]byte, error) { return nil, gone }, "gone"},
	}
	for _, tt := range tests {
		m, err := e.LoadDigest(t.Context(), tt.digest, tt.wasm)
		if err == nil {
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: got %v, want an error with %q", tt.why, err, tt.word)
		}
	}
}
