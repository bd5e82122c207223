package wazero

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	wz "github.com/tetratelabs/wazero"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/cachedir"
)

// A cache is a folder with a folder for each compiled module, which wazero fills. A
// file beside what wazero wrote holds its checksum: wazero trusts what it reads.
type cache struct {
	dir  string // empty: there is none
	most int64
}

// defaultCacheBytes is some hundred Go guests.
const defaultCacheBytes = 1 << 30

func openCache(cfg Config) (*cache, error) {
	c := &cache{dir: cfg.CacheDir, most: cfg.CacheBytes}
	if c.most <= 0 {
		c.most = defaultCacheBytes
	}
	if c.dir == "" {
		return c, nil
	}
	if err := cachedir.Make(c.dir); err != nil {
		return nil, err
	}
	c.evict()
	return c, nil
}

// evict removes what was used least recently. Where that fails the cache is too full, but
// of as much use: others that share the folder may be writing to it.
func (c *cache) evict() {
	dir, err := os.OpenRoot(c.dir)
	if err != nil {
		return
	}
	defer dir.Close()
	_ = cachedir.Evict(dir, "*", c.most)
}

// mark marks a folder as its tenant's. Where that fails it is evicted earlier.
func (c *cache) mark(tenant, folder string) {
	dir, err := os.OpenRoot(c.dir)
	if err != nil {
		return
	}
	defer dir.Close()
	_ = cachedir.Mark(dir, tenant, filepath.Base(folder))
}

// compile compiles wasm, which was made of src, or takes what is in the cache. A cache
// that fails is done without.
func (c *cache) compile(src executor.Source, wasm []byte) (*code, error) {
	if c.dir == "" {
		return compile(nil, wasm)
	}
	dir := c.folder(src, wasm)
	hit := sound(dir)
	if !hit {
		os.RemoveAll(dir)
	}
	code, err := compileIn(dir, wasm)
	if err != nil {
		os.RemoveAll(dir)
		return compile(nil, wasm)
	}
	c.mark(src.Tenant, dir)
	if !hit {
		seal(dir)
		c.evict()
	}
	return code, nil
}

// folder returns the folder of a module. It depends on the tenant, so that none can
// tell from the time of a Load what another one has.
func (c *cache) folder(src executor.Source, wasm []byte) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %x", src.Tenant, sha256.Sum256(wasm)))
	return filepath.Join(c.dir, fmt.Sprintf("%x", sum))
}

// compileIn compiles wasm with what dir holds of it.
func compileIn(dir string, wasm []byte) (*code, error) {
	c, err := wz.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, err
	}
	return compile(c, wasm)
}

// sumFile is the name of the file with the checksum of the others.
const sumFile = "sum"

// sound says whether what is in dir is what was there when it was sealed.
func sound(dir string) bool {
	want, err := os.ReadFile(filepath.Join(dir, sumFile))
	return err == nil && string(want) == checksum(dir)
}

// seal writes the checksum of what is in dir. What is not sealed is compiled again.
func seal(dir string) {
	_ = os.WriteFile(filepath.Join(dir, sumFile), []byte(checksum(dir)), 0o600)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns a sum over the names and contents of the files in dir.
func checksum(dir string) string {
	sum := crc32.New(castagnoli)
	root := os.DirFS(dir)
	_ = fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == sumFile {
			return err
		}
		b, err := fs.ReadFile(root, path)
		fmt.Fprintf(sum, "%q %d %t\n", path, len(b), err == nil)
		sum.Write(b)
		return nil
	})
	return fmt.Sprintf("%08x", sum.Sum32())
}
