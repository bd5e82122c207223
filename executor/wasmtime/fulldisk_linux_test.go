//go:build cgo

package wasmtime_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestCacheOnFullDisk(t *testing.T) {
	dir := cacheDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4k,mode=0700"); err != nil {
		t.Skipf("mount a small disk: %v; run as root: go test -run CacheOnFullDisk ./executor/wasmtime", err)
	}
	defer syscall.Unmount(dir, 0)
	compiled, log := loadAndEcho(t, dir)
	if !compiled || !strings.Contains(log, "no space left") {
		t.Errorf("compiled %t, log %q; want the module to run and a record of the full disk", compiled, log)
	}
	if left := files(t, dir, "*"); len(left) > 0 {
		t.Errorf("left %q on the full disk", left)
	}
}
