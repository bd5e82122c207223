//go:build cgo

package wasmtime

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
	"golang.org/x/sys/cpu"

	"github.com/bungee-xr/bungee/executor"
)

// cacheSalt is what the compiled code depends on beside the module: wasmtime's
// version and settings, and the machine.
var cacheSalt = fmt.Sprint("wasmtime 44.0.0 epoch simd cranelift-speed v1 ",
	runtime.GOOS, runtime.GOARCH, cpu.X86, cpu.ARM64)

// A cache is a folder of compiled modules, each a file
//
//	<sha256 of digest and cacheSalt>-<CRC32C>-<size>.cwasm
//
// whose name tells its checksum, so that one rename publishes both. A file that
// does not match its name is removed and compiled again.
type cache struct {
	dir string
	log *slog.Logger
}

// staleTemp is the age at which a temporary file belongs to no writer any more.
const staleTemp = time.Hour

// openCache returns the cache in dir, nil when dir is empty or cannot be made.
// It fails when dir is not private.
func openCache(dir string, log *slog.Logger) (*cache, error) {
	if dir == "" {
		return nil, nil
	}
	if err := executor.PrivateDir(dir); errors.Is(err, executor.ErrNotPrivate) {
		return nil, fmt.Errorf("cache of compiled modules: %w", err)
	} else if err != nil {
		log.Warn("no cache of compiled modules", "err", err)
		return nil, nil
	}
	c := &cache{dir: dir, log: log}
	c.sweep()
	return c, nil
}

// sweep removes what writers that died left behind.
func (c *cache) sweep() {
	for _, name := range c.glob("*.tmp") {
		info, err := os.Lstat(filepath.Join(c.dir, name))
		if err == nil && time.Since(info.ModTime()) > staleTemp {
			os.Remove(filepath.Join(c.dir, name))
		}
	}
}

// glob returns the names in the folder that match pattern.
func (c *cache) glob(pattern string) []string {
	names, _ := fs.Glob(os.DirFS(c.dir), pattern) // no pattern of ours is malformed
	return names
}

// key returns the part of a file's name that the module decides.
func key(digest [sha256.Size]byte) string {
	return fmt.Sprintf("%x", sha256.Sum256(append(digest[:], cacheSalt...)))
}

// fileName returns the name of a file of size bytes with checksum sum.
func fileName(key string, sum uint32, size int64) string {
	return fmt.Sprintf("%s-%08x-%d.cwasm", key, sum, size)
}

// load returns the module of digest, mapped, nil when there is none.
func (c *cache) load(engine *wt.Engine, digest [sha256.Size]byte) *wt.Module {
	k := key(digest)
	for _, name := range c.glob(k + "-*.cwasm") {
		m, err := c.open(engine, k, name)
		if err == nil {
			return m
		}
		if !errors.Is(err, fs.ErrNotExist) { // another process may have removed it
			c.log.Warn("cached module removed", "file", name, "err", err)
			os.Remove(filepath.Join(c.dir, name))
		}
	}
	return nil
}

var errChecksum = errors.New("the file does not match its checksum")

// open maps the module in file name, after it has compared its checksum:
// wasmtime runs what it is given.
func (c *cache) open(engine *wt.Engine, key, name string) (*wt.Module, error) {
	path := filepath.Join(c.dir, name)
	sum, size, err := checksum(path)
	if err != nil {
		return nil, err
	}
	if name != fileName(key, sum, size) {
		return nil, errChecksum
	}
	m, err := wt.NewModuleDeserializeFile(engine, path)
	if err != nil {
		return nil, fmt.Errorf("map: %q", clip(err.Error()))
	}
	return m, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum reads the file at path: 0.15 ms a megabyte.
func checksum(path string) (sum uint32, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	buf := make([]byte, 128<<10)
	for {
		n, err := f.Read(buf)
		sum = crc32.Update(sum, castagnoli, buf[:n])
		size += int64(n)
		if err == io.EOF {
			return sum, size, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

// store writes m to the cache.
func (c *cache) store(digest [sha256.Size]byte, m *wt.Module) error {
	code, err := m.Serialize()
	if err != nil {
		return fmt.Errorf("serialise: %q", clip(err.Error()))
	}
	name := fileName(key(digest), crc32.Checksum(code, castagnoli), int64(len(code)))
	temp, err := c.temp(code)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(c.dir, name)); err != nil {
		os.Remove(temp)
		return err
	}
	return nil
}

// temp writes code, down to the disk, to a file of its own.
func (c *cache) temp(code []byte) (path string, err error) {
	f, err := os.CreateTemp(c.dir, "*.tmp")
	if err != nil {
		return "", err
	}
	_, err = f.Write(code)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}
