package wazero_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/internal/cachedir"
	"github.com/bungee-xr/bungee/executor/wazero"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) executor.Engine { return newEngine(t, wazero.Config{}) })
}

func TestEngineWithCache(t *testing.T) {
	if testing.Short() {
		t.Skip("the same suite again, with the cache; without -short: go test ./executor/wazero")
	}
	dir := filepath.Join(t.TempDir(), "cache")
	enginetest.Run(t, func(t testing.TB) executor.Engine { return newEngine(t, wazero.Config{CacheDir: dir}) })
}

func newEngine(t testing.TB, cfg wazero.Config) *wazero.Engine {
	t.Helper()
	e, err := wazero.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// load loads a guest of tenant with an engine of its own, and calls it.
func load(t *testing.T, cfg wazero.Config, guest, tenant string) {
	t.Helper()
	e := newEngine(t, cfg)
	defer e.Close()
	src := executor.Bytes(enginetest.Guest(t, guest))
	src.Tenant = tenant
	m, err := e.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if r, err := in.Call(t.Context(), 0, []byte("hi")); err != nil || guest == "basic" && string(r.Payload) != "hi" {
		t.Errorf("got %q, %v; want an echo", r.Payload, err)
	}
}

// files returns the paths of the files below dir, with their times, but for the marks of tenants.
func files(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	all := map[string]time.Time{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".own" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[path] = info.ModTime()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCache(t *testing.T) {
	cfg := wazero.Config{CacheDir: filepath.Join(t.TempDir(), "cache")}
	load(t, cfg, "basic", "")
	first := files(t, cfg.CacheDir)
	load(t, cfg, "basic", "")
	again := files(t, cfg.CacheDir)
	if len(first) == 0 || len(again) != len(first) {
		t.Fatalf("%d files after one load, %d after two; want some, and the same", len(first), len(again))
	}
	for path, at := range first {
		if !again[path].Equal(at) {
			t.Errorf("%s was written again", path)
		}
	}
	load(t, cfg, "basic", "acme")
	if other := files(t, cfg.CacheDir); len(other) != 2*len(first) {
		t.Errorf("%d files after another tenant's load, want %d: tenants share nothing", len(other), 2*len(first))
	}
}

// A file in the cache may be edited, cut short, or gone: it is made again.
func TestCacheHeals(t *testing.T) {
	edits := map[string]func(path string) error{
		"Removed": os.Remove,
		"Empty":   func(path string) error { return os.Truncate(path, 0) },
		"Cut":     func(path string) error { return os.Truncate(path, 20) },
		"Huge": func(path string) error { // a count of functions that would not fit any memory
			b, err := os.ReadFile(path)
			if err == nil && len(b) > 40 {
				copy(b[16:], "\xff\xff\xff\xff\xff\xff\xff\xff")
			}
			return errors.Join(err, os.WriteFile(path, b, 0o600))
		},
		"Flipped": func(path string) error {
			b, err := os.ReadFile(path)
			if err == nil {
				b[len(b)/2] ^= 1
			}
			return errors.Join(err, os.WriteFile(path, b, 0o600))
		},
		"Folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			load(t, wazero.Config{CacheDir: dir}, "basic", "")
			for path := range files(t, dir) {
				if err := edit(path); err != nil {
					t.Fatal(err)
				}
				load(t, wazero.Config{CacheDir: dir}, "basic", "") // it works
			}
			load(t, wazero.Config{CacheDir: dir}, "basic", "")
			if all := files(t, dir); len(all) != 2 {
				t.Errorf("the cache has %d files, want the code and its checksum", len(all))
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	cfg := wazero.Config{CacheDir: filepath.Join(t.TempDir(), "cache")}
	load(t, cfg, "basic", "")
	one := files(t, cfg.CacheDir)
	var size int64
	for path := range one {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	cfg.CacheBytes = 2*size + size/2 // two of such modules
	for _, tenant := range []string{"a", "", "b"} {
		load(t, cfg, "basic", tenant)
	}
	left := files(t, cfg.CacheDir)
	for path, at := range one {
		if !left[path].Equal(at) {
			t.Errorf("%s was removed, though another was used longer ago", path)
		}
	}
	if len(left) != 2*len(one) {
		t.Errorf("%d files are left, want %d of the two modules used last", len(left), 2*len(one))
	}
}

// Engines that share a folder, as those of two processes do, get in each other's way at
// times, but never in that of a call.
func TestCacheIsShared(t *testing.T) {
	cfg := wazero.Config{CacheDir: filepath.Join(t.TempDir(), "cache"), CacheBytes: 1}
	var wg sync.WaitGroup
	for k := range 6 {
		e := newEngine(t, cfg)
		wg.Go(func() {
			defer e.Close()
			for round := range 10 {
				src := executor.Bytes(enginetest.Guest(t, "basic"))
				src.Tenant = string(rune('a' + (k+round)%3))
				m, err := e.Load(t.Context(), src)
				if err != nil {
					t.Errorf("engine %d, round %d: %v", k, round, err)
					return
				}
				m.Close()
			}
		})
	}
	wg.Wait()
	load(t, cfg, "basic", "a")
}

// A folder that cannot be written to is as good as none.
func TestCacheThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	e := newEngine(t, wazero.Config{CacheDir: dir})
	defer e.Close()
	if err := errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	m, err := e.Load(t.Context(), executor.Bytes(enginetest.Guest(t, "basic")))
	if err != nil {
		t.Fatalf("the cache folder is gone: %v; want the module compiled all the same", err)
	}
	m.Close()
}

func TestCacheMustBePrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := wazero.New(wazero.Config{CacheDir: dir}); !errors.Is(err, cachedir.ErrNotPrivate) {
		t.Errorf("folder of mode 0755: got %v, want %v", err, cachedir.ErrNotPrivate)
	}
}

// Whatever bytes are loaded, the host gets an error or an instance that it can stop.
func FuzzLoad(f *testing.F) {
	guests, err := filepath.Glob("../enginetest/testdata/*.wasm")
	if err != nil || len(guests) == 0 {
		f.Fatalf("got %d guests, %v", len(guests), err)
	}
	for _, path := range guests {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint32(0), false)
		f.Add(b, uint32(1), true)
	}
	e := newEngine(f, wazero.Config{})
	f.Fuzz(func(t *testing.T, wasm []byte, fn uint32, meter bool) {
		src := executor.Bytes(wasm)
		src.Meter = meter
		m, err := e.Load(t.Context(), src)
		if err != nil {
			if !errors.Is(err, executor.ErrABI) && !errors.Is(err, executor.ErrTooLarge) {
				t.Errorf("got %v, want one that is %v or %v", err, executor.ErrABI, executor.ErrTooLarge)
			}
			return
		}
		defer m.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		in, err := m.Instantiate(ctx, executor.InstanceConfig{Limits: executor.Limits{Memory: 1 << 20, Table: 1 << 10}})
		if err != nil {
			return
		}
		defer in.Close()
		_, _ = in.Call(ctx, fn, []byte("request"))
	})
}
