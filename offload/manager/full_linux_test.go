package manager

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// On a full disk a change fails, and the store is as before; when there is room, it goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("no small file system can be mounted (%v); as root: go test -run TestFullDisk ./offload/manager", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	path := filepath.Join(dir, "store")
	s, ca := openTestStore(t, path), newIssuer(t)
	must(t, errorOf(s.begin(epoch)))
	f, err := os.Create(filepath.Join(dir, "filler"))
	must(t, err)
	defer f.Close()
	for err == nil {
		_, err = io.WriteString(f, strings.Repeat("x", 512))
	}
	var was string
	for range 100 { // pages that are free in the file serve some changes
		was = s.dump()
		if _, err = s.addCode(ca.ue("a"), ca.fingerprint(), epoch); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, errStore) || strings.Contains(toldOf(err), path) || !strings.Contains(err.Error(), "as before") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if s.dump() != was || dumpOf(t, read(t, path)) != was {
		t.Error("a change that failed has changed the store")
	}
	must(t, os.Remove(f.Name()))
	f.Close()
	if _, err := s.addCode(ca.ue("a"), ca.fingerprint(), epoch); err != nil {
		t.Errorf("once there is room: %v", err)
	}
	must(t, s.close())
	openTestStore(t, path)
}
