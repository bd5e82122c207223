//go:build cgo

package wasmtime_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/internal/cachedir"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// loadAndEcho loads the guest basic in a new engine and calls it. It returns
// whether the module had to be compiled, and what was logged.
func loadAndEcho(t *testing.T, dir string) (compiled bool, log string) {
	t.Helper()
	var b bytes.Buffer
	e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir, Logger: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	defer e.Close()
	compiled = echoOf(t, e, executor.Source{})
	return compiled, b.String()
}

// echoOf loads the guest basic, as src says else, and calls it.
func echoOf(t *testing.T, e *wasmtime.Engine, src executor.Source) (compiled bool) {
	t.Helper()
	wasm := enginetest.Guest(t, "basic")
	src.Digest = sha256.Sum256(wasm)
	src.Wasm = func() ([]byte, error) {
		compiled = true
		return wasm, nil
	}
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
	r, err := in.Call(t.Context(), 0, []byte("hi"))
	if err != nil || r.Status != executor.StatusOK || string(r.Payload) != "hi" {
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
		damage func(code []byte, key []byte) []byte
	}{
		{"Truncated", "the machine went down while it was copied", func(b, _ []byte) []byte { return b[:len(b)/2] }},
		{"Empty", "likewise", func(b, _ []byte) []byte { return nil }},
		{"Edited", "a bit flipped, or was flipped", func(b, _ []byte) []byte { b[len(b)/2] ^= 1; return b }},
		{"Longer", "two writers", func(b, _ []byte) []byte { return append(b, 0) }},
		{"Manifest", "more than was asked for", func(b, _ []byte) []byte { b[len(b)-21] ^= 1; return b }},
		{"Length", "a manifest of 4 GB", func(b, _ []byte) []byte { copy(b[len(b)-16:], "\xff\xff\xff\xff"); return b }},
		{"Probes", "probes of 4 GB", func(b, _ []byte) []byte { copy(b[len(b)-20:], "\xff\xff\xff\xff"); return b }},
		{"Foreign", "whole, but not made by this version of wasmtime", func(_, key []byte) []byte { return sealed("\x7fELF of another make", key) }},
		{"Misnamed", "whole, but another module's, or another tenant's", func(_, _ []byte) []byte { return sealed("code", make([]byte, 32)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := cacheDir(t)
			loadAndEcho(t, dir)
			path := files(t, dir, "*.cwasm")[0]
			key, err := hex.DecodeString(strings.TrimSuffix(filepath.Base(path), ".cwasm"))
			if err != nil {
				t.Fatal(err)
			}
			code := contents(t, path)
			overwrite(t, path, tt.damage(code, key))
			if compiled, log := loadAndEcho(t, dir); !compiled || !strings.Contains(log, "cached module removed") {
				t.Errorf("%s: compiled %t, log %q; want it compiled again and a record of why", tt.why, compiled, log)
			}
			if compiled, log := loadAndEcho(t, dir); compiled || log != "" {
				t.Errorf("after that: compiled %t, log %q; want a sound cache", compiled, log)
			}
		})
	}
}

// sealed returns what a file of that key with that code would be.
func sealed(code string, key []byte) []byte {
	b := append([]byte(code), "{}\x00\x00\x00\x00\x02\x00\x00\x00bungee/2"...)
	table := crc32.MakeTable(crc32.Castagnoli)
	return binary.LittleEndian.AppendUint32(b, crc32.Update(crc32.Checksum(key, table), table, b))
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// overwrite writes b to the file at path, which stays the same file. What has it
// mapped may crash.
func overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An engine that has verified a file does not read it again, and still sees that it is
// not what it was.
func TestCacheSeesChanges(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	tests := []struct {
		name   string
		why    string
		change func(t *testing.T, path string)
	}{
		{"InPlace", "edited by hand", func(t *testing.T, path string) { overwrite(t, path, flip(contents(t, path))) }},
		{"Truncated", "edited by hand", func(t *testing.T, path string) {
			if err := os.Truncate(path, 4096); err != nil {
				t.Fatal(err)
			}
		}},
		{"Replaced", "another file of its size and time", func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			other := path + ".tmp"
			overwrite(t, other, flip(contents(t, path)))
			if err := errors.Join(os.Chtimes(other, info.ModTime(), info.ModTime()), os.Rename(other, path)); err != nil {
				t.Fatal(err)
			}
		}},
		{"Removed", "evicted by another host", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := cacheDir(t)
			e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir})
			defer e.Close()
			echoOf(t, e, executor.Source{})
			if echoOf(t, e, executor.Source{}) {
				t.Fatal("compiled twice")
			}
			tt.change(t, files(t, dir, "*.cwasm")[0])
			if !echoOf(t, e, executor.Source{}) {
				t.Errorf("%s: not compiled again", tt.why)
			}
			if echoOf(t, e, executor.Source{}) {
				t.Error("after that: compiled once more; want a sound cache")
			}
		})
	}
}

