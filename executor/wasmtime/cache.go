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
//
// A module of several tenants has one file, and a mark of each beside it. A tenant without a mark does not find it, and takes
// as long to store it as the first: it cannot tell what others have. Tenants share the room: see
// [cachedir.Evict].
type cache struct {
	// Set by openCache, then constant.
	dir  string   // for messages
	root *os.Root // what was at dir then, whatever is there now
	most int64
	salt string
	log  *slog.Logger

	mu    sync.Mutex
	known map[key]verified // by key and tenant: how long a load takes tells no tenant what others load
}

// A key names a compiled module: all that its code depends on, and in some places whose it is.
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
		cfg.Logger.Warn("no cache of compiled modules", "why", err)
		return nil, nil
	}
	c := &cache{dir: cfg.CacheDir, root: root, most: cfg.CacheBytes, salt: salt(cfg), log: cfg.Logger, known: map[key]verified{}}
	if c.most <= 0 {
		c.most = defaultCacheBytes
	}
	c.sweep()
	return c, nil
}

// salt returns what a file depends on beside its module: wasmtime's
// version and settings, the form of the file, what rewrote the module, and the machine.
func salt(cfg Config) string {
	return fmt.Sprint("wasmtime 44.0.0 ", magic, " epoch simd speed pool=", slots(cfg.Instances) > 0, " ", guest.Version, " ",
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

// key returns the key of the code of src, whoever's it is.
func (c *cache) key(src executor.Source) key {
	return sha256.Sum256(fmt.Appendf(nil, "%x %t %s", src.Digest, src.Meter, c.salt))
}

// ownKey returns the key of what is known of src for its tenant.
func (c *cache) ownKey(src executor.Source) key { return keyOf(src, c.salt) }

// keyOf returns the key of src and its tenant, for what else its code depends on.
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

// load returns the module of src, mapped, with what is known of it, or nil when the tenant
// has none.
func (c *cache) load(engine *wt.Engine, src executor.Source) (*wt.Module, *facts) {
	name := file(c.key(src))
	used, ok := cachedir.Used(c.root, src.Tenant, name)
	if !ok {
		return nil, nil
	}
	m, known, err := c.open(engine, src)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("cached module removed", "file", filepath.Join(c.dir, name), "why", err)
			c.root.Remove(name)
		}
		return nil, nil
	}
	if time.Since(used) > touchAfter { // where it fails, the module is evicted earlier
		_ = cachedir.Mark(c.root, src.Tenant, name)
	}
	return m, known
}

// open maps the module of src: the very file that it has verified.
func (c *cache) open(engine *wt.Engine, src executor.Source) (*wt.Module, *facts, error) {
	f, err := c.root.Open(file(c.key(src)))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	known, err := c.verify(src, f)
	if err != nil {
		return nil, nil, err
	}
	m, err := wt.NewModuleDeserializeFile(engine, pathOf(f))
	if err != nil {
		return nil, nil, fmt.Errorf("map: %q", clip(err.Error()))
	}
	if err := tellProbes(src, f); err != nil {
		m.Close()
		return nil, nil, err
	}
	return m, known, nil
}

// tellProbes tells who loads src what f, which is sound, says that it is to be probed with.
func tellProbes(src executor.Source, f *os.File) error {
	if src.Probes == nil {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	only, err := probesIn(f, info.Size())
	if len(only) > 0 {
		src.Probes(only)
	}
	return err
}

// verify returns what is known of f, the file of src, once it has seen that the file is as
// it was written: wasmtime runs what it is given. A file that did not change since
// the tenant's last verification is not read again.
func (c *cache) verify(src executor.Source, f *os.File) (*facts, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	k := c.ownKey(src)
	v, ok := c.recall(k)
	if !ok || !unchanged(v.info, info) {
		manifest, err := unseal(c.key(src), f, info.Size())
		if err != nil {
			return nil, err
		}
		v = c.remember(k, verified{info, &facts{manifest: manifest}})
	}
	return v.facts, nil
}

// unchanged says whether the file of a is the one of b and has not been written
// since. Files of the cache get their times from [cache.touch], so that whoever writes to
// one changes them, however coarse the system's clock of files is.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changed(a) == changed(b)
}

// touch gives a file this time.
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

// store writes the code of src, and evicts what the folder has no room for any more. It writes also
// what another tenant has stored, which then stays as it is: it takes as long, and the other one's next load
// does, too.
func (c *cache) store(src executor.Source, code []byte, manifest capability.Manifest, probes []byte) error {
	k := c.key(src)
	end, err := seal(k, code, manifest, probes)
	if err != nil {
		return err
	}
	temp, err := c.temp(code, end)
	if err != nil {
		return err
	}
	if err := c.publish(src.Tenant, temp, file(k)); err != nil {
		c.root.Remove(temp)
		return err
	}
	return cachedir.Evict(c.root, "*.cwasm", c.most)
}

// publish marks name as tenant's, and gives temp that name, or removes it where there is one.
func (c *cache) publish(tenant, temp, name string) error {
	if err := cachedir.Mark(c.root, tenant, name); err != nil {
		return err
	}
	if _, err := c.root.Lstat(name); err == nil {
		return c.root.Remove(temp)
	}
	err := c.root.Rename(temp, name)
	if err != nil {
		_ = cachedir.Unmark(c.root, tenant, name)
	}
	return err
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
