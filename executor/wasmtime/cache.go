//go:build cgo

package wasmtime

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
	"golang.org/x/sys/cpu"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/cachedir"
	"github.com/bungee-xr/bungee/executor/internal/guest"
)

// A cache is a folder of compiled modules, a file each: see [sealed]. A file is
// there whole or not at all, since one rename publishes it, and what is not as it
// was written is removed and compiled again. Processes may share the folder.
type cache struct {
	// Set by openCache, then constant.
	dir  string   // for messages
	root *os.Root // what was at dir then, whatever is there now
	most int64
	salt string
	log  *slog.Logger

	mu    sync.Mutex
	known map[key]verified
}

// A key names a compiled module: all that its code depends on, and whose it is.
type key [sha256.Size]byte

// verified is a file as it was when its checksum was right.
type verified struct {
	info fs.FileInfo
	*facts
}

const (
	// staleTemp is the age at which a temporary file belongs to no writer any more.
	staleTemp = time.Hour
	// touchAfter is how often a file that is used is marked as used.
	touchAfter = time.Minute
	// maxKnown bounds the files that are remembered: some 2 KB each.
	maxKnown = 4096
	// defaultCacheBytes is some hundred Go guests.
	defaultCacheBytes = 1 << 30
)

// openCache returns the cache of cfg, nil when it has none or when the folder cannot
// be made. It fails when the folder is not private.
func openCache(cfg Config) (*cache, error) {
	if cfg.CacheDir == "" {
		return nil, nil
	}
	root, err := cachedir.Open(cfg.CacheDir)
	if errors.Is(err, cachedir.ErrNotPrivate) {
		return nil, fmt.Errorf("cache of compiled modules: %w", err)
	} else if err != nil {
		cfg.Logger.Warn("no cache of compiled modules", "err", err)
		return nil, nil
	}
	c := &cache{dir: cfg.CacheDir, root: root, most: cfg.CacheBytes, salt: salt(cfg), log: cfg.Logger, known: map[key]verified{}}
	if c.most <= 0 {
		c.most = defaultCacheBytes
	}
	c.sweep()
	return c, nil
}

// salt returns what the compiled code depends on beside the module: wasmtime's
// version and settings, what rewrote the module, and the machine.
func salt(cfg Config) string {
	return fmt.Sprint("wasmtime 44.0.0 epoch simd speed pool=", slots(cfg.Instances) > 0, " ", guest.Version, " ",
		runtime.GOOS, runtime.GOARCH, cpu.X86, cpu.ARM64)
}

// sweep removes what writers that died left behind.
func (c *cache) sweep() {
	temps, _ := fs.Glob(c.root.FS(), "*.tmp") // the pattern is right
	for _, name := range temps {
		if info, err := c.root.Lstat(name); err == nil && time.Since(info.ModTime()) > staleTemp {
			c.root.Remove(name)
		}
	}
}

// key returns the key of src. A tenant finds what it had compiled itself, and
// cannot tell from the time of a Load what others have.
func (c *cache) key(src executor.Source) key { return keyOf(src, c.salt) }

// keyOf returns the key of src, for what else its code depends on.
func keyOf(src executor.Source, salt string) key {
	return sha256.Sum256(fmt.Appendf(nil, "%q %x %t %s", src.Tenant, src.Digest, src.Meter, salt))
}

// close closes the folder. No load or store is under way.
func (c *cache) close() {
	if c != nil {
		c.root.Close()
	}
}

// file returns the name of the module of k.
func file(k key) string { return fmt.Sprintf("%x.cwasm", k) }

// load returns the module of src, mapped, with what is known of it, or nil when there
// is none.
func (c *cache) load(engine *wt.Engine, src executor.Source) (*wt.Module, *facts) {
	k := c.key(src)
	m, known, err := c.open(engine, k)
	if err == nil {
		return m, known
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("cached module removed", "file", filepath.Join(c.dir, file(k)), "err", err)
		c.root.Remove(file(k))
	}
	return nil, nil
}

// open maps the module of k: the very file that it has verified.
func (c *cache) open(engine *wt.Engine, k key) (*wt.Module, *facts, error) {
	f, err := c.root.Open(file(k))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	known, err := c.verify(k, f)
	if err != nil {
		return nil, nil, err
	}
	m, err := wt.NewModuleDeserializeFile(engine, pathOf(f))
	if err != nil {
		return nil, nil, fmt.Errorf("map: %q", clip(err.Error()))
	}
	return m, known, nil
}

// verify returns what is known of f, the file of k, once it has seen that the file is as
// it was written: wasmtime runs what it is given. A file that did not change since
// its last verification is not read again.
func (c *cache) verify(k key, f *os.File) (*facts, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	v, ok := c.recall(k)
	if !ok || !unchanged(v.info, info) {
		manifest, err := unseal(k, f, info.Size())
		if err != nil {
			return nil, err
		}
		v = c.remember(k, verified{info, &facts{manifest: manifest}})
	}
	if time.Since(info.ModTime()) > touchAfter {
		// It counts as changed then, and the next load reads it again.
		c.touch(file(k))
	}
	return v.facts, nil
}

// unchanged says whether the file of a is the one of b and has not been written
// since. Files of the cache get their times from [cache.touch], so that whoever writes to
// one changes them, however coarse the system's clock of files is.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changed(a) == changed(b)
}

// touch marks a file as used. Where it fails, the file is evicted earlier.
func (c *cache) touch(name string) {
	now := time.Now()
	_ = c.root.Chtimes(name, now, now)
}

func (c *cache) recall(k key) (verified, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.known[k]
	return v, ok
}

// remember remembers v. What was found out of the module before stays: a key names one
// module for good.
func (c *cache) remember(k key, v verified) verified {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.known[k]; ok {
		v.facts = old.facts
	}
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[k] = v
	return v
}

// store writes the code of src, and evicts what the folder has no room for any more.
func (c *cache) store(src executor.Source, code []byte, manifest capability.Manifest) error {
	k := c.key(src)
	end, err := seal(k, code, manifest)
	if err != nil {
		return err
	}
	temp, err := c.temp(code, end)
	if err != nil {
		return err
	}
	if err := c.root.Rename(temp, file(k)); err != nil {
		c.root.Remove(temp)
		return err
	}
	return cachedir.Evict(c.root, "*.cwasm", c.most)
}

// temp writes parts, down to the disk, to a file of its own, whose name it returns.
func (c *cache) temp(parts ...[]byte) (name string, err error) {
	name = rand.Text() + ".tmp"
	f, err := c.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	for _, part := range parts {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		c.root.Remove(name)
		return "", err
	}
	c.touch(name)
	return name, nil
}