func TestCacheSeesFilesSwapped(t *testing.T) {
	dir := cacheDir(t)
	e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir})
	defer e.Close()
	load := func(meter bool) (compiled bool) { return echoOf(t, e, executor.Source{Tenant: "a", Meter: meter}) }
	load(true)
	load(false)
	found := files(t, dir, "*.cwasm")
	if len(found) != 2 {
		t.Fatalf("got files %q, want one that counts and one that does not", found)
	}
	err := errors.Join(os.Rename(found[0], found[0]+".tmp"), os.Rename(found[1], found[0]), os.Rename(found[0]+".tmp", found[1]))
	if err != nil {
		t.Fatal(err)
	}
	if !load(true) || !load(false) {
		t.Error("a file under another's name was used")
	}
}

func TestCacheKeepsApart(t *testing.T) {
	e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: cacheDir(t)})
	defer e.Close()
	for _, tt := range []struct {
		why string
		src executor.Source
	}{
		{"the first", executor.Source{}},
		{"a tenant must not learn what others have compiled", executor.Source{Tenant: "a"}},
		{"another tenant", executor.Source{Tenant: "b"}},
		{"code that counts is other code", executor.Source{Tenant: "a", Meter: true}},
	} {
		if !echoOf(t, e, tt.src) {
			t.Errorf("%s: not compiled for itself", tt.why)
		}
		if echoOf(t, e, tt.src) {
			t.Errorf("%s: compiled twice", tt.why)
		}
	}
}

func TestCacheKeepsManifests(t *testing.T) {
	dir := cacheDir(t)
	want := capability.Manifest{Host: []string{"test"}, Clock: true, Limits: capability.Limits{Memory: 1 << 20, Deadline: time.Second}}
	wasm, err := capability.Append(enginetest.Guest(t, "basic"), want)
	if err != nil {
		t.Fatal(err)
	}
	for _, why := range []string{"compiled", "from the cache"} {
		m := module(t, wasmtime.Config{Instances: 16, CacheDir: dir}, executor.Bytes(wasm))
		if got := m.Manifest(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", why, got, want)
		}
	}
}

// What a module is to be probed with outlives the engine that compiled it.
func TestCacheKeepsProbes(t *testing.T) {
	dir := cacheDir(t)
	want := []capability.Probe{{Fn: 0, Request: []byte("hi")}, {Fn: 1, Request: bytes.Repeat([]byte("x"), 100_000)}}
	wasm, err := capability.AppendProbes(enginetest.Guest(t, "basic"), want)
	if err != nil {
		t.Fatal(err)
	}
	for i, why := range []string{"compiled", "from the cache", "from the cache, after a look at it", "nobody asks"} {
		e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir})
		for range 1 + i%2 { // the second one does not read all of the file
			var asked, told bool
			src := executor.Source{Digest: sha256.Sum256(wasm), Wasm: func() ([]byte, error) { asked = true; return wasm, nil }}
			src.Probes = func(only []byte) {
				told = true
				if got, err := capability.ReadProbes(only); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %d probes, %v", why, len(got), err)
				}
			}
			if why == "nobody asks" {
				src.Probes = nil
			}
			m, err := e.Load(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			m.Close()
			if asked != (i == 0) || told != (i > 0 && src.Probes != nil) {
				t.Errorf("%s: asked for the module %t, told its probes %t", why, asked, told)
			}
		}
		e.Close()
	}
	echo := false
	e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir})
	defer e.Close()
	echoOf(t, e, executor.Source{Probes: func([]byte) { echo = true }}) // compiled
	echoOf(t, e, executor.Source{Probes: func([]byte) { echo = true }})
	if echo {
		t.Error("a module without probes has some")
	}
}

// A cache with room for one module keeps what was used last, and no call notices.
func TestCacheEvicts(t *testing.T) {
	dir := cacheDir(t)
	var b bytes.Buffer
	e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir, CacheBytes: 1, Logger: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	defer e.Close()
	for _, meter := range []bool{false, true, false} {
		src := executor.Source{Tenant: "a", Meter: meter}
		if !echoOf(t, e, src) {
			t.Errorf("metered %t: not compiled, though another took its place", meter)
		}
		if echoOf(t, e, src) {
			t.Errorf("metered %t: compiled twice, though it was used last", meter)
		}
	}
	if got := files(t, dir, "*.cwasm"); len(got) != 1 || b.Len() > 0 {
		t.Errorf("got files %q, log %q; want one file and silence", got, &b)
	}
}

// A file that is used again stays, and the one that is not goes.
func TestCacheMarksWhatIsUsed(t *testing.T) {
	dir := cacheDir(t)
	fill := func(most int64, modules ...executor.Source) (compiled int) {
		e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir, CacheBytes: most})
		defer e.Close()
		for _, src := range modules {
			if distinct(t, e, src.Tenant) {
				compiled++
			}
		}
		return compiled
	}
	a, b, c := executor.Source{Tenant: "a"}, executor.Source{Tenant: "b"}, executor.Source{Tenant: "c"}
	fill(0, a, b)
	yesterday := time.Now().Add(-23 * time.Hour)
	for _, path := range files(t, dir, "*.own") {
		if err := os.Chtimes(path, yesterday, yesterday); err != nil {
			t.Fatal(err)
		}
	}
	fill(0, a)
	if compiled := fill(2*sizeOf(t, dir), c, a); compiled != 1 {
		t.Errorf("compiled %d of c and a; want c alone", compiled)
	}
	if compiled := fill(0, b); compiled != 1 {
		t.Error("b was kept, though it was used least recently")
	}
}

// sizeOf returns the size of a file of the cache, all of which are as large.
func sizeOf(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(files(t, dir, "*.cwasm")[0])
	if err != nil {
		t.Fatal(err)
	}
	return (info.Size() + 4095) &^ 4095
}

// distinct loads, as tenant's, a module that only name has, and says whether it was compiled.
func distinct(t *testing.T, e *wasmtime.Engine, tenant string, name ...string) (compiled bool) {
	t.Helper()
	wasm, err := capability.Append(enginetest.Guest(t, "basic"), capability.Manifest{Models: append(name, fmt.Sprintf("of-%x", tenant))})
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Load(t.Context(), executor.Source{Tenant: tenant, Digest: sha256.Sum256(wasm), Wasm: func() ([]byte, error) {
		compiled = true
		return wasm, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	return compiled
}

// A tenant that uploads modules without end has its own compiled again, and not those of others.
func TestCacheIsSharedByTenants(t *testing.T) {
	dir := cacheDir(t)
	e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir})
	distinct(t, e, "quiet")
	e.Close()
	e = newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir, CacheBytes: 4 * sizeOf(t, dir)})
	defer e.Close()
	for i := range 12 {
		distinct(t, e, "../hog", fmt.Sprint(i))
	}
	if distinct(t, e, "quiet") {
		t.Error("12 modules of another tenant evicted the only one of this one")
	}
	if distinct(t, e, "../hog", "11") || !distinct(t, e, "../hog", "0") {
		t.Error("the hog's last module was evicted, or its first was not")
	}
	if got := files(t, dir, "*.cwasm"); len(got) > 4 {
		t.Errorf("%d files in room for 4", len(got))
	}
}

// A module of two tenants is compiled for each and stored once, and stays for one when the other's goes.
func TestCacheStoresOnce(t *testing.T) {
	dir := cacheDir(t)
	e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir})
	defer e.Close()
	a, b := executor.Source{Tenant: "a"}, executor.Source{Tenant: "b"}
	if !echoOf(t, e, a) {
		t.Error("not compiled")
	}
	before, err := os.Stat(files(t, dir, "*.cwasm")[0])
	if err != nil {
		t.Fatal(err)
	}
	if !echoOf(t, e, b) {
		t.Error("a tenant got what another had compiled, and so learns of it")
	}
	got := files(t, dir, "*.cwasm")
	after, err := os.Stat(got[0])
	if err != nil || len(got) != 1 || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("files %q, %v; want the one of the first tenant, which is as it was", got, err)
	}
	if echoOf(t, e, a) || echoOf(t, e, b) {
		t.Error("compiled twice for a tenant")
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	t.Run("Gone", func(t *testing.T) {
		dir := cacheDir(t)
		var b bytes.Buffer
		e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir, Logger: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		defer e.Close()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if compiled := echoOf(t, e, executor.Source{}); !compiled || !strings.Contains(b.String(), "not cached") {
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
		if _, err := wasmtime.New(wasmtime.Config{CacheDir: tt.dir}); !errors.Is(err, cachedir.ErrNotPrivate) || !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: got %v, want %v with %q", tt.why, err, cachedir.ErrNotPrivate, tt.word)
		}
	}
}

// A folder that takes the place of the cache after the start is not used: its files would be
// mapped and run.
func TestCacheIsNotReplaced(t *testing.T) {
	dir, other := cacheDir(t), cacheDir(t)
	loadAndEcho(t, other) // what another user could have prepared
	e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir})
	defer e.Close()
	if err := errors.Join(os.Rename(dir, dir+".old"), os.Rename(other, dir)); err != nil {
		t.Fatal(err)
	}
	if !echoOf(t, e, executor.Source{}) {
		t.Error("what is in the other folder was run")
	}
	if got := files(t, dir+".old", "*.cwasm"); len(got) != 1 {
		t.Errorf("got %q in the folder of the start; want the module", got)
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := wasmtime.New(wasmtime.Config{CacheDir: filepath.Join(open, "cache")}); !errors.Is(err, cachedir.ErrNotPrivate) {
		t.Errorf("below a folder that others may write to: got %v; want %v", err, cachedir.ErrNotPrivate)
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
	newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir}).Close()
	if got := files(t, dir, "*.tmp"); len(got) != 1 || got[0] != fresh {
		t.Errorf("got %q left; want the fresh file alone, which may have a writer", got)
	}
}

// Engines in one folder stand for processes: they share nothing else. There is room for
// one module, so that they evict what the others are about to map.
func TestCacheIsShared(t *testing.T) {
	for _, most := range []int64{0, 1} {
		t.Run(fmt.Sprintf("%dBytes", most), func(t *testing.T) { shareCache(t, most) })
	}
}

func shareCache(t *testing.T, most int64) {
	dir := cacheDir(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			var b bytes.Buffer
			e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: dir, CacheBytes: most, Logger: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn}))})
			defer e.Close()
			for i := range 10 {
				echoOf(t, e, executor.Source{Tenant: fmt.Sprint(i % 2)})
			}
			if b.Len() > 0 {
				t.Errorf("log: %s", &b)
			}
		})
	}
	wg.Wait()
	if left := files(t, dir, "*.tmp"); len(left) > 0 || len(files(t, dir, "*.cwasm")) == 0 {
		t.Errorf("got temporary files %q and modules %q", left, files(t, dir, "*.cwasm"))
	}
}

func TestLoadOfAnotherModule(t *testing.T) {
	wasm := enginetest.Guest(t, "basic")
	e := newEngine(t, wasmtime.Config{Instances: 16, CacheDir: cacheDir(t)})
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
		m, err := e.Load(t.Context(), executor.Source{Digest: tt.digest, Wasm: tt.wasm})
		if err == nil {
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: got %v, want an error with %q", tt.why, err, tt.word)
		}
	}
}

// What an earlier load of a module has shown of its memory does not change what later
// ones begin with.
func TestMemoryAfterAnotherLoad(t *testing.T) {
	src := executor.Bytes(wat(t, `(memory (export "memory") 64) (data (i32.const 2049) "data")
		(func (export "_initialize")
			(memory.fill (i32.const 1000000) (i32.const 0) (i32.const 100000))
			(memory.fill (i32.const 3000000) (i32.const 8) (i32.const 100000)))
		(func $call (param i32))`))
	want := make([]byte, 4<<20)
	copy(want[2049:], "data")
	copy(want[3000000:], bytes.Repeat([]byte{8}, 100000))
	e := newEngine(t, wasmtime.Config{CacheDir: cacheDir(t), Instances: 16})
	defer e.Close()
	for k := range 4 {
		m, err := e.Load(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		in, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if got := in.(*guest.Instance).Memory(); !bytes.Equal(got, want) {
			t.Errorf("load %d: the memory is not as it was initialised", k)
		}
		if err := errors.Join(in.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	}
}
